"""The 25 kinds of instructions of IFEval that a program can check.

Written from their published descriptions (arXiv 2311.07911). Every check takes
time in proportion to the response, and runs nothing of it.
"""

from rlvr_jax.verify.ifeval.follow import Instruction, followed, parse
from rlvr_jax.verify.ifeval.kinds import KINDS, check_arguments

__all__ = ["KINDS", "Instruction", "check_arguments", "followed", "parse"]
