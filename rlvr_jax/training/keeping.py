"""Dynamic sampling: which groups of the batches that are drawn a step keeps."""

import jax
import numpy as np

from rlvr_jax import reduce, tasks
from rlvr_jax.training.host import Accuracy
from rlvr_jax.training.programs import Programs
from rlvr_jax.types import Array, TokenBatch

RIGHT = 0.5  # Larger rewards are right, as `group_filter` has it.

_is_mixed = jax.jit(reduce.group_is_mixed)


def mixed(
  programs: Programs, graded: tasks.Graded, sound: np.ndarray
) -> np.ndarray:
  """The prompts whose responses of the main draw differ in their rewards.

  What branches off the main draw counts with it: it is in its groups.

  Args:
    programs: of the run.
    graded: all rows of a batch.
    sound: bool[rows], those that may be learned from.

  Returns:
    i64[n], numbers of prompts of the batch, rising.
  """
  plan = programs.asking
  prompts, group = plan.blocks[0].prompts, plan.row_groups()
  reward = graded.reward
  if programs.settings.dynamic.metric == "correct":
    reward = reward > RIGHT
  counts = (group < prompts) & graded.known & sound
  group = np.where(counts, group, -1)
  found = _is_mixed(reward.astype(np.float32), group.astype(np.int32))
  return np.flatnonzero(np.bincount(group[np.asarray(found)], None, prompts))


class Kept:
  """The rollout of a step as it comes, in the order of the data.

  Attributes:
    problems: kept so far.
    graded: of all rows of the step; those to come are unknown.
  """

  def __init__(self, programs: Programs):
    self._programs, self._room = programs, None
    rows = len(programs.plan.row_prompts())
    self.problems: list[tasks.Problem] = []
    self.graded = tasks.Graded(
      np.zeros(rows, np.float32), np.zeros(rows, bool), [None] * rows
    )

  @property
  def left(self) -> int:
    """Prompts that the step still needs."""
    return self._programs.settings.prompts - len(self.problems)

  def add(
    self,
    problems: list[tasks.Problem],
    batch: TokenBatch,
    graded: tasks.Graded,
    chosen: np.ndarray,
  ) -> None:
    """Takes chosen prompts of a batch, the first ones that there is room for.

    Args:
      problems: of the batch.
      batch: as sampled.
      graded: its rows.
      chosen: i64[n], numbers of prompts of the batch.
    """
    chosen, merging = chosen[: self.left], self._programs.merging
    if not chosen.size:
      return
    rows = merging.rows(len(self.problems), chosen)
    if self._room is None:
      self._room = merging.begin(batch, rows)
    else:
      self._room = merging.fill(self._room, batch, rows)
    self.problems += [problems[i] for i in chosen]
    for row in np.flatnonzero(rows >= 0):
      for own, theirs in zip(self.graded, graded):
        own[row] = theirs[rows[row]]

  def rollout(self, prompts: tuple[Array, Array]) -> TokenBatch:
    """All rows once nothing is left, with the tokens of the problems."""
    return self._programs.merging.finish(self._room, *prompts)


class Counted:
  """All that is drawn in a step, kept or not.

  Attributes:
    batches: so far.
    accuracy: of all their problems.
  """

  def __init__(self):
    self.batches, self._tokens, self._mixed = 0, 0, 0
    self.accuracy: Accuracy = {"problems": [], "right": []}

  def add(self, accuracy: Accuracy, tokens: int, count: int) -> None:
    """Counts one more batch.

    Args:
      accuracy: of its problems.
      tokens: sampled.
      count: prompts of mixed rewards.
    """
    self.batches += 1
    self._tokens += tokens
    self._mixed += count
    for name, values in accuracy.items():
      self.accuracy[name] += values

  @property
  def right(self) -> float:
    """Mean reward of the problems; NaN if none could be graded."""
    found = np.array(self.accuracy["right"])
    known = found[~np.isnan(found)]
    return float(known.mean()) if known.size else float("nan")

  def metrics(self) -> dict[str, float]:
    """The numbers of the step that are of all batches."""
    return {
      "rollout/batches": float(self.batches),
      "rollout/kept_fraction": self._mixed / len(self.accuracy["problems"]),
      "rollout/tokens": float(self._tokens),
      "reward/drawn_mean": self.right,
    }
