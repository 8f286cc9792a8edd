"""Verification: from the text of a response to its reward."""

from rlvr_jax.verify.grade import Graded, grade

__all__ = ["Graded", "grade"]
