"""Penalties for responses that do not end, or that go in circles."""

import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.transform import LossTransform


def malformed_penalty(
  cut: float = 1.0, repeated: float = 1.0, ngram: int = 20, most: int = 10
) -> LossTransform:
  """Punishes responses without an end and with endless repetition.

  With c = 1 for a response that is cut off at the length limit, and d = 1 for
  one in which some run of n = ngram tokens occurs more than `most` times,
    R' = R                                 if neither
    R' = min(R, 0) - cut c - repeated d    else
  so that what is malformed earns nothing by being right. Occurrences may
  overlap, and are compared token by token (`reduce.repetition`). Stand before
  the estimator.

  Edits:   batch.reward (+)
  Needs:   nothing
  State:   none
  Scope:   sequence
  Neutral: cut = repeated = 0

  Args:
    cut: what a response without an end loses, unit of the reward, >= 0; 0
      leaves it as it is.
    repeated: what one that repeats itself loses, unit of the reward, >= 0; 0
      leaves it as it is.
    ngram: n, tokens, >= 1; 20.
    most: occurrences of one run that a response may have, >= 1; 10.

  Returns:
    A LossTransform named "malformed_penalty".

  Raises:
    ValueError: a number out of range.

  Metrics:
    malformed_penalty/cut_fraction: share of the responses that are cut off;
      unless cut = 0.
    malformed_penalty/repeated_fraction: share of those that repeat themselves;
      unless repeated = 0.
    malformed_penalty/lost: mean of R - R' over the responses.

  Source:
    Hou et al., Advancing Language Model Reasoning through Reinforcement
    Learning and Inference Scaling (T1), arXiv 2501.11651. The code, THUDM/T1,
    has no training.
    Differs from that code: there is none to compare with, and all numbers are
    ours. A response that ends by itself with the last token there is room for
    counts as cut off.
  """
  for name, value in (("cut", cut), ("repeated", repeated)):
    if not value >= 0:
      raise ValueError(f"malformed_penalty.{name} = {value} must be >= 0.")
  for name, value in (("ngram", ngram), ("most", most)):
    if not value >= 1:
      raise ValueError(f"malformed_penalty.{name} = {value} must be >= 1.")

  def found(batch):
    """By name: bool[B] and what each costs; only what is looked for."""
    if cut:
      yield "cut", batch.mask.all(axis=1), cut
    if repeated:
      times = reduce.repetition(batch.response, batch.mask, ngram)
      yield "repeated", times > most, repeated

  def prepare(batch, state, context):
    del context
    live = (batch.group >= 0) & batch.mask.any(axis=1)
    mean = lambda x: reduce.masked_mean(x.astype(jnp.float32), live)
    malformed, loss, metrics = jnp.zeros_like(live), 0.0, {}
    for name, rows, price in found(batch):
      rows &= live
      malformed |= rows
      loss += price * rows
      metrics[f"malformed_penalty/{name}_fraction"] = mean(rows)
    earned = jnp.where(malformed, jnp.minimum(batch.reward, 0), batch.reward)
    reward = earned - loss
    metrics["malformed_penalty/lost"] = mean(batch.reward - reward)
    return batch.replace(reward=reward, metrics=batch.metrics | metrics), state

  return LossTransform("malformed_penalty", prepare=prepare)
