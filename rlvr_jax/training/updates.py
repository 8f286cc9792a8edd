"""The updates of a step, and what stops a run when too many are refused."""

import jax
from absl import logging

from rlvr_jax.objective import Metrics
from rlvr_jax.training.metrics import mean_over_updates
from rlvr_jax.training.programs import Programs
from rlvr_jax.training.state import TrainState
from rlvr_jax.types import PyTree, TokenBatch


class Refused(FloatingPointError):
  """So many updates in a row were refused that no more are made.

  Attributes:
    state: before the last of them, but for the counters of the guard and the
      rollout that waits, which is of the next step already.
    ref: of `Weights.frozen`.
    batch: the prepared rollout.
    update: which update of the step was the last one.
    metrics: of that update.
  """

  def __init__(
    self,
    state: TrainState,
    ref: PyTree | None,
    batch: TokenBatch,
    update: int,
    metrics: dict[str, float],
  ):
    self.state, self.ref, self.batch = state, ref, batch
    self.update, self.metrics = update, metrics
    super().__init__(
      f"{metrics['guard/consecutive_max']:.0f} updates in a row were refused, "
      f"the last in step {int(state.step)} (loss {metrics['loss/total']}, "
      f"gradient norm {metrics['update/gradient_norm']})."
    )


def make(
  programs: Programs,
  state: TrainState,
  ref: PyTree | None,
  batch: TokenBatch,
  measured: Metrics,
) -> tuple[TrainState, dict[str, float]]:
  """Makes the updates of a step on its prepared rollout.

  Args:
    programs: of the run.
    state: consumed; do not use it afterwards.
    ref: of `Weights.frozen`.
    batch: of `Programs.prepare`.
    measured: of the rollout; read with the numbers of the updates, so that no
      device waits for the host before the last of them.

  Returns:
    The next state, and one number per metric.

  Raises:
    Refused: as many in a row as the settings allow were refused.
  """
  logging.info("the updates begin")
  s, found = programs.settings, []
  for index in range(s.updates):
    state, numbers = programs.update(state, ref, batch, index)
    found.append(numbers)
  line, *lines = (
    {k: float(v) for k, v in told.items()}
    for told in jax.device_get([measured, *found])
  )
  for index, told in enumerate(lines):
    if told["guard/consecutive_max"] >= s.guard_limit:
      # The guard took none of those after it, so the state is still the one.
      before = state.replace(
        step=state.step - 1, cursor=state.cursor - s.prompts
      )
      raise Refused(before, ref, batch, index, told)
  return state, line | mean_over_updates(lines)
