"""Which way a clipped policy step moves the entropy of one position.

A clipped token gives no gradient, so the entropy answers to the covariance of
log-probability and A X, with X = 1 for the tokens that are not clipped. Letting
in rare tokens of positive advantage raises the entropy, letting in rare tokens
of negative advantage lowers it.

Source: BAPO, arXiv 2510.18927, equations 6-7 and appendix B. The rule as
printed belongs to a natural-gradient step.
"""

from typing import Literal

import numpy as np

from rlvr_jax.analysis import entropy_law


def unclipped(
  ratio: np.ndarray, advantages: np.ndarray, low: float, high: float
) -> np.ndarray:
  """Returns X: which tokens have gradient, bool of the shape of `ratio`.

  Args:
    ratio: float[...] pi / pi_old.
    advantages: float[...] of the same shape.
    low: lower bound on the ratio, e.g. 0.8.
    high: upper bound on the ratio, e.g. 1.2.
  """
  ratio, gain = np.asarray(ratio), np.asarray(advantages)
  return ((gain > 0) & (ratio < high)) | ((gain < 0) & (ratio > low))


def entropy_change(
  policy: np.ndarray,
  advantages: np.ndarray,
  kept: np.ndarray,
  step_size: float,
  step: Literal["npg", "pg"] = "npg",
) -> np.ndarray:
  """Returns the first-order entropy change of one clipped step.

  With C = -sum_y p A X, which is sum over clipped y of p A for advantages of
  mean 0 under p:
    npg  z += step_size A X            gives -step_size Cov_p(ln p, A X + C)
    pg   z += step_size p (A X + C)    gives -step_size Cov_p(ln p, p (A X + C))
  C drops out of the first covariance. "pg" is the exact softmax gradient.

  Args:
    policy: float[..., A] probabilities over the tokens of a position.
    advantages: float[..., A] advantage of each token.
    kept: bool[..., A] X, e.g. of `unclipped`.
    step_size: learning rate of the logits.
    step: "npg", the rule as printed, or "pg".

  Returns:
    float64[...] nats.

  Raises:
    ValueError: an unknown step, or a policy that does not add up to 1.

  Source:
    2510.18927, eq. 6-7 ("npg"); appendix B, proposition 1 ("pg").
  """
  gain = np.where(kept, np.asarray(advantages, np.float64), 0.0)
  if step == "npg":
    return entropy_law.entropy_change_natural_gradient(policy, gain, step_size)
  if step == "pg":
    return entropy_law.entropy_change_policy_gradient(policy, gain, step_size)
  raise ValueError(f"`step` = {step!r} must be 'npg' or 'pg'.")
