"""Soft overlong punishment: the reward falls before the length limit."""

import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.transform import LossTransform

MODES = ("soft", "mask")


def overlong_shaping(
  max_length: int = 0,
  buffer: int = 4096,
  factor: float = 1.0,
  mode: str = "soft",
) -> LossTransform:
  """Lowers the reward of responses that end close to the length limit.

  R' = R - factor min(max(n - (L - buffer), 0) / buffer, 1), with n the counted
  tokens of the response and L the limit: nothing up to L - buffer tokens, then
  linearly down to -factor at L. Stand before the advantage estimator, and
  behind `group_filter`. With mode = "mask" (overlong filtering) responses of L
  tokens or more stop counting instead, since most of them were cut off.

  Edits:   if mode is "soft" batch.reward (+); if it is "mask" batch.mask (×)
  Needs:   nothing
  State:   none
  Scope:   sequence
  Neutral: factor = 0 with mode = "soft"

  Args:
    max_length: L, tokens, >= 0; 0 is the padded length of the responses.
      20480.
    buffer: length of the slope, tokens, in [1, L]; 4096. Not read by "mask".
    factor: largest punishment, unit of the reward, >= 0; 1, for rewards of
      +1 and -1. Not read by "mask".
    mode: "soft", or "mask", the ablation of the paper (section 3.4) and TRL's
      mask_truncated_completions.

  Returns:
    A LossTransform named "overlong_shaping".

  Raises:
    ValueError: a parameter out of its range; as soon as the length of responses
      is known, that buffer > L, or that none of them is ever punished.

  Metrics:
    overlong_shaping/punished_fraction: share of the responses with counted
      tokens that lose reward, or stop counting.
    overlong_shaping/punishment: mean of R - R' over the same responses, unit
      of the reward, if mode is "soft".

  Source:
    Yu et al., DAPO, arXiv 2503.14476, equation 13. Code: volcengine/verl,
    verl/workers/reward_manager/dapo.py.
    Differs from that code: beyond L the punishment stays at factor, as in the
    paper; there no response is longer than L. A response that ends by itself
    with its L-th token counts as cut off by "mask".
  """
  if mode not in MODES:
    raise ValueError(f"overlong_shaping.mode = {mode!r} must be in {MODES}.")
  if not max_length >= 0:
    raise ValueError(
      f"overlong_shaping.max_length = {max_length!r} must be >= 0."
    )
  if not buffer >= 1:
    raise ValueError(f"overlong_shaping.buffer = {buffer!r} must be >= 1.")
  if not factor >= 0:
    raise ValueError(f"overlong_shaping.factor = {factor!r} must be >= 0.")

  def check_buffer(limit):
    if mode == "soft" and buffer > limit:
      raise ValueError(
        f"overlong_shaping.buffer = {buffer!r} must be <= the limit of {limit} "
        "tokens, or the shortest response would be punished."
      )

  if max_length:
    check_buffer(max_length)

  def limit_of(longest):
    limit = max_length or longest
    check_buffer(limit)
    begin = limit - buffer + 1 if mode == "soft" else limit
    if begin > longest:
      raise ValueError(
        f"overlong_shaping.max_length = {max_length!r}: only responses of "
        f"{begin} tokens and more lose reward or stop counting, but none is "
        f"longer than {longest}; leave max_length at 0, or lower it."
      )
    return limit

  def prepare(batch, state, context):
    del context
    limit = limit_of(batch.mask.shape[1])
    length = reduce.row_length(batch.mask)
    live = (batch.group >= 0) & (length > 0)
    share = lambda rows: reduce.masked_mean(rows.astype(jnp.float32), live)
    name = "overlong_shaping/punished_fraction"
    if mode == "mask":
      cut = live & (length >= limit)
      return batch.replace(
        mask=batch.mask & ~cut[:, None],
        metrics=batch.metrics | {name: share(cut)},
      ), state
    beyond = (length - (limit - buffer)) / buffer
    punishment = jnp.where(live, factor * jnp.clip(beyond, 0.0, 1.0), 0.0)
    metrics = {
      name: share(punishment > 0),
      "overlong_shaping/punishment": share(punishment),
    }
    return batch.replace(
      reward=batch.reward - punishment, metrics=batch.metrics | metrics
    ), state

  return LossTransform("overlong_shaping", prepare=prepare)
