"""What a step samples and asks for, told without sampling anything."""

from typing import NamedTuple

import jax
import numpy as np

from rlvr_jax.training import learning
from rlvr_jax.training.settings import Settings
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import PyTree


class Block(NamedTuple):
  """The rows of one draw."""

  name: str
  prompts: int
  per_prompt: int
  parent: str | None = None  # the draw that it branches off


class Plan(NamedTuple):
  """The draws of a step, the main one first."""

  blocks: tuple[Block, ...]

  @property
  def draws(self) -> tuple[tuple[str, int], ...]:
    """Names and row counts of the draws."""
    return tuple((b.name, b.prompts * b.per_prompt) for b in self.blocks)

  def row_prompts(self) -> np.ndarray:
    """i64[B]: which prompt of the step each sampled row answers."""
    return np.concatenate(
      [np.repeat(np.arange(b.prompts), b.per_prompt) for b in self.blocks]
    )

  def row_groups(self) -> np.ndarray:
    """i64[B]: which group each row is in: its parent's, or one of its draw."""
    first, count = {}, 0
    for b in self.blocks:
      first[b.name] = first.get(b.parent, count)
      count += b.prompts * (b.parent is None)
    return self.row_prompts() + np.repeat(
      list(first.values()), [rows for _, rows in self.draws]
    )

  def tables(self) -> list[np.ndarray]:
    """i64[prompts, per_prompt] for each draw: the numbers of its rows."""
    counts = [rows for _, rows in self.draws]
    parts = np.split(np.arange(sum(counts)), np.cumsum(counts)[:-1])
    return [x.reshape(b.prompts, -1) for x, b in zip(parts, self.blocks)]

  def asking(self, prompts: int) -> "Plan":
    """The same draws, all of them for so many prompts."""
    return Plan(tuple(b._replace(prompts=prompts) for b in self.blocks))

  def cost(self, method: LossTransform, settings: Settings) -> dict[str, float]:
    """What the methods ask for beyond the policy's own pass and main draw.

    Args:
      method: the chain.
      settings: of the step.

    Returns:
      `cost/extra_passes`: forward passes over all rows, after the rollout or
      spread over the updates, a gradient counted as two;
      `cost/extra_rows`: sampled beside the main draw.
    """
    later = learning.scores(method)
    passes = {
      (need.when, name)
      for need in method.needs
      if not need.is_note and need.params != ("policy",) and need not in later
      for name in need.params
      if (need.when, name) != ("update", "policy")
    }
    if settings.rescore:
      passes.add(("rollout", "policy"))
    learned = 0 if method.learner is None else learning.passes(method, settings)
    return {
      "cost/extra_passes": float(len(passes) + learned),
      "cost/extra_rows": float(sum(rows for _, rows in self.draws[1:])),
    }


def plan(method: LossTransform, settings: Settings, state: PyTree) -> Plan:
  """Asks a chain for its draws.

  Args:
    method: the chain.
    settings: of the step; its main draw is what the chain may change.
    state: of the chain, or its shapes.
  """
  planned = []

  def ask(state):
    planned.extend(method.plan((settings.main,), state))
    return ()

  jax.eval_shape(ask, state)
  count = lambda draw: draw.prompts(settings.prompts)
  return Plan(
    tuple(Block(d.name, count(d), d.per_prompt, d.parent) for d in planned)
  )
