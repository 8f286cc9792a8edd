"""Soft overlong punishment: the reward falls before the length limit."""

import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.transform import LossTransform


def overlong_shaping(
  max_length: int = 0, buffer: int = 4096, factor: float = 1.0
) -> LossTransform:
  """Lowers the reward of responses that end close to the length limit.

  R' = R - factor min(max(n - (L - buffer), 0) / buffer, 1), with n the counted
  tokens of the response and L the limit: nothing up to L - buffer tokens, then
  linearly down to -factor at L. Stand before the advantage estimator, and
  behind `group_filter`.

  Edits:   batch.reward (+)
  Needs:   nothing
  State:   none
  Scope:   sequence
  Neutral: factor = 0

  Args:
    max_length: L, tokens, >= 0; 0 is the padded length of the responses.
      20480.
    buffer: length of the slope, tokens, >= 1, and <= max_length if that is
      given; 4096. Of L tokens or more every response is punished.
    factor: largest punishment, unit of the reward, >= 0; 1, for rewards of
      +1 and -1.

  Returns:
    A LossTransform named "overlong_shaping".

  Raises:
    ValueError: a parameter out of its range.

  Metrics:
    overlong_shaping/punished_fraction: share of the responses that lose
      reward.
    overlong_shaping/punishment: mean of R - R', unit of the reward.

  Source:
    Yu et al., DAPO, arXiv 2503.14476, equation 13. Code: volcengine/verl,
    verl/workers/reward_manager/dapo.py.
    Differs from that code: beyond L the punishment stays at factor, as in the
    paper; there no response is longer than L.
  """
  if not max_length >= 0:
    raise ValueError(
      f"overlong_shaping.max_length = {max_length!r} must be >= 0."
    )
  if not buffer >= 1 or (max_length and buffer > max_length):
    raise ValueError(
      f"overlong_shaping.buffer = {buffer!r} must be >= 1 and <= max_length = "
      f"{max_length!r} unless that is 0."
    )
  if not factor >= 0:
    raise ValueError(f"overlong_shaping.factor = {factor!r} must be >= 0.")

  def prepare(batch, state, context):
    del context
    limit = max_length or batch.mask.shape[1]
    beyond = reduce.row_length(batch.mask) - (limit - buffer)
    punishment = factor * jnp.clip(beyond / buffer, 0.0, 1.0)
    live = batch.group >= 0
    punishment = jnp.where(live, punishment, 0.0)
    punished = (punishment > 0).astype(jnp.float32)
    metrics = {
      "overlong_shaping/punished_fraction": reduce.masked_mean(punished, live),
      "overlong_shaping/punishment": reduce.masked_mean(punishment, live),
    }
    return batch.replace(
      reward=batch.reward - punishment, metrics=batch.metrics | metrics
    ), state

  return LossTransform("overlong_shaping", prepare=prepare)
