"""Verification: what a response answers, and whether that is right.

Knows texts only: problems, tasks and rewards come later.
"""

from rlvr_jax.verify import (
  arpo,
  canonical,
  clusters,
  code,
  extract,
  formats,
  ifeval,
  light_if,
  words,
)
from rlvr_jax.verify.maths import MathVerifier
from rlvr_jax.verify.pool import Pool
from rlvr_jax.verify.scorers import function_pool, gym_pool

__all__ = [
  "MathVerifier",
  "Pool",
  "arpo",
  "canonical",
  "clusters",
  "code",
  "extract",
  "formats",
  "function_pool",
  "gym_pool",
  "ifeval",
  "light_if",
  "words",
]
