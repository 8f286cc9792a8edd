"""One optimizer step on a minibatch, taken or refused as a whole."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from rlvr_jax import objective, stats
from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.objective import Metrics
from rlvr_jax.training import gradient, guard, measures, minibatch, pieces
from rlvr_jax.training.settings import Settings
from rlvr_jax.training.state import TrainState
from rlvr_jax.training.weights import Weights
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array, Clock, PyTree, TokenBatch


class Update(NamedTuple):
  """Maps (state, ref, batch, update index) to (state, metrics)."""

  method: LossTransform
  tx: optax.GradientTransformation
  settings: Settings
  weights: Weights
  draws: tuple[tuple[str, int], ...]
  rows: jax.sharding.NamedSharding  # where rows lie

  def __call__(
    self,
    state: TrainState,
    ref: PyTree | None,
    batch: TokenBatch,
    index: Array,
  ) -> tuple[TrainState, Metrics]:
    """Makes update `index` of the step on its rows of the rollout.

    Where no token counts, as while nothing is replayed, everything stays: else
    momentum alone would move the weights.
    """
    output = self.differentiate(state, ref, batch, index)
    (loss, (method, metrics)), grads = output
    norm = optax.global_norm(grads)
    ok = guard.accepts(state.guard, loss, norm, *self.settings.guard_spikes)
    ok &= guard.finite(method)
    ok &= ~guard.tripped(state.guard, self.settings.guard_limit)
    counts = metrics["loss/tokens"] > 0
    state = self._stepped(state, grads, method, ok, counts, index)
    state = self._counted(state, ok, norm, index)
    return state, metrics | {
      "loss/total": loss,
      "update/gradient_norm": norm,
      "guard/skipped_fraction": 1.0 - ok,
      "guard/consecutive_max": state.guard.consecutive.astype(jnp.float32),
    }

  def differentiate(
    self,
    state: TrainState,
    ref: PyTree | None,
    batch: TokenBatch,
    index: Array,
  ) -> gradient.Output:
    """The loss of update `index` of the step, and its gradient."""
    clock = Clock(state.step, index, jax.random.wrap_key_data(state.key))
    batch = minibatch.take(batch, clock, self.settings.updates, self.rows)
    needs = tuple(n for n in self.method.needs if n.when == "update")
    rows = len(batch.mask) // mesh_lib.pass_parts(self.rows.mesh)
    return gradient.loss_and_gradient(
      self._loss(),
      (stats.LOGP, *needs),
      self.weights.sets(state, ref),
      batch,
      state.method,
      clock,
      model=self.weights.model(ref),
      pieces=pieces.of(self.settings, self.settings.slices, rows),
    )

  def _loss(self) -> objective.LossFn:
    s = self.settings
    loss_fn = objective.loss(
      self.method,
      clip=s.clip,
      mode=s.aggregation,
      scale=s.scale,
      draws=self.draws,
    )
    # Of rescored rows it was measured before.
    return loss_fn if s.rescore else measures.with_mismatch(loss_fn)

  def _stepped(self, state, grads, method, ok, counts, index) -> TrainState:
    """Weights, optimizer, method and slow copy: all new, or none.

    A slow copy that waits for several updates may have waited for an empty one.
    """
    decay, every = self.settings.ema_decay, self.settings.ema_every
    steps, opt = self.tx.update(grads, state.opt, state.params)
    params = optax.apply_updates(state.params, steps)
    new = dict(params=params, opt=opt, method=method)
    old = {name: getattr(state, name) for name in new}
    taken = guard.select(ok & counts, new, old)
    ema = self.weights.followed(state.ema, taken["params"], taken["opt"], decay)
    moves = ok & (counts | (every > 1)) & self._moves_slow_copy(state, index)
    return state.replace(**taken, ema=guard.select(moves, ema, state.ema))

  def _moves_slow_copy(self, state, index) -> Array:
    """Whether as many updates were taken, with this one, as it waits for."""
    s = self.settings
    taken = state.step * s.updates + index + 1 - state.guard.refused
    return taken % s.ema_every == 0

  def _counted(self, state, ok, norm, index) -> TrainState:
    last = index == self.settings.updates - 1
    return state.replace(
      step=state.step + last,
      cursor=state.cursor + last * self.settings.prompts,
      guard=guard.advance(state.guard, ok, norm),
    )
