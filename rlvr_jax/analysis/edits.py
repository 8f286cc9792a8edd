"""What each transform of a chain does to the loss of one minibatch."""

from collections.abc import Mapping
from typing import NamedTuple

import jax

from rlvr_jax import objective
from rlvr_jax.objective import Aggregation
from rlvr_jax.transform import LossTransform, chain
from rlvr_jax.types import Array, Clock, Objective, PyTree, TokenBatch


class Stage(NamedTuple):
  """The loss of a chain that ends after one of its members.

  Attributes:
    name: the member, "" for no member at all.
    record: what that chain makes of the objective.
    loss: f32[].
    push: f32[B, T] by Need.key: minus the derivative of the loss by a
      statistic, which is where a step of gradient descent drives it. That of
      the log-probs is positive where a token is made more probable.
  """

  name: str
  record: Objective
  loss: Array
  push: dict[str, Array]


# A hook may return anything as its state: here, what it was given.
_LAST = LossTransform("last", apply=lambda record, *_: (record, record))


def stages(
  method: LossTransform,
  stats: Mapping[str, Array],
  batch: TokenBatch,
  state: PyTree,
  clock: Clock,
  *,
  clip: tuple[float, float] = (0.2, 0.2),
  mode: Aggregation = "token-mean",
  draws: tuple[tuple[str, int], ...] = (),
) -> list[Stage]:
  """Follows one loss through a chain, member by member.

  Args:
    method: a transform or a chain.
    stats: update-time statistics, by Need.key.
    batch: rows before `prepare`.
    state: of the chain before the step.
    clock: of the update.
    clip: as in `objective.loss`.
    mode: as in `objective.loss`.
    draws: as in `objective.loss`.

  Returns:
    One Stage before the first member and one after each.
  """
  parts = chain(method).parts

  @jax.jit
  def run(stats, batch, state, clock):
    def stage(members):
      cut = chain(*members, _LAST)
      own = {part.name: state[part.name] for part in members}
      rows, own = objective.prepare(cut, draws)(
        batch, own | {_LAST.name: ()}, clock
      )
      loss = objective.loss(cut, clip=clip, mode=mode, draws=draws)
      grad = jax.value_and_grad(loss, has_aux=True)
      (value, (after, _)), slope = grad(stats, rows, own, clock)
      push = jax.tree.map(lambda x: -x, slope)
      return after[_LAST.name], value, push

    return [stage(parts[:count]) for count in range(len(parts) + 1)]

  names = ("", *(part.name for part in parts))
  found = run(dict(stats), batch, state, clock)
  return [Stage(name, *values) for name, values in zip(names, found)]
