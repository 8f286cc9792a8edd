"""Length reward: right answers may be long, wrong ones had better not."""

import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.transform import LossTransform


def length_reward(
  max_length: int = 0,
  coef: float = 1.0,
  gain: float = 2.0,
  threshold: float = 0.2,
  penalty: float = 2.0,
) -> LossTransform:
  """Adds to a reward what the length of the response makes of it.

  With n the counted tokens of the response, L the limit and
  f = (1 - cos(pi n / L)) / 2, which rises from 0 to 1 along the limit,

    n >= L             R' = R - coef penalty
    R >= threshold     R' = R + coef gain R f
    R < threshold      R' = R - coef f

  So thinking longer pays where it ends in a right answer, and running into the
  limit never does. Stand before the advantage estimator.

  Edits:   batch.reward (+)
  Needs:   nothing
  State:   none
  Scope:   sequence
  Neutral: coef = 0

  Args:
    max_length: L, tokens, >= 0; 0 is the padded length of the responses. 8192.
    coef: of all that is added, >= 0; 1.
    gain: of right responses, >= 0; 2.
    threshold: rewards from here on are of right responses; 0.2, of points in
      [0, 2].
    penalty: of responses at the limit, unit of the reward, >= 0; 2.

  Returns:
    A LossTransform named "length_reward".

  Raises:
    ValueError: a number out of range.

  Metrics:
    length_reward/added: mean of R' - R over the responses with counted tokens.
    length_reward/limit_fraction: share of them that reach the limit.

  Source:
    Wang et al., Light-IF: Endowing LLMs with Generalizable Reasoning via
    Preview and Self-Checking for Complex Instruction Following, arXiv
    2508.03178; its first stage of RL rewards correctness and length. Code:
    Qihoo360/Light-IF, IF.py, response_length_score.
    Differs from that code: it is added to the reward here, there only logged
    and left to the caller.
  """
  if not max_length >= 0:
    raise ValueError(f"length_reward.max_length = {max_length!r} must be >= 0.")
  least = dict(coef=coef, gain=gain, penalty=penalty)
  for name, value in least.items():
    if not value >= 0:
      raise ValueError(f"length_reward.{name} = {value!r} must be >= 0.")

  def prepare(batch, state, context):
    del context
    limit = max_length or batch.mask.shape[1]
    length = reduce.row_length(batch.mask)
    live = (batch.group >= 0) & (length > 0)
    rise = (1 - jnp.cos(jnp.pi * length / limit)) / 2
    right = batch.reward >= threshold
    worth = jnp.where(right, gain * batch.reward * rise, -rise)
    worth = jnp.where(length >= limit, -penalty, worth)
    added = jnp.where(live, coef * worth, 0.0)
    reached = (length >= limit).astype(jnp.float32)
    metrics = {
      "length_reward/added": reduce.masked_mean(added, live),
      "length_reward/limit_fraction": reduce.masked_mean(reached, live),
    }
    return batch.replace(
      reward=batch.reward + added, metrics=batch.metrics | metrics
    ), state

  return LossTransform("length_reward", prepare=prepare)
