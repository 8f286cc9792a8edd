"""The compiled programs of supervised training: prepare, update, measure."""

import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import optax

from rlvr_jax import objective, reduce, stats, transform
from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.models.transformer import Transformer
from rlvr_jax.objective import Metrics
from rlvr_jax.training.programs import Programs
from rlvr_jax.training.settings import Settings
from rlvr_jax.training.state import TrainState
from rlvr_jax.training.supervised import token_batch
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import (
  Array,
  Clock,
  Context,
  Need,
  Objective,
  PyTree,
  TokenBatch,
)

ENTROPY = Need(stats.Entropy())
Rows = dict[str, Array]


def _watched(objective: Objective, context: Context) -> Metrics:
  """Of all answer tokens, whatever the chain learns from."""
  del objective
  mean = lambda x: reduce.masked_mean(x, context.batch.mask)
  return {
    "cross_entropy": mean(-context.logp),
    "entropy": mean(context.stat(ENTROPY)),
  }


WATCH = transform.monitor("supervised", _watched, (ENTROPY,))


class SupervisedPrograms(Programs):
  """The steps of supervised training as jitted functions of the state.

  The state and its update are those of RL; rows of demonstrations take the
  place of a graded rollout.

  Args:
    model: the decoder.
    method: the chain.
    tx: the optimizer.
    settings: counts and options; a "prompt" is a row, and so is its only
      response, all of the row but its first token.
    mesh: where things live.

  Attributes:
    prepare: (state, ref, rows) -> batch, method state, metrics.
    measure: (state, ref, rows) -> sums over their answer tokens.
  """

  def __init__(
    self,
    model: Transformer,
    method: LossTransform,
    tx: optax.GradientTransformation,
    settings: Settings,
    mesh: jax.sharding.Mesh,
  ):
    watched = transform.chain(method, WATCH)
    super().__init__(model, watched, tx, settings, mesh)
    rows, whole = mesh_lib.by_row(mesh), mesh_lib.whole(mesh)
    of_rows = (rows, whole, whole)
    self.prepare = self._jit(self._demonstrate, out_shardings=of_rows)
    self.measure = self._jit(self._measure, out_shardings=whole)

  def ahead(
    self, state: TrainState, ref: PyTree | None, rows: Rows
  ) -> Iterator[tuple[str, jax.stages.Traced]]:
    """As `Programs.ahead`, of demonstrations."""
    prepare = self.prepare.trace(state, ref, rows)
    yield "prepare", prepare
    batch, method, _ = prepare.out_info
    state = state.replace(method=method)
    yield "update", self.update.trace(state, ref, batch, 0)

  @functools.cached_property
  def example(self) -> TokenBatch:
    """Shapes of a batch, for states that must know them."""
    rows, length = self.settings.prompts, self.settings.length
    shape = lambda width, kind: jax.ShapeDtypeStruct((rows, width), kind)
    return jax.eval_shape(
      token_batch,
      {
        "tokens": shape(1 + length, jnp.int32),
        "prompt_mask": shape(1, jnp.bool),
        "mask": shape(length, jnp.bool),
        "segment": shape(1 + length, jnp.int32),
      },
    )

  def _demonstrate(
    self, state: TrainState, ref: PyTree | None, rows: Rows
  ) -> tuple[TokenBatch, PyTree, Metrics]:
    """Makes a batch of the rows and lets the methods edit it."""
    batch = token_batch(rows)
    needs = tuple(n for n in self.method.needs if n.when == "rollout")
    if needs:
      batch = batch.replace(stats=self.scored(needs, state, ref, batch))
    measured = {
      "data/answer_tokens": batch.mask.sum().astype(jnp.float32),
      "data/tokens": (batch.segment >= 0).sum().astype(jnp.float32),
      "data/demonstrations": (batch.segment.max(axis=1) + 1.0).sum(),
    }
    clock = Clock(state.step, 0, jax.random.wrap_key_data(state.key))
    edit = objective.prepare(self.method, self.plan.draws)
    batch, method = edit(batch, state.method, clock)
    return batch.replace(metrics={}), method, measured | batch.metrics

  def _measure(
    self, state: TrainState, ref: PyTree | None, rows: Rows
  ) -> dict[str, Array]:
    batch = token_batch(rows)
    found = self.scored((stats.LOGP, ENTROPY), state, ref, batch)
    total = lambda x: jnp.where(batch.mask, x, 0).sum()
    return {
      "cross_entropy": total(-found[stats.LOGP.key]),
      "entropy": total(found[ENTROPY.key]),
      "tokens": batch.mask.sum().astype(jnp.float32),
    }
