"""The compiled programs of a run, one trace each: sample to update."""

import functools
import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import optax

from rlvr_jax import objective, rng
from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.models.transformer import Transformer
from rlvr_jax.sampling import sampler
from rlvr_jax.training import gradient, guard, learning, measures, traces
from rlvr_jax.training.merging import Merging
from rlvr_jax.training.plan import Plan, plan
from rlvr_jax.training.settings import Settings
from rlvr_jax.training.state import Learned, TrainState, layout
from rlvr_jax.training.update import Update
from rlvr_jax.training.weights import Weights
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array, Clock, Need, PyTree, TokenBatch, TokenText

# Stat of a rescored batch: what the sampler itself said, f32[B, T] nats.
SAMPLED = "sampled"


class Programs:
  """The steps of training as jitted functions of the state.

  Args:
    model: the decoder.
    method: the chain.
    tx: the optimizer.
    settings: counts and options.
    mesh: where things live.

  Attributes:
    sample: (state, ref, prompts, prompt_mask) -> batch; with the number that
      the first prompt has in the step behind them, if that is not 0, and with
      `text` as the property has it.
    sample_ahead: (state, ref, prompts, prompt_mask, steps, text) -> batch of so
      many steps later, that is not scored.
    score: (state, ref, batch) -> batch with what the sampler did not record.
    rescored: (state, ref, batch) -> f32[B, T], log-probs by a full pass, nats.
    weights: which parameters are trained and which are `ref`.
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
    self.settings, self.mesh = settings, mesh
    self.weights = Weights(model, learning.needs(method))
    rows = mesh_lib.by_row(mesh)
    self.sample = self._jit(self._sample, out_shardings=rows)
    self.sample_ahead = self._jit(self._sample_ahead, out_shardings=rows)
    self.score = self._jit(self._score, out_shardings=rows)
    self.rescored = self._jit(self._rescored, out_shardings=rows)

  @functools.cached_property
  def prepare(self):
    """(state, batch, reward, known, notes) -> batch, method state, metrics."""
    rows, whole = mesh_lib.by_row(self.mesh), mesh_lib.whole(self.mesh)
    out = rows, self._places.method, whole
    return self._jit(self._prepare, out_shardings=out)

  @functools.cached_property
  def _places(self) -> TrainState:
    """Where the state lives, a sharding per leaf."""
    shapes = jax.eval_shape(self.init_state, jax.random.key(0), None)
    return layout(shapes, self.mesh)

  @functools.cached_property
  def update(self):
    """(state, ref, batch, update index) -> (state, metrics); donates state."""
    where, whole = self._places, mesh_lib.whole(self.mesh)
    one = self.updating()

    def update(state, ref, batch, index):
      return one(state, ref, batch, index)

    return self._jit(update, donate_argnums=0, out_shardings=(where, whole))

  def updating(self) -> Update:
    """What `update` compiles."""
    return Update(
      self.method,
      self.tx,
      self.settings,
      self.weights,
      self.plan.draws,
      mesh_lib.by_row(self.mesh),
    )

  @functools.cached_property
  def learn(self):
    """(state, ref, batch, reward, known) -> (state, batch, metrics).

    Comes before `prepare` and donates the state; None without a learner.
    """
    if self.method.learner is None:
      return None
    where, whole = self._places, mesh_lib.whole(self.mesh)
    one = self._learning()

    def learn(state, ref, batch, reward, known):
      return one(state, ref, batch, reward, known)

    out = where, mesh_lib.by_row(self.mesh), whole
    return self._jit(learn, donate_argnums=0, out_shardings=out)

  def _jit(self, fn, **how):
    """Compiled, once for every width that prompts are padded to."""
    widths = self.settings.prompt_widths
    return jax.jit(traces.limited(fn, len(widths)), **how)

  def ahead(
    self, state: TrainState, ref: PyTree | None, *prompts: Array
  ) -> Iterator[tuple[str, jax.stages.Traced]]:
    """Traces the programs of a step before any of them runs.

    Once these are compiled, calling them with the same shapes compiles nothing
    again.

    Args:
      state: of the run; arrays or ShapeDtypeStructs with shardings, as are
        the others.
      ref: of `Weights.frozen`.
      *prompts: i32[P, W] and bool[P, W], as `sample` takes them.

    Yields:
      Their names and traces, in the order of a step.
    """
    sample = self._sampling(state, ref, *prompts)
    yield "rollout", sample
    batch = sample.out_info
    if self.settings.compare_every:
      yield "scoring", self.rescored.trace(state, ref, batch)
    if self.settings.ahead:
      score = self.score.trace(state, ref, batch)
      yield "score", score
      batch = score.out_info
    if self.merging is not None:
      merging = dict(self.merging.ahead(batch))
      yield from merging.items()
      batch = merging["finish"].out_info
    outcome, notes = self._graded(batch)
    if self.learn:
      learn = self.learn.trace(state, ref, batch, *outcome)
      yield "learn", learn
      state, batch, _ = learn.out_info
    prepare = self.prepare.trace(state, batch, *outcome, notes)
    yield "prepare", prepare
    batch, method, _ = prepare.out_info
    state = state.replace(method=method)
    yield "update", self.update.trace(state, ref, batch, 0)

  def _sampling(self, state, ref, *prompts) -> jax.stages.Traced:
    """The program that samples, traced."""
    if self.settings.ahead:
      given = state, ref, *prompts, 1
      return self.sample_ahead.trace(*given, text=self.text)
    first = () if self.settings.dynamic is None else (0,)
    return self.sample.trace(state, ref, *prompts, *first, text=self.text)

  @functools.cached_property
  def plan(self) -> Plan:
    """The draws of a step."""
    state = jax.eval_shape(lambda: self.method.init(self.example))
    return plan(self.method, self.settings, state)

  @functools.cached_property
  def asking(self) -> Plan:
    """The draws of the prompts that are asked at a time."""
    dynamic = self.settings.dynamic
    return self.plan if dynamic is None else self.plan.asking(dynamic.prompts)

  @functools.cached_property
  def text(self) -> TokenText | None:
    """Shapes of what `sample` is told of all tokens; None without branches."""
    if not any(block.parent for block in self.plan.blocks):
      return None
    of = lambda kind: jax.ShapeDtypeStruct(
      (self.model.config.vocabulary,), kind
    )
    return TokenText(of(jnp.int32), of(jnp.bool))

  @functools.cached_property
  def merging(self) -> Merging | None:
    """What makes one rollout of several batches; None if one is enough."""
    if self.settings.dynamic is None:
      return None
    prompts = self._widest(self.settings.prompts)
    return Merging(self.plan, self.asking, prompts, self.mesh, self._jit)

  def cost(self) -> dict[str, float]:
    """See `Plan.cost`."""
    return self.plan.cost(self.method, self.settings)

  @property
  def notes(self) -> tuple[Need, ...]:
    """What the host must write on every rollout."""
    return tuple(need for need in self.method.needs if need.is_note)

  def rows(self) -> tuple[int, int]:
    """Rows of a step before and after `prepare`, by abstract evaluation."""
    params = jax.eval_shape(self.model.init, jax.random.key(0))
    ref = self.weights.frozen(params)
    state = jax.eval_shape(self.init_state, jax.random.key(0), None)
    asked = dict(text=self.text)
    batch = jax.eval_shape(self._sample, state, ref, *self.prompts(), **asked)
    if self.merging is not None:
      batch = self.merging.shapes(batch)
    sampled = batch.mask.shape[0]
    outcome, notes = self._graded(batch)
    if self.method.learner is not None:
      learn = lambda *args: self._learning()(*args)
      state, batch, _ = jax.eval_shape(learn, state, ref, batch, *outcome)
    edited, _, _ = jax.eval_shape(self._prepare, state, batch, *outcome, notes)
    return sampled, edited.mask.shape[0]

  def _graded(self, batch: TokenBatch):
    """Shapes of what the host tells of a rollout: (reward, known), notes."""
    shapes = {"row": batch.mask.shape[:1], "token": batch.mask.shape}
    row = lambda kind: jax.ShapeDtypeStruct(shapes["row"], kind)
    notes = {
      n.key: jax.ShapeDtypeStruct(shapes[n.stat.shape], jnp.int32)
      for n in self.notes
    }
    return (row(jnp.float32), row(jnp.bool)), notes

  def init_state(self, key: Array, params: PyTree | None) -> TrainState:
    """The state before the first step.

    Args:
      key: of the run.
      params: of the decoder; None draws random ones.
    """
    bare = self._bare_state(key, params)
    state = bare.replace(method=self.method.init(self.example))
    if not self.settings.ahead:
      return state
    return state.replace(pending=self._nothing_ahead(state))

  def _nothing_ahead(self, state: TrainState) -> TokenBatch:
    """A rollout without tokens."""
    ref = self.weights.frozen(jax.eval_shape(self.model.init, _key(state)))
    given = state, ref, *self.prompts(), 1
    shapes = jax.eval_shape(self._sample_ahead, *given, text=self.text)
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)

  def _bare_state(self, key: Array, params: PyTree | None) -> TrainState:
    """The same without states of methods."""
    if params is None:
      params = self.model.init(rng.key(key, rng.Purpose.INIT))
    params = self.weights.trained(params)
    return TrainState(
      step=jnp.zeros((), jnp.int32),
      cursor=jnp.zeros((), jnp.int32),
      params=params,
      opt=self.tx.init(params),
      method={},
      ema=self.weights.slow_copy(params),
      learned=self._learned(params),
      guard=guard.init(self.settings.guard_window),
      key=jax.random.key_data(key),
    )

  @functools.cached_property
  def example(self) -> TokenBatch:
    """Shapes of a rollout's main draw, for states that must know them.

    It has all statistics and notes that `prepare` finds.
    """
    state = jax.eval_shape(self._bare_state, jax.random.key(0), None)
    params = jax.eval_shape(self.model.init, jax.random.key(0))
    main = lambda *args: self._drawn(*args, (self.settings.main,))
    ref = self.weights.frozen(params)
    prompts = self._widest(self.settings.prompts)
    batch = jax.eval_shape(main, state, ref, *prompts)
    token = jax.ShapeDtypeStruct(batch.mask.shape, jnp.float32)
    scores = {need.key: token for need in learning.scores(self.method)}
    _, notes = self._graded(batch)
    return batch.replace(stats=batch.stats | scores, notes=notes)

  def prompts(self) -> tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct]:
    """Shapes of the widest prompts that are asked at a time."""
    return self._widest(self.settings.asked)

  def _widest(
    self, count: int
  ) -> tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct]:
    shape = (count, self.settings.prompt_width)
    of = lambda kind: jax.ShapeDtypeStruct(shape, kind)
    return of(jnp.int32), of(jnp.bool)

  def _learner_tx(self) -> optax.GradientTransformation:
    sizes = self.model.config
    narrow = sizes.param_dtype != "float32" and sizes.lora is None
    return learning.optimizer(self.method.learner, narrow)

  def _learned(self, params: PyTree) -> Learned | None:
    if self.method.learner is None:
      return None
    return Learned(params, self._learner_tx().init(params))

  def _learning(self) -> learning.Learning:
    return learning.Learning(
      self.method,
      self._learner_tx(),
      self.settings,
      self.weights,
      self.plan.draws,
    )

  def _rollout(self, state, ref, prompts, prompt_mask, draws, first, text):
    s = self.settings
    key = rng.key(_key(state), rng.Purpose.SAMPLE, state.step)
    places = first + jnp.arange(len(prompts))
    numbers = sampler.Numbers(places, jnp.zeros_like(places))
    how = dict(length=s.length, ends=s.ends, needs=self.method.needs)
    return sampler.rollout(
      self.weights.whole(state.params, ref),
      prompts,
      prompt_mask,
      draws,
      key,
      model=self.model,
      rows=s.rows,
      numbers=numbers,
      text=text,
      **how,
    )

  def _sample(
    self, state, ref, prompts, prompt_mask, first=0, text=None
  ) -> TokenBatch:
    """Samples all draws and scores what the methods want of them."""
    draws = self.method.plan((self.settings.main,), state.method)
    if self.settings.dynamic is not None:
      # Any prompt may come to be among the first ones that are kept.
      draws = tuple(draw._replace(prompt_fraction=1.0) for draw in draws)
    return self._drawn(state, ref, prompts, prompt_mask, draws, first, text)

  def _sample_ahead(
    self, state, ref, prompts, prompt_mask, steps, text=None
  ) -> TokenBatch:
    """Samples all draws of a later step with the policy of now."""
    draws = self.method.plan((self.settings.main,), state.method)
    later = state.replace(step=state.step + steps)
    return self._rollout(later, ref, prompts, prompt_mask, draws, 0, text)

  def _drawn(
    self, state, ref, prompts, prompt_mask, draws, first=0, text=None
  ) -> TokenBatch:
    given = prompts, prompt_mask, draws, first, text
    return self._score(state, ref, self._rollout(state, ref, *given))

  def _score(self, state, ref, batch) -> TokenBatch:
    """Adds the rollout-time statistics that the sampler did not record."""
    s = self.settings
    later = learning.scores(self.method)
    wanted = [
      n
      for n in self.method.needs
      if n.when == "rollout" and not n.is_note and n not in later
    ]
    known = batch.stats | {sampler.OLD_LOGP.key: batch.old_logp}
    if s.rescore:
      wanted += [sampler.OLD_LOGP, sampler.ENTROPY]
      known = {}
    missing = tuple(n for n in dict.fromkeys(wanted) if n.key not in known)
    if missing:
      known |= self.scored(missing, state, ref, batch)
    if s.rescore:
      known[SAMPLED] = batch.old_logp
    return batch.replace(old_logp=known[sampler.OLD_LOGP.key], stats=known)

  def scored(
    self,
    needs: tuple[Need, ...],
    state: TrainState,
    ref: PyTree | None,
    batch: TokenBatch,
  ) -> dict[str, Array]:
    """Statistics of a rollout by a full pass, by Need.key."""
    return gradient.score(
      needs,
      self.weights.sets(state, ref),
      batch.replace(stats={}),
      model=self.weights.model(ref),
      slices=self._slices(batch),
      widths=self.settings.widths,
      chunk=self.settings.chunk,
    )

  def _rescored(self, state, ref, batch) -> Array:
    found = self.scored((sampler.OLD_LOGP,), state, ref, batch)
    return jnp.where(batch.mask, found[sampler.OLD_LOGP.key], 0)

  def _slices(self, batch) -> int:
    """Into how many slices a rollout is cut: no larger than an update's."""
    rows = len(batch.mask) // mesh_lib.row_parts(self.mesh)
    return math.gcd(rows, self.settings.slices * self.settings.updates)

  def _prepare(self, state, batch, reward, known, notes):
    """Puts rewards in, measures, and lets the methods edit the rollout."""
    bad = jnp.mean(~learning.sound(batch), dtype=jnp.float32)
    grown = measures.trees(batch)
    batch = learning.graded(batch, reward, known).replace(notes=notes)
    entropy = batch.stats[sampler.ENTROPY.key]
    measured = measures.rollout(batch, entropy, self.settings.ends)
    measured |= grown | {"guard/bad_fraction": bad}
    if self.settings.rescore:
      sampled = batch.stats[SAMPLED]
      measured |= measures.mismatch(batch.old_logp, sampled, batch.mask)
    clock = Clock(state.step, 0, _key(state))
    edit = objective.prepare(self.method, self.plan.draws)
    batch, method_state = edit(batch, state.method, clock)
    measured |= measures.covariance(batch)
    return batch.replace(metrics={}), method_state, measured | batch.metrics


def _key(state: TrainState) -> Array:
  return jax.random.wrap_key_data(state.key)
