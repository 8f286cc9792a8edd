"""One optimizer step of a chain's learner on a rollout, and its scores."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from rlvr_jax import objective
from rlvr_jax.objective import Metrics
from rlvr_jax.training import gradient, guard, pieces, precision
from rlvr_jax.training.pieces import Pieces
from rlvr_jax.training.settings import Settings
from rlvr_jax.training.state import Learned, TrainState
from rlvr_jax.training.weights import Weights
from rlvr_jax.transform import Learner, LossTransform
from rlvr_jax.types import Array, Clock, Need, PyTree, TokenBatch

REWARD = "reward"  # its name among the parameter sets


def needs(method: LossTransform) -> tuple[Need, ...]:
  """What a chain needs, its learner included."""
  own = () if method.learner is None else method.learner.needs
  return tuple(dict.fromkeys(method.needs + own))


def scores(method: LossTransform) -> tuple[Need, ...]:
  """What the hooks of a chain want of the learner."""
  return tuple(
    need
    for need in method.needs
    if need.when == "rollout" and not need.is_note and REWARD in need.params
  )


def sound(batch: TokenBatch) -> Array:
  """bool[B]: rows whose log-probs and statistics are finite where they count.

  Rewards are not looked at: without labels they are NaN for a while.
  """
  one = lambda x: jnp.isfinite(x.reshape(*batch.mask.shape, -1)).all(axis=-1)
  arrays = (batch.old_logp, batch.sample_logp, *batch.stats.values())
  finite = jnp.stack([one(x) for x in arrays]).all(axis=0)
  return (finite | ~batch.mask).all(axis=1)


def graded(batch: TokenBatch, reward: Array, known: Array) -> TokenBatch:
  """A rollout with its rewards.

  Rows of unknown reward and those that are not `sound` no longer count.

  Args:
    batch: as sampled.
    reward: f32[B].
    known: bool[B].
  """
  known = known & sound(batch)
  return batch.replace(
    reward=reward,
    mask=batch.mask & known[:, None],
    group=jnp.where(known, batch.group, -1),
  )


def slices(settings: Settings) -> int:
  """Into how many slices the rollout is cut: as large as those of an update."""
  return settings.slices * settings.updates


def passes(method: LossTransform, settings: Settings) -> int:
  """What the learner of a chain costs a step, as `Plan.cost` counts."""
  sets = lambda needs: len({name for need in needs for name in need.params})
  own, wanted = method.learner.needs, scores(method)
  together = sets(own if method.learner.first else (*own, *wanted))
  again = 2 if slices(settings) > 1 else 1  # see `gradient`
  return together * again + 2 + method.learner.first * sets(wanted)


class Learning(NamedTuple):
  """Maps (state, ref, batch, reward, known) to (state, batch, metrics)."""

  method: LossTransform
  tx: optax.GradientTransformation
  settings: Settings
  weights: Weights
  draws: tuple[tuple[str, int], ...]
  pass_parts: int  # that rows of a full pass are split into

  def __call__(
    self,
    state: TrainState,
    ref: PyTree | None,
    batch: TokenBatch,
    reward: Array,
    known: Array,
  ) -> tuple[TrainState, TokenBatch, Metrics]:
    """Takes the step, or refuses it, and adds the scores to the rollout."""
    trained = graded(batch, reward, known)
    (loss, (found, metrics)), grads = self._gradient(state, ref, trained)
    norm = optax.global_norm(grads)
    ok = jnp.isfinite(loss) & jnp.isfinite(norm)
    # Where no group is learned from, momentum alone would move the model.
    state = self._stepped(state, grads, ok & (norm > 0))
    if self.method.learner.first:
      found = self._scores(state, ref, batch)
    return (
      state,
      batch.replace(stats=batch.stats | found),
      metrics
      | {
        "learner/loss": loss,
        "learner/gradient_norm": norm,
        "learner/skipped_fraction": 1.0 - ok,
      },
    )

  def _gradient(self, state, ref, batch) -> gradient.Output:
    """As of any loss, with the scores where the state would be."""
    learner = self.method.learner
    wanted = () if learner.first else scores(self.method)
    loss_fn = objective.learner_loss(learner, self.draws)

    def with_scores(found, batch, state, clock):
      own = {need.key: found[need.key] for need in learner.needs}
      loss, (_, metrics) = loss_fn(own, batch, state, clock)
      kept = {need.key: found[need.key] for need in wanted}
      return loss, (jax.lax.stop_gradient(kept), metrics)

    return gradient.loss_and_gradient(
      with_scores,
      (*learner.needs, *wanted),
      self.weights.sets(state, ref),
      batch,
      (),
      Clock(state.step, 0, jax.random.wrap_key_data(state.key)),
      model=self.weights.model(ref),
      pieces=self._pieces(batch),
      by=REWARD,
    )

  def _scores(self, state, ref, batch) -> dict[str, Array]:
    return gradient.score(
      scores(self.method),
      self.weights.sets(state, ref),
      batch.replace(stats={}),
      model=self.weights.model(ref),
      pieces=self._pieces(batch),
    )

  def _pieces(self, batch: TokenBatch) -> Pieces:
    rows = len(batch.mask) // self.pass_parts
    return pieces.of(self.settings, slices(self.settings), rows)

  def _stepped(self, state, grads, ok) -> TrainState:
    old = state.learned
    steps, opt = self.tx.update(grads, old.opt, old.params)
    new = Learned(optax.apply_updates(old.params, steps), opt)
    return state.replace(learned=guard.select(ok, new, old))


class Refusals:
  """Stops a run whose learner takes no step any more.

  The counter is of this process alone: a run that goes on counts anew.

  Args:
    limit: refused steps in a row that stop the run.
  """

  def __init__(self, limit: int):
    self._limit, self._in_a_row = limit, 0

  def __call__(self, line: Mapping[str, float]) -> None:
    """Looks at the numbers of a step.

    Raises:
      FloatingPointError: too many in a row were refused.
    """
    refused = line.get("learner/skipped_fraction", 0) > 0
    self._in_a_row = self._in_a_row + 1 if refused else 0
    if self._in_a_row >= self._limit:
      raise FloatingPointError(
        f"{self._in_a_row} steps of the learner in a row were refused (loss "
        f"{line['learner/loss']}, gradient norm "
        f"{line['learner/gradient_norm']}): the second model is not trained "
        "any more. Lower the rate of the method that has it, in another "
        "--workdir."
      )


def optimizer(learner: Learner, narrow: bool) -> optax.GradientTransformation:
  """Adam with clipping of the gradient norm.

  Args:
    learner: tells rate and norm.
    narrow: the weights have 16 bits.
  """
  tx = optax.chain(
    optax.clip_by_global_norm(learner.max_gradient_norm),
    optax.adam(learner.rate),
  )
  return precision.with_master_copies(tx) if narrow else tx
