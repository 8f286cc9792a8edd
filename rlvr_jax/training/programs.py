"""The compiled programs of a run, one trace each: sample to update."""

import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import optax

from rlvr_jax import objective, rng
from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.models.transformer import Transformer
from rlvr_jax.sampling import sampler
from rlvr_jax.training import guard, learning, measures, traces
from rlvr_jax.training.merging import Merging
from rlvr_jax.training.plan import Plan, plan
from rlvr_jax.training.rollouts import SAMPLED, Rollouts
from rlvr_jax.training.settings import Settings
from rlvr_jax.training.state import Learned, TrainState, layout
from rlvr_jax.training.update import Update
from rlvr_jax.training.weights import Weights
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array, Clock, Need, PyTree, TokenBatch, TokenText


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
    scored: (needs, state, ref, batch) -> statistics by Need.key; not compiled.
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
    parts, rows = mesh_lib.pass_parts(mesh), mesh_lib.by_row(mesh)
    self._rollouts = Rollouts(model, method, settings, self.weights, parts)
    compiled = functools.partial(self._jit, out_shardings=rows)
    self.sample = compiled(self._rollouts.sample)
    self.sample_ahead = compiled(self._rollouts.sample_ahead)
    self.score = compiled(self._rollouts.score)
    self.rescored = compiled(self._rollouts.rescored)
    self.scored = self._rollouts.scored

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
    one = self.learning()

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
    sample = self._rollouts.sample
    batch = jax.eval_shape(sample, state, ref, *self.prompts(), **asked)
    if self.merging is not None:
      batch = self.merging.shapes(batch)
    sampled = batch.mask.shape[0]
    outcome, notes = self._graded(batch)
    if self.method.learner is not None:
      learn = lambda *args: self.learning()(*args)
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
    ahead = self._rollouts.sample_ahead
    shapes = jax.eval_shape(ahead, *given, text=self.text)
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
    main = lambda *args: self._rollouts.drawn(*args, (self.settings.main,))
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

  def learning(self) -> learning.Learning:
    """What `learn` compiles."""
    return learning.Learning(
      self.method,
      self._learner_tx(),
      self.settings,
      self.weights,
      self.plan.draws,
      mesh_lib.pass_parts(self.mesh),
    )

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
