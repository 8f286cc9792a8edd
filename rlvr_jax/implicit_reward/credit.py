"""What a token has earned: its own score and the outcome of its response."""

from typing import NamedTuple

import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.implicit_reward import scores
from rlvr_jax.types import Array


class Credit(NamedTuple):
  """How log-ratios and outcomes become returns; the fields of `prime`."""

  granularity: str = "token"
  normalize: str = "batch"
  scale: float = 1.0
  exclude_last_token: bool = False
  smoothing: float = 0.0
  end_at_reward: bool = False
  process_coef: float = 1.0
  outcome_coef: float = 1.0
  process_gamma: float = 1.0
  outcome_gamma: float = 1.0

  def scores(
    self, log_ratio: Array, reward: Array, mask: Array
  ) -> tuple[Array, Array]:
    """What each token scores.

    Args:
      log_ratio: f32[B, T] log pi_phi - log pi_ref, nats.
      reward: f32[B] of the outcome.
      mask: bool[B, T] counted tokens.

    Returns:
      f32[B, T] and the f32[] it was divided by.
    """
    if self.granularity == "whole":
      score = scores.whole_scores(log_ratio, mask, self.scale)
    else:
      score = scores.token_scores(
        log_ratio,
        mask,
        scale=self.scale,
        smoothing=self.smoothing,
        outcome=reward if self.end_at_reward else None,
        exclude_last=self.exclude_last_token,
      )
    if self.normalize == "none":
      return score, jnp.float32(1.0)
    return scores.normalized(score, mask)

  def returns(
    self, score: Array, reward: Array, mask: Array, group: Array
  ) -> Array:
    """f32[B, T]: the returns of scores and outcomes, not yet whitened.

    Args:
      score: f32[B, T].
      reward: f32[B] of the outcome.
      mask: bool[B, T] counted tokens.
      group: i32[B] in [0, B); -1 joins no group.
    """
    process = scores.process_term(score, mask, group)
    outcome = scores.outcome_term(reward, mask, group)
    to_go = lambda x, gamma: reduce.returns_to_go(x, mask, gamma)
    return self.process_coef * to_go(
      process, self.process_gamma
    ) + self.outcome_coef * to_go(outcome, self.outcome_gamma)
