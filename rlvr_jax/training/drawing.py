"""The graded rollout of a step: of one batch of prompts, or of several.

With dynamic sampling batches are drawn, in the order of the data, until enough
prompts have responses that differ in their rewards. Rewards are those of all
processes, so all of them keep the same.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rlvr_jax import tasks
from rlvr_jax.training import host, preemption
from rlvr_jax.training.build import Run
from rlvr_jax.training.keeping import Counted, Kept, mixed
from rlvr_jax.training.mismatch import Comparison
from rlvr_jax.training.state import TrainState
from rlvr_jax.training.watch import Watch
from rlvr_jax.types import PyTree, TokenBatch


class Batch(NamedTuple):
  """Prompts, the responses to them, and what the verifier says of these."""

  problems: list[tasks.Problem]
  rows: TokenBatch
  texts: list[str]  # of the rows that this process holds
  graded: tasks.Graded


class Rollout(NamedTuple):
  """What a step learns from, and what it took to get it."""

  rows: TokenBatch
  graded: tasks.Graded
  notes: dict[str, np.ndarray]  # by Need.key
  accuracy: host.Accuracy  # of all problems drawn
  cursor: int  # prompts that are consumed by then
  metrics: dict[str, float]  # of what was drawn besides
  pending: TokenBatch | None = None  # of the next step, see `TrainState`


def begun(
  run: Run, state: TrainState, ref: PyTree | None, compare: Comparison
) -> TrainState:
  """The state with the rollout that its next step learns from.

  Without `config.async_rollout` a step samples its own, and the state stays.

  Args:
    run: of `build`.
    state: of the run.
    ref: of `Weights.frozen`.
    compare: looks at what is sampled.
  """
  over = int(state.step) >= run.config.steps
  if state.pending is None or over or bool(jnp.any(state.pending.mask)):
    return state
  return state.replace(pending=_sampled_ahead(run, state, ref, 0, compare))


def _sampled_ahead(run, state, ref, steps: int, compare) -> TokenBatch:
  """The rollout of a later step, sampled with the policy of now."""
  cursor = int(state.cursor) + steps * run.programs.settings.prompts
  _, prompts = host.encoded(run, cursor)
  told = state, ref, *prompts, steps
  rows = run.programs.sample_ahead(*told, text=run.text)
  if compare:
    compare(state, ref, rows)
  return rows


class Drawing:
  """Draws the rollout of a step.

  Args:
    run: of `build`.
    state: of the run; it is only read.
    ref: of `Weights.frozen`.
    watch: of the step.
    compare: looks at the first batch.
  """

  def __init__(
    self,
    run: Run,
    state: TrainState,
    ref: PyTree | None,
    watch: Watch,
    compare: Comparison | None = None,
  ):
    self._run, self._state, self._ref = run, state, ref
    self._watch, self._compare = watch, compare

  def rollout(self) -> Rollout:
    """What the next step learns from.

    Raises:
      FloatingPointError: too many responses have numbers that are not finite.
      Preempted: asked to stop.
      RuntimeError: too many rewards are unknown, or too few groups have mixed
        rewards.
    """
    if self._run.programs.merging is not None:
      return self._until_enough()
    cursor, ahead = int(self._state.cursor), None
    if self._state.pending is None:
      one = self._batch(cursor)
    else:
      one, ahead = self._waiting(cursor)
    accuracy = host.accuracy(self._run, one.problems, one.graded)
    return Rollout(
      one.rows,
      one.graded,
      self._notes(one),
      accuracy,
      cursor + len(one.problems),
      {},
      ahead,
    )

  def _waiting(self, cursor: int) -> tuple[Batch, TokenBatch]:
    """The batch that waits, graded while the devices sample the next one."""
    run, state, ref = self._run, self._state, self._ref
    problems, texts = host.problems(run, cursor), self._texts(state.pending)
    # Policy log-probs are those of the policy that learns.
    rows = run.programs.score(state, ref, state.pending)
    ahead = _sampled_ahead(run, state, ref, 1, self._compare)
    # No look at other processes before grading: it would wait for the devices.
    one = self._graded(problems, state.pending, texts)
    return one._replace(rows=rows), ahead

  def _until_enough(self) -> Rollout:
    """Of as many batches as it takes."""
    run, begin = self._run, int(self._state.cursor)
    most = run.programs.settings.dynamic.max_batches
    asked = run.programs.settings.asked
    kept, counted = Kept(run.programs), Counted()
    while kept.left:
      if 0 < most == counted.batches:
        raise RuntimeError(self._too_few(kept, counted))
      first = counted.batches * asked
      problems, rows, _, graded = self._batch(begin + first, first)
      sound, tokens = jax.device_get(run.programs.merging.look(rows))
      check_sound(run, 1 - float(sound.mean()), len(sound))
      chosen = mixed(run.programs, graded, sound)
      accuracy = host.accuracy(run, problems, graded)
      counted.add(accuracy, int(tokens), len(chosen))
      kept.add(problems, rows, graded, chosen)
    rows = kept.rollout(host.prompts(run, kept.problems))
    # They lie on other devices by now, and so with other processes.
    texts = host.decode(run.task, rows) if run.programs.notes else []
    notes = self._notes(Batch(kept.problems, rows, texts, kept.graded))
    cursor = begin + counted.batches * asked
    return Rollout(
      rows, kept.graded, notes, counted.accuracy, cursor, counted.metrics()
    )

  def _batch(self, cursor: int, *first: int) -> Batch:
    """Samples and grades the prompts at a place of the data order.

    Args:
      cursor: prompts consumed so far.
      *first: with dynamic sampling, the number of the first one in the step.
    """
    preemption.look()
    run, programs = self._run, self._run.programs
    problems, prompts = host.encoded(run, cursor)
    told = self._state, self._ref, *prompts, *first
    rows = programs.sample(*told, text=run.text)
    if self._compare and not any(first):
      self._compare(self._state, self._ref, rows)
    return self._graded(problems, rows, self._texts(rows))

  def _texts(self, rows: TokenBatch) -> list[str]:
    texts = host.decode(self._run.task, rows)
    self._watch.lap("rollout")
    preemption.look()
    return texts

  def _graded(
    self, problems: list[tasks.Problem], rows: TokenBatch, texts: list[str]
  ) -> Batch:
    run = self._run
    asked = [problems[i] for i in run.programs.asking.row_prompts()]
    graded = host.graded(run, rows, asked, texts)
    self._watch.lap("grade")
    return Batch(problems, rows, texts, graded)

  def _notes(self, one: Batch) -> dict[str, np.ndarray]:
    plan = self._run.programs.plan
    asked = [one.problems[i] for i in plan.row_prompts()]
    told = one.texts, one.graded.answers
    notes = host.annotate(self._run, one.rows, asked, *told)
    self._watch.lap("grade")
    return notes

  def _too_few(self, kept: Kept, counted: Counted) -> str:
    settings = self._run.programs.settings
    return (
      f"step {int(self._state.step)} has drawn {counted.batches} batches of "
      f"{settings.asked} prompts, and {kept.left} of the {settings.prompts} "
      "groups with mixed rewards that it needs are missing (mean reward "
      f"{counted.right:.3g}). config.rollout.dynamic.max_batches = "
      f"{settings.dynamic.max_batches} allows no more. Most problems are too "
      "easy or too hard for the policy. Raise max_batches, 0 for no bound, and "
      "go on in the same --workdir; or train on other problems; or mask such "
      "groups instead, with config.rollout.dynamic.metric = 'off' and "
      "'group_filter' first in config.chain."
    )


def check_sound(run: Run, share: float, rows: int) -> None:
  """Stops a run whose rollouts hold too much that nobody can learn from.

  Args:
    run: of `build`.
    share: of the rows that are not `learning.sound`.
    rows: how many there are.

  Raises:
    FloatingPointError: the share is too large.
  """
  most = run.config.rollout.max_bad_fraction
  if share > most:
    raise FloatingPointError(
      f"{round(share * rows)} of the {rows} responses of this step have "
      "log-probs or statistics that are not finite; at most "
      f"config.rollout.max_bad_fraction = {most} of them may be left out. The "
      "weights are not finite any more, or the model overflows: train with a "
      "lower config.optimizer.learning_rate in another --workdir."
    )
