"""The compiled programs of a run: sample, prepare, update. One trace each."""

import functools
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from rlvr_jax import objective, reduce, rng, stats
from rlvr_jax.models import lora
from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.models.transformer import Transformer
from rlvr_jax.sampling import sampler
from rlvr_jax.training import gradient, guard, measures
from rlvr_jax.training.state import TrainState, layout
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import (
  Array,
  Clock,
  Draw,
  Need,
  PyTree,
  TokenBatch,
)

# Stat of a rescored batch: what the sampler itself said, f32[B, T] nats.
SAMPLED = "sampled"


class Settings(NamedTuple):
  """The numbers the programs are compiled with."""

  prompts: int
  prompt_width: int
  length: int  # response positions T
  ends: sampler.Ends
  rows: int  # most that are sampled at a time; 0 for all
  main: Draw
  updates: int  # minibatches per rollout
  slices: int
  chunk: int  # tokens whose logits exist at the same time
  clip: tuple[float, float]
  aggregation: objective.Aggregation
  scale: float | None
  rescore: bool  # old log-probs from a full pass, not from the sampler
  ema_decay: float
  guard_window: int
  guard_sigmas: float


class Block(NamedTuple):
  """The rows of one draw."""

  name: str
  prompts: int
  per_prompt: int


class Programs:
  """The steps of training as jitted functions of the state.

  Args:
    model: the decoder.
    method: the chain.
    tx: the optimizer.
    settings: counts and options.
    mesh: where things live.
  """

  def __init__(
    self,
    model: Transformer,
    method: LossTransform,
    tx: optax.GradientTransformation,
    settings: Settings,
    mesh: jax.sharding.Mesh,
  ):
    self.model, self.method, self.tx = model, method, tx
    self.adapted = model.config.lora is not None
    self.settings, self.mesh = settings, mesh
    rows = mesh_lib.by_row(mesh)
    self.sample = jax.jit(self._sample, out_shardings=rows)
    whole = mesh_lib.whole(mesh)
    self.prepare = jax.jit(self._prepare, out_shardings=(rows, whole, whole))

  @functools.cached_property
  def update(self):
    """(state, ref, batch, update index) -> (state, metrics); donates state."""
    shapes = jax.eval_shape(self.init_state, jax.random.key(0), None)
    where = layout(shapes, self.mesh)
    whole = mesh_lib.whole(self.mesh)
    return jax.jit(self._update, donate_argnums=0, out_shardings=(where, whole))

  @functools.cached_property
  def blocks(self) -> tuple[Block, ...]:
    """The draws of a step with their counts, without sampling anything."""
    planned = []

    def plan(state):
      planned.extend(self.method.plan((self.settings.main,), state))
      return ()

    jax.eval_shape(plan, jax.eval_shape(self._method_state))
    count = lambda d: d.prompts(self.settings.prompts)
    return tuple(Block(d.name, count(d), d.per_prompt) for d in planned)

  @property
  def draws(self) -> tuple[tuple[str, int], ...]:
    """Names and row counts of the draws of a step."""
    return tuple((b.name, b.prompts * b.per_prompt) for b in self.blocks)

  def cost(self) -> dict[str, float]:
    """What the methods ask for beyond the policy's own pass and main draw.

    Returns:
      `cost/extra_passes`: forward passes over all rows, after the rollout or
      spread over the updates; `cost/extra_rows`: sampled beside the main draw.
    """
    passes = {
      (need.when, name)
      for need in self.method.needs
      if not need.is_note and need.params != ("policy",)
      for name in need.params
      if (need.when, name) != ("update", "policy")
    }
    if self.settings.rescore:
      passes.add(("rollout", "policy"))
    rows = sum(rows for _, rows in self.draws[1:])
    return {
      "cost/extra_passes": float(len(passes)),
      "cost/extra_rows": float(rows),
    }

  def rows(self) -> tuple[int, int]:
    """Rows a step samples and rows it trains on, by abstract evaluation."""
    s = self.settings
    params = jax.eval_shape(self.model.init, jax.random.key(0))
    ref = self.frozen(params)
    state = jax.eval_shape(self.init_state, jax.random.key(0), None)
    shape = (s.prompts, s.prompt_width)
    tokens = jax.ShapeDtypeStruct(shape, jnp.int32)
    valid = jax.ShapeDtypeStruct(shape, jnp.bool)
    batch = jax.eval_shape(self._sample, state, ref, tokens, valid)
    sampled = batch.mask.shape[0]
    row = lambda kind: jax.ShapeDtypeStruct((sampled,), kind)
    shapes = {"row": (sampled,), "token": batch.mask.shape}
    notes = {
      n.key: jax.ShapeDtypeStruct(shapes[n.stat.shape], jnp.int32)
      for n in self.notes
    }
    edited, _, _ = jax.eval_shape(
      self._prepare, state, batch, row(jnp.float32), row(jnp.bool), notes
    )
    return sampled, edited.mask.shape[0]

  def row_prompts(self) -> np.ndarray:
    """i64[B]: which prompt of the step each sampled row answers."""
    return np.concatenate(
      [np.repeat(np.arange(b.prompts), b.per_prompt) for b in self.blocks]
    )

  @property
  def notes(self) -> tuple[Need, ...]:
    """What the host must write on every rollout."""
    return tuple(need for need in self.method.needs if need.is_note)

  def needs_params(self, name: str) -> bool:
    """Whether a need of the chain names this parameter set."""
    return any(name in need.params for need in self.method.needs)

  def frozen(self, params: PyTree) -> PyTree | None:
    """What the programs take as `ref`, of the parameters at the beginning.

    They are the reference policy, read only if a need names it; with adapters
    they are also the weights below these, which every program reads.
    """
    if self.adapted:
      return lora.split(params)[0]
    return params if self.needs_params("ref") else None

  def whole(self, params: PyTree, ref: PyTree | None) -> PyTree:
    """All parameters of the decoder, of those in the state."""
    return lora.join(ref, params) if self.adapted else params

  def _bound(self, ref: PyTree | None) -> stats.Model:
    """The decoder as functions of the parameters in the state."""
    return lora.Adapted(self.model, ref) if self.adapted else self.model

  def init_state(self, key: Array, params: PyTree | None) -> TrainState:
    """The state before the first step.

    Args:
      key: of the run.
      params: of the decoder; None draws random ones.
    """
    if params is None:
      params = self.model.init(rng.key(key, rng.Purpose.INIT))
    if self.adapted:
      params = lora.split(params)[1]
    slow = lambda x: x.astype(jnp.float32)  # or small changes would be lost
    return TrainState(
      step=jnp.zeros((), jnp.int32),
      cursor=jnp.zeros((), jnp.int32),
      params=params,
      opt=self.tx.init(params),
      method=self._method_state(),
      ema=jax.tree.map(slow, params) if self.needs_params("ema") else None,
      guard=guard.init(self.settings.guard_window),
      key=jax.random.key_data(key),
    )

  def _method_state(self) -> PyTree:
    return self.method.init(self.example())

  def example(self) -> TokenBatch:
    """Shapes of a rollout's main draw, for states that must know them."""
    s = self.settings
    plan = lambda p, t, m, k: self._rollout(p, t, m, (s.main,), k)
    shape = (s.prompts, s.prompt_width)
    return jax.eval_shape(
      plan,
      jax.eval_shape(self.model.init, jax.random.key(0)),
      jax.ShapeDtypeStruct(shape, jnp.int32),
      jax.ShapeDtypeStruct(shape, jnp.bool),
      jax.random.key(0),
    )

  def _rollout(self, params, prompts, prompt_mask, draws, key):
    s = self.settings
    how = dict(length=s.length, ends=s.ends, needs=self.method.needs)
    how |= dict(rows=s.rows, devices=mesh_lib.row_parts(self.mesh))
    return sampler.rollout(
      params, prompts, prompt_mask, draws, key, model=self.model, **how
    )

  def _params(self, state, ref) -> Mapping[str, PyTree]:
    origin = None if self.adapted else ref
    return {"policy": state.params, "ref": origin, "ema": state.ema}

  def _sample(self, state, ref, prompts, prompt_mask) -> TokenBatch:
    """Samples all draws and scores what the methods want of them."""
    key = rng.key(self._key(state), rng.Purpose.SAMPLE, state.step)
    draws = self.method.plan((self.settings.main,), state.method)
    policy = self.whole(state.params, ref)
    batch = self._rollout(policy, prompts, prompt_mask, draws, key)
    return self._score(batch, state, ref)

  def _score(self, batch, state, ref):
    s = self.settings
    wanted = [
      n for n in self.method.needs if n.when == "rollout" and not n.is_note
    ]
    known = batch.stats | {sampler.OLD_LOGP.key: batch.old_logp}
    if s.rescore:
      wanted += [sampler.OLD_LOGP, sampler.ENTROPY]
      known = {}
    missing = tuple(n for n in dict.fromkeys(wanted) if n.key not in known)
    if missing:
      known |= gradient.score(
        missing,
        self._params(state, ref),
        batch.replace(stats={}),
        model=self._bound(ref),
        slices=s.slices,
        chunk=s.chunk,
      )
    if s.rescore:
      known[SAMPLED] = batch.old_logp
    return batch.replace(old_logp=known[sampler.OLD_LOGP.key], stats=known)

  def _prepare(self, state, batch, reward, known, notes):
    """Puts rewards in, measures, and lets the methods edit the rollout."""
    batch = batch.replace(
      reward=reward,
      notes=notes,
      mask=batch.mask & known[:, None],
      group=jnp.where(known, batch.group, -1),
    )
    entropy = batch.stats[sampler.ENTROPY.key]
    measured = measures.rollout(batch, entropy, self.settings.ends)
    if self.settings.rescore:
      sampled = batch.stats[SAMPLED]
      measured |= measures.mismatch(batch.old_logp, sampled, batch.mask)
    clock = Clock(state.step, 0, self._key(state))
    edit = objective.prepare(self.method, self.draws)
    batch, method_state = edit(batch, state.method, clock)
    measured |= measures.covariance(batch)
    return batch.replace(metrics={}), method_state, measured | batch.metrics

  def _update(self, state, ref, batch, index):
    """One optimizer step on minibatch `index` of the step."""
    s = self.settings
    clock = Clock(state.step, index, self._key(state))
    batch = self._minibatch(batch, clock)
    needs = tuple(n for n in self.method.needs if n.when == "update")
    loss_fn = objective.loss(
      self.method,
      clip=s.clip,
      mode=s.aggregation,
      scale=s.scale,
      draws=self.draws,
    )
    if not s.rescore:  # or it was measured against the scored ones
      loss_fn = with_mismatch(loss_fn)
    (loss, (method_state, metrics)), grads = gradient.loss_and_gradient(
      loss_fn,
      (stats.LOGP, *needs),
      self._params(state, ref),
      batch,
      state.method,
      clock,
      model=self._bound(ref),
      slices=s.slices,
      chunk=s.chunk,
    )
    norm = optax.global_norm(grads)
    ok = guard.accepts(state.guard, loss, norm, s.guard_sigmas)
    steps, opt = self.tx.update(grads, state.opt, state.params)
    params = optax.apply_updates(state.params, steps)
    ema = self._slow(state.ema, params)
    new = (params, opt, method_state, ema)
    old = (state.params, state.opt, state.method, state.ema)
    params, opt, method_state, ema = guard.select(ok, new, old)
    last = index == s.updates - 1
    state = state.replace(
      step=state.step + last,
      cursor=state.cursor + last * s.prompts,
      params=params,
      opt=opt,
      method=method_state,
      ema=ema,
      guard=guard.advance(state.guard, ok, norm),
    )
    metrics |= {
      "loss/total": loss,
      "update/gradient_norm": norm,
      "guard/skipped_fraction": 1.0 - ok,
      "guard/consecutive_max": state.guard.consecutive.astype(jnp.float32),
    }
    return state, metrics

  def _minibatch(self, batch, clock):
    """The rows of one minibatch; groups are shuffled afresh every step.

    Rows of a group stay together, so that methods can compare them in `apply`
    too; a group is cut only where a method has changed the sizes of groups.
    """
    key = rng.key(clock.key, rng.Purpose.SHUFFLE, clock.step)
    order = shuffled(batch, key)
    order = order.reshape(self.settings.updates, -1)[clock.update]
    where = mesh_lib.by_row(self.mesh)
    take = lambda x: jax.lax.with_sharding_constraint(x[order], where)
    batch = jax.tree.map(take, batch)
    return batch.replace(group=reduce.renumbered(batch.group))

  def _slow(self, ema, params):
    if ema is None:
      return None
    decay = self.settings.ema_decay
    return jax.tree.map(lambda e, p: decay * e + (1 - decay) * p, ema, params)

  def _key(self, state):
    return jax.random.wrap_key_data(state.key)


def shuffled(batch: TokenBatch, key: Array) -> Array:
  """i32[B]: row numbers, groups in random order, each in one piece.

  Rows that have lost their group, because nobody could grade them or they only
  voted, stay with their prompt: the next groups keep their places. Replayed
  rows move on their own.
  """
  rows = jnp.arange(batch.group.shape[0])
  kin = reduce.subgroup(batch.prompt, batch.source)
  slot = jnp.where(kin < 0, len(rows), kin)
  over_kin = lambda of, x: of(x, slot, len(rows) + 1)[slot]
  of_kin = over_kin(jax.ops.segment_max, batch.group)
  first = jnp.where(kin < 0, rows, over_kin(jax.ops.segment_min, rows))
  lost = jnp.where((kin >= 0) & (of_kin >= 0), of_kin, len(rows) + first)
  unit = jnp.where(batch.group < 0, lost, batch.group)
  rank = jax.random.permutation(key, 2 * len(rows))
  return jnp.argsort(rank[unit], stable=True)


def with_mismatch(loss_fn: objective.LossFn) -> objective.LossFn:
  """Adds the sampler-trainer mismatch to the metrics of a loss."""

  def wrapped(found, batch, state, clock):
    total, (state, metrics) = loss_fn(found, batch, state, clock)
    logp = jax.lax.stop_gradient(found[stats.LOGP.key])
    return total, (
      state,
      metrics | measures.mismatch(logp, batch.old_logp, batch.mask),
    )

  return wrapped


def mean_over_updates(lines: list[dict[str, float]]) -> dict[str, float]:
  """One number per metric of the updates of a step.

  Names ending in _max or _min take the extreme. The mismatch is that of the
  first update, when trainer and sampler still hold the same parameters.
  """

  def one(name, values):
    if name.startswith("mismatch/"):
      return values[0]
    if name.endswith("_max"):
      return max(values)
    if name.endswith("_min"):
      return min(values)
    return sum(values) / len(values)

  return {k: one(k, [line[k] for line in lines]) for k in lines[0]}
