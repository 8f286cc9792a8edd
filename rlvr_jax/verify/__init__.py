"""Verification: what a response answers, and whether that is right.

Knows texts only: problems, tasks and rewards come later.
"""

from rlvr_jax.verify import canonical, clusters, extract
from rlvr_jax.verify.maths import MathVerifier
from rlvr_jax.verify.pool import Pool

__all__ = ["MathVerifier", "Pool", "canonical", "clusters", "extract"]
