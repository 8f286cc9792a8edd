"""The dense rules of Light-IF (arXiv 2508.03178): points for every constraint.

A response earns points for each rule that it keeps, and one more if it keeps
all of them. The checkers that the authors' data hold as code are not run.
"""

from rlvr_jax.verify.light_if.score import Requirement, Score, parse, score

__all__ = ["Requirement", "Score", "parse", "score"]
