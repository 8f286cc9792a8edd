"""The laws every transform must hold, as checks of a transform of your own.

  from rlvr_jax import laws
  laws.check(my_factory)

Each law is a function of a `Subject` that raises an AssertionError naming the
law and what breaks it. All run on one small synthetic rollout and take a few
seconds, nearly all of it for compiling.
"""

import dataclasses
import functools
import inspect
import math
import pathlib
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from rlvr_jax import objective, reduce, stats, testing, transform
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

HEADINGS = ("Edits", "Needs", "State", "Scope", "Neutral", "Metrics", "Source")
PADDING_ROWS = 2
JUNK = (math.nan, math.inf, 1e30)
# Sums of about a hundred float32 terms, taken in another order.
REORDERED = 1e-6
# Central differences in float64: their error is of the order of STEP squared.
STEP = 1e-5
DIFFERENCE = 1e-6


@dataclasses.dataclass(frozen=True)
class Subject:
  """A transform on trial.

  Attributes:
    method: a single transform, with hyper-parameters that make it act.
    doc: docstring of its factory; None if there is none to look at.
    neutral: the transform with hyper-parameters that make it do nothing;
      None if there are none.
    row_order: whether the loss may depend on the order of the rows. One that
      reads `context.key` may in any case.
  """

  method: LossTransform
  doc: str | None = None
  neutral: LossTransform | None = None
  row_order: bool = False


Law = Callable[[Subject], None]


def check(
  method: LossTransform | Callable[[], LossTransform],
  *,
  neutral: LossTransform | None = None,
  row_order: bool = False,
) -> None:
  """Holds a transform to all laws.

  Args:
    method: a transform, or its factory, whose docstring is then held to what
      the transform does.
    neutral: see `Subject`.
    row_order: see `Subject`.

  Raises:
    AssertionError: all broken laws, one to a line.
  """
  doc = None
  if not isinstance(method, LossTransform):
    method, doc = method(), method.__doc__ or ""
  subject = Subject(method, doc, neutral, row_order)
  broken = []
  for law in LAWS:
    try:
      law(subject)
    except AssertionError as error:
      broken.append(str(error))
  _require(not broken, "\n".join(broken))


def _law(fn: Law) -> Law:
  """Puts the names of the transform and of the law before the message."""

  @functools.wraps(fn)
  def law(subject):
    try:
      fn(subject)
    except AssertionError as error:
      name = f"{subject.method.name!r} breaks the law {fn.__name__!r}"
      raise AssertionError(f"{name}: {error}") from None

  return law


@_law
def traces_once(subject: Subject) -> None:
  """Three steps are one trace, and the state keeps its shapes and types."""
  method, rollout = _in_chain(subject.method), _rollout(subject.method)
  traces = []

  @jax.jit
  def step(batch, params, state, number):
    traces.append(number)
    example = testing.Example(batch, params, testing.Bigram(), rollout.draws)
    clock = Clock(number, 0, jax.random.key(0))
    return testing.traceable_step(method, example, state, clock).state

  state = method.init(rollout.batch)
  numbers = [x for x in jax.tree.leaves(state) if not hasattr(x, "dtype")]
  _require(not numbers, f"init holds the Python numbers {numbers}")
  first = _spec(state)
  shapes = jax.eval_shape(lambda: rollout.batch)
  _require(
    _spec(method.init(shapes)) == first,
    "init gives another state for ShapeDtypeStructs than for arrays",
  )
  for number in range(3):
    state = jax.eval_shape(
      step, rollout.batch, rollout.params, state, jnp.int32(number)
    )
    after = _spec(state)
    _require(
      after == first, f"step {number} turns the state {first} into {after}"
    )
  _require(len(traces) == 1, f"three steps are {len(traces)} traces")


@_law
def declares_what_it_reads(subject: Subject) -> None:
  """`needs` are the statistics that the hooks read, no more, no fewer."""
  for part in _parts(subject.method):
    read = _observe(part).needs
    unread = [need.key for need in part.needs if need not in read]
    _require(not unread, f"needs holds {unread}, which nothing reads")


@_law
def declares_what_it_owns(subject: Subject) -> None:
  """`owns` are the fields that are set without regard to their old value."""
  for part in _parts(subject.method):
    edits = _observe(part).edits
    lost = {_field(place) for place, own in edits.items() if own}
    silent = sorted(lost - set(part.owns))
    _require(not silent, f"it overwrites {silent}, which owns does not hold")
    idle = sorted(set(part.owns) - {_field(place) for place in edits})
    _require(not idle, f"owns holds {idle}, which nothing edits")


@_law
def documents_itself(subject: Subject) -> None:
  """The docstring's headings say what the hooks are seen to do."""
  if subject.doc is None:
    return
  (part,) = _parts(subject.method)
  seen, said = _observe(part), _sections(subject.doc)
  missing = [name for name in (*HEADINGS, "Returns") if name not in said]
  _require(not missing, f"the docstring lacks the headings {missing}")
  owned = {place: _field(place) in part.owns for place in seen.edits}
  _compare("Edits", owned, _said_edits(said["Edits"]))
  names = dict.fromkeys(seen.metrics, False)
  _compare("Metrics", names, _said_metrics(said["Metrics"]))
  needs = said["Needs"]
  keys = [need.key for need in part.needs]
  _require(
    needs.startswith("nothing") == (not keys),
    f"'Needs: {needs}' against needs = {keys}",
  )
  for need in part.needs:
    words = (need.when, *(name for name in need.params if name != "policy"))
    unsaid = [word for word in words if word not in needs]
    _require(not unsaid, f"'Needs: {needs}' lacks {unsaid} of {need.key!r}")
  leaves = jax.tree.leaves(part.init(_rollout(part).batch))
  _require(
    not leaves or said["State"] != "none",
    f"'State: none', but init makes {len(leaves)} arrays",
  )
  _require(
    "Differs from that code" in said["Source"],
    "'Source:' does not say in what it differs from that code",
  )


@_law
def ignores_padding(subject: Subject) -> None:
  """What stands in positions and rows that do not count changes no bit."""
  method, rollout = _in_chain(subject.method), _rollout(subject.method)
  clean = _run(method, rollout)
  for junk in JUNK:
    different = _different(clean, _run(method, rollout, junk=junk))
    _require(not different, f"{junk} in the padding changes {different}")
  if not _depends_on_order(subject):
    short = _rows(rollout.batch, slice(-PADDING_ROWS))
    without = _run(method, rollout._replace(batch=short)).loss
    message = f"{PADDING_ROWS} more rows of padding change the loss"
    _require_close(message, clean.loss, without, REORDERED)


@_law
def ignores_row_order(subject: Subject) -> None:
  """Rows permuted inside and across groups give the same loss."""
  if _depends_on_order(subject):
    return
  method, rollout = _in_chain(subject.method), _rollout(subject.method)
  dice = np.random.default_rng(0)
  rows = len(rollout.batch.group)
  batch = _rows(rollout.batch, dice.permutation(rows))
  label = jnp.asarray(dice.permutation(rows))
  group = jnp.where(batch.group < 0, -1, label[batch.group])
  shuffled = rollout._replace(batch=batch.replace(group=group))
  first, second = _run(method, rollout), _run(method, shuffled)
  message = "permuted rows change the loss"
  _require_close(message, second.loss, first.loss, REORDERED)
  for key, gradient in first.gradient.items():
    got = jnp.sort(second.gradient[key], axis=None)
    want = jnp.sort(gradient, axis=None)
    message = f"permuted rows change the values of the gradient by {key!r}"
    _require_close(message, got, want, REORDERED)


@_law
def has_exact_gradient(subject: Subject) -> None:
  """The gradient by the statistics is the one of finite differences.

  In float64; what is held constant for the gradient is held in the
  differences too.
  """
  method, rollout = _in_chain(subject.method), _rollout(subject.method)
  with jax.enable_x64(True):
    batch, params = jax.tree.map(_double, (rollout.batch, rollout.params))
    along, difference = _slopes(method, rollout.draws, batch, params)
    message = "the gradient is not the one of finite differences"
    _require_close(message, along, difference, DIFFERENCE)


@_law
def is_nothing_when_neutral(subject: Subject) -> None:
  """Neutral hyper-parameters change no bit of loss and gradient."""
  if subject.neutral is None:
    return
  rollout = _rollout(subject.neutral)
  without = _run(_BASE, rollout)
  neutral = _run(_in_chain(subject.neutral), rollout)
  message = "it is neutral and changes the loss"
  _require_close(message, neutral.loss, without.loss, 0.0)
  for key, gradient in neutral.gradient.items():
    want = without.gradient.get(key, jnp.zeros_like(gradient))
    message = f"it is neutral and changes the gradient by {key!r}"
    _require_close(message, gradient, want, 0.0)


@_law
def survives_extremes(subject: Subject) -> None:
  """Extreme inputs give finite losses, gradients, advantages and states."""
  method, rollout = _in_chain(subject.method), _rollout(subject.method)
  for name, batch, logp in _extremes(rollout.batch):
    result = _run(method, rollout._replace(batch=batch), logp=logp)
    bad = [
      jax.tree_util.keystr(path)
      for path, leaf in jax.tree_util.tree_leaves_with_path(result)
      if not np.isfinite(leaf).all()
    ]
    _require(not bad, f"{name} make {bad} not finite")


@_law
def resumes_from_disk(subject: Subject) -> None:
  """The state passes through Orbax, and the next step does not notice."""
  method, rollout = _in_chain(subject.method), _rollout(subject.method)
  state = _run(method, rollout).state
  if not jax.tree.leaves(state):
    return
  restored = _through_orbax(state)
  different = _different(state, restored)
  _require(not different, f"Orbax changes {different} of the state")
  went_on = _run(method, rollout, state=state, step=1)
  resumed = _run(method, rollout, state=restored, step=1)
  different = _different(went_on, resumed)
  _require(not different, f"{different} differ after a restart")


LAWS: tuple[Law, ...] = (
  traces_once,
  declares_what_it_reads,
  declares_what_it_owns,
  documents_itself,
  ignores_padding,
  ignores_row_order,
  has_exact_gradient,
  is_nothing_when_neutral,
  survives_extremes,
  resumes_from_disk,
)


# The rollout on which everything is tried, and one step on it.


class _Rollout(NamedTuple):
  batch: TokenBatch
  params: dict[str, Array]
  draws: tuple[tuple[str, int], ...]


class _Result(NamedTuple):
  loss: Array
  gradient: dict[str, Array]  # of the loss, by the statistics at update
  prepared: TokenBatch
  stats: dict[str, Array]  # at update
  metrics: dict[str, Array]
  state: PyTree


_BASE = transform.chain(
  transform.estimate(
    "laws_base",
    lambda batch, context: (
      batch.reward - reduce.group_mean(batch.reward, batch.group)
    ),
  )
)


def _parts(method: LossTransform) -> tuple[LossTransform, ...]:
  return method.parts or (method,)


@functools.lru_cache
def _in_chain(method: LossTransform) -> LossTransform:
  """The method, behind a source of advantages unless it is one itself."""
  if "advantages" in method.owns:
    return transform.chain(method)
  return transform.chain(_BASE, method)


@functools.lru_cache
def _rollout(method: LossTransform) -> _Rollout:
  """A small rollout with rows of padding and the statistics it needs."""
  if all(part.plan is transform.keep_plan for part in _parts(method)):
    sampled = _main_draw()
  else:
    sampled = _sampled(method._replace(needs=()))
  then = sampled.params | {"policy": sampled.params["rollout"]}
  needs = tuple(need for need in method.needs if need.when == "rollout")
  found = stats.score(needs, then, sampled.batch, model=testing.Bigram())
  return sampled._replace(batch=sampled.batch.replace(stats=found))


@functools.lru_cache
def _main_draw() -> _Rollout:
  return _sampled(LossTransform("main"))


def _sampled(method: LossTransform) -> _Rollout:
  example = testing.tiny(method)
  pad = lambda x: jnp.concatenate([x, jnp.zeros_like(x[:PADDING_ROWS])])
  batch = jax.tree.map(pad, example.batch)
  padding = jnp.arange(len(batch.group)) >= len(example.batch.group)
  batch = batch.replace(
    # A weakly typed reward would be traced apart from a real one.
    reward=batch.reward.astype(jnp.float32),
    group=jnp.where(padding, -1, batch.group),
    score_temperature=jnp.where(padding, 1.0, batch.score_temperature),
  )
  return _Rollout(batch, example.params, example.draws)


def _rows(batch: TokenBatch, index: slice | np.ndarray) -> TokenBatch:
  return jax.tree.map(lambda x: x[index], batch)


def _run(
  method: LossTransform,
  rollout: _Rollout,
  *,
  state: PyTree | None = None,
  step: int = 0,
  junk: float = 0.0,
  logp: float = math.nan,
) -> _Result:
  """One prepare and one loss with gradient.

  Args:
    method: a chain.
    rollout: what it is tried on.
    state: state of the chain; the initial one if None.
    step: the step.
    junk: stands wherever nothing counts.
    logp: all current log-probs, other statistics being 0; NaN keeps them.

  Returns:
    A _Result.
  """
  state = method.init(rollout.batch) if state is None else state
  take_step = _compiled_step(method, rollout.draws)
  return take_step(rollout.batch, rollout.params, state, step, junk, logp)


@functools.lru_cache
def _compiled_step(method, draws):
  return jax.jit(functools.partial(_take_step, method, draws))


def _take_step(method, draws, batch, params, state, step, junk, logp):
  prepared, state, now = _prepare(
    method, draws, _spoil(batch, junk), params, state, step
  )
  set_all = lambda key, x: jnp.where(
    jnp.isnan(logp), x, logp if _is_logp(key) else 0.0
  )
  now = {k: set_all(k, v) for k, v in now.items()}
  spoilt = {k: jnp.where(prepared.mask, v, junk) for k, v in now.items()}
  run = functools.partial(_loss, method, _spoil(prepared, junk), state, step)
  grad = jax.value_and_grad(run, has_aux=True)
  (loss, (state, metrics)), gradient = grad(spoilt)
  return _Result(loss, gradient, prepared, now, metrics, state)


def _prepare(method, draws, batch, params, state, step=0):
  """The prepared batch, the state, and the statistics at update."""
  clock = Clock(step, 0, jax.random.key(0))
  batch, state = objective.prepare(method, draws)(batch, state, clock)
  example = testing.Example(batch, params, testing.Bigram(), draws)
  return batch, state, example.stats(method.needs)


def _loss(method, batch, state, step, now):
  clock = Clock(step, 0, jax.random.key(0))
  return objective.loss(method)(now, batch, state, clock)


def _spoil(batch: TokenBatch, junk: float) -> TokenBatch:
  empty = (batch.group < 0) & ~batch.mask.any(axis=1)
  token = lambda x: jnp.where(batch.mask, x, junk if _is_float(x) else 99)
  row = lambda x: jnp.where(empty, junk if _is_float(x) else 99, x)
  return batch.replace(
    turn=token(batch.turn),
    reward=row(batch.reward),
    sample_logp=token(batch.sample_logp),
    score_temperature=row(batch.score_temperature),
    old_logp=token(batch.old_logp),
    advantages=token(batch.advantages),
    stats={k: token(v) for k, v in batch.stats.items()},
    notes={k: row(v) for k, v in batch.notes.items()},
  )


def _extremes(batch: TokenBatch) -> Iterator[tuple[str, TokenBatch, float]]:
  """(what, rollout, all current log-probs or NaN) of hard inputs."""
  real = batch.group >= 0
  rows = jnp.arange(len(real))
  hard = {
    "two rows without tokens": dict(mask=batch.mask & (rows >= 2)[:, None]),
    "no tokens at all": dict(mask=jnp.zeros_like(batch.mask)),
    "equal rewards": dict(reward=real.astype(jnp.float32)),
    "groups of one": dict(group=jnp.where(real, rows, -1)),
    "rows without groups": dict(group=jnp.full_like(batch.group, -1)),
  }
  for name, fields in hard.items():
    yield name, batch.replace(**fields), math.nan
  for old, new in ((-1e4, -1e4), (0.0, 0.0), (-50.0, 0.0), (0.0, -50.0)):
    logp = jnp.full_like(batch.old_logp, old)
    then = {k: logp * _is_logp(k) for k in batch.stats}
    extreme = batch.replace(old_logp=logp, sample_logp=logp, stats=then)
    yield f"log-probs of {new} after {old}", extreme, new


def _is_logp(key: str) -> bool:
  return key.startswith(repr(stats.Logp()))


def _through_orbax(state: PyTree) -> PyTree:
  # Nothing else here needs Orbax.
  import orbax.checkpoint as ocp

  with (
    tempfile.TemporaryDirectory() as folder,
    ocp.StandardCheckpointer() as checkpointer,
  ):
    path = pathlib.Path(folder).resolve() / "state"
    checkpointer.save(path, {"method": state})
    checkpointer.wait_until_finished()
    shapes = jax.eval_shape(lambda: {"method": state})
    return checkpointer.restore(path, shapes)["method"]


# What a transform is seen to do.


class _Seen(NamedTuple):
  edits: dict[str, bool]  # "objective.weights": is the old value lost?
  metrics: set[str]
  needs: set[Need]
  key: list[bool]  # not empty if the key is read


@functools.lru_cache
def _observe(part: LossTransform) -> _Seen:
  """Runs the hooks of one transform on random records and takes notes."""
  seen = _Seen({}, set(), set(), [])

  class Recorder(Context):
    @property
    def key(self):
      seen.key.append(True)
      return super().key

    def stat(self, need):
      seen.needs.add(need)
      return super().stat(need)

  rollout = _rollout(part)
  usual = _run(_in_chain(part), rollout)
  dice = np.random.default_rng(0)
  noise = lambda x: jnp.asarray(dice.normal(size=x.shape), jnp.float32)
  batch = objective.clean(rollout.batch)
  batch = batch.replace(advantages=noise(batch.mask) * batch.mask)
  state, prepared, now = part.init(batch), usual.prepared, usual.stats
  context = Recorder(
    jnp.int32(0),
    jnp.int32(0),
    jax.random.key(0),
    batch,
    {},
    rollout.draws,
    part.name,
    part.needs,
  )

  def prepare(fields):
    record = batch.replace(**fields)
    at_hand = context._replace(batch=record)
    edited, _ = part.prepare(record, state, at_hand)
    seen.metrics.update(edited.metrics)
    return edited

  _note_edits(seen.edits, "batch", prepare, _arrays(batch))

  record = objective.initial(now, prepared).replace(
    advantages=noise(prepared.mask),
    weights=jnp.abs(noise(prepared.mask)) + 0.1,
    added=noise(prepared.mask),
    extra=jnp.float32(0.3),
  )

  def apply(fields):
    at_hand = context._replace(batch=prepared, stats=now)
    edited, _ = part.apply(record.replace(**fields), state, at_hand)
    seen.metrics.update(edited.metrics)
    if edited.surrogate is not record.surrogate:
      seen.edits["objective.surrogate"] = True
      edited.surrogate(edited, at_hand)
    return edited

  _note_edits(seen.edits, "objective", apply, _arrays(record))
  return seen


def _arrays(record: TokenBatch | Objective) -> dict[str, Array]:
  found = {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}
  return {k: v for k, v in found.items() if isinstance(v, jax.Array)}


def _note_edits(
  edits: dict[str, bool],
  record: str,
  hook: Callable[[dict[str, Array]], TokenBatch | Objective],
  fields: dict[str, Array],
) -> None:
  """Notes which fields a hook edits, and which of them it overwrites.

  A field is edited unless the hook hands through the very same array. It is
  overwritten if another old value gives the same new one.
  """
  edit = lambda fields: {
    k: v for k, v in vars(hook(fields)).items() if k in fields
  }
  jaxpr = jax.make_jaxpr(edit)(fields).jaxpr
  names = sorted(fields)
  edited = [
    name
    for name, old, new in zip(names, jaxpr.invars, jaxpr.outvars)
    if old is not new
  ]
  edit = jax.jit(edit)
  new = edit(fields)
  if any(new[name].shape != fields[name].shape for name in edited):
    edits[record] = False  # it hands back other rows
    return
  counts = fields["mask"] > 0
  if "group" in fields:
    counts &= (fields["group"] >= 0)[:, None]
  dice = np.random.default_rng(1)
  for name in edited:
    value, own = fields[name], False
    if value.dtype == jnp.float32:
      moved = 0.5 * value
      if name != "mask":
        moved += 0.1 * dice.normal(size=value.shape).astype(np.float32)
      again = edit(fields | {name: moved})[name]
      where = {2: counts, 1: counts.any(axis=1), 0: True}[value.ndim]
      own = bool(jnp.where(where, again == new[name], True).all())
    edits[f"{record}.{name}"] = own


def _field(place: str) -> str:
  return place.rpartition(".")[2]


def _depends_on_order(subject: Subject) -> bool:
  parts = _parts(subject.method)
  return subject.row_order or any(_observe(part).key for part in parts)


# What its docstring says.


_CONDITION = re.compile(r"\b(if|unless)\b")


class _Said(NamedTuple):
  own: bool
  optional: bool  # depends on a hyper-parameter


def _sections(doc: str) -> dict[str, str]:
  """The text under each heading of a docstring."""
  known = "|".join((*HEADINGS, "Args", "Returns", "Raises"))
  sections, open_section = {}, None
  for line in inspect.cleandoc(doc).splitlines():
    match = re.match(rf"({known}):\s*(.*)", line)
    if match:
      open_section = sections.setdefault(match[1], [])
      open_section.append(match[2])
    elif not line.startswith(" "):
      open_section = None
    elif open_section is not None:
      open_section.append(line.strip())
  return {k: "\n".join(v).strip() for k, v in sections.items()}


def _said_edits(text: str) -> dict[str, _Said]:
  """By place; "batch rows" stands for whatever it does to all fields."""
  said = {}
  place = r"\b(batch|objective)(?:(\.\w+)| rows)\s*\(([^)]*)\)"
  for clause in text.split(";"):
    for match in re.finditer(place, clause):
      optional = _CONDITION.search(clause[: match.end()]) is not None
      own = match[3].startswith("own")
      said[match[1] + (match[2] or "")] = _Said(own, optional)
  return said


def _said_metrics(text: str) -> dict[str, _Said]:
  entries = re.split(r"^(\S+/\S+):", text, flags=re.MULTILINE)[1:]
  return {
    name: _Said(False, _CONDITION.search(meaning) is not None)
    for name, meaning in zip(entries[::2], entries[1::2])
  }


def _compare(
  heading: str, seen: dict[str, bool], said: dict[str, _Said]
) -> None:
  # "batch" alone says that the rows are others, and so is every field.
  rows = "batch" in said
  known = {p for p in seen if p in said or (rows and p.startswith("batch."))}
  unsaid = sorted(seen.keys() - known)
  _require(not unsaid, f"'{heading}:' lacks {unsaid}")
  unseen = sorted(
    place
    for place, how in said.items()
    if place not in seen
    and not how.optional
    and not (rows and place.startswith("batch"))
  )
  _require(not unseen, f"'{heading}:' says {unseen}, which is not to be seen")
  for place in seen.keys() & said.keys():
    mark = "is" if seen[place] else "is not"
    _require(
      said[place].own == seen[place],
      f"'{heading}:' of {place}, which {mark} owned",
    )


# Arithmetic.


def _spec(tree: PyTree) -> PyTree:
  return jax.tree.map(lambda x: f"{x.dtype}{list(x.shape)}", tree)


def _is_float(x: Array) -> bool:
  return jnp.issubdtype(x.dtype, jnp.floating)


def _double(x: Array) -> Array:
  return x.astype(jnp.float64) if _is_float(x) else x


def _require(holds: bool, message: str) -> None:
  if not holds:
    raise AssertionError(message)


def _require_close(
  message: str, got: Array, want: Array, tolerance: float
) -> None:
  """Largest error relative to the largest wanted entry, or to 1."""
  error = jnp.abs(got - want)
  scale = jnp.maximum(jnp.abs(want).max(), 1.0)
  at = jnp.unravel_index(jnp.argmax(error), error.shape)
  _require(
    bool(error.max() <= tolerance * scale),
    f"{message}: {want[at]} became {got[at]}, error {error[at]:.2e}",
  )


def _different(first: PyTree, second: PyTree) -> list[str]:
  """Paths of leaves that are not equal bit for bit."""
  if jax.tree.structure(first) != jax.tree.structure(second):
    return ["the structure"]
  pairs = zip(
    jax.tree_util.tree_leaves_with_path(first), jax.tree.leaves(second)
  )
  return [
    jax.tree_util.keystr(path)
    for (path, a), b in pairs
    if a.dtype != b.dtype or not np.array_equal(a, b, equal_nan=True)
  ]


@functools.partial(jax.jit, static_argnums=(0, 1))
def _slopes(method, draws, batch, params):
  """Slope of the loss in a random direction: derivative and difference."""
  state = method.init(batch)
  batch, state, now = _prepare(method, draws, batch, params, state)
  loss = lambda now: _loss(method, batch, state, 0, now)[0]
  dice = np.random.default_rng(0)
  direction = {
    k: jnp.where(batch.mask, dice.normal(size=v.shape), 0)
    for k, v in now.items()
  }
  gradient = jax.grad(loss)(now)
  along = sum((gradient[k] * direction[k]).sum() for k in now)
  held = _holding(loss, now)
  at = lambda size: held({k: now[k] + size * direction[k] for k in now})
  return along, (at(STEP) - at(-STEP)) / (2 * STEP)


_CALLS = ("jit", "closed_call", "custom_jvp_call", "custom_vjp_call", "remat2")


def _holding(
  fn: Callable[[PyTree], Array], at: PyTree
) -> Callable[[PyTree], Array]:
  """`fn` with every stopped quantity held at the value it has at `at`.

  Its derivative is then what differentiation of fn gives, whatever the
  stopped quantities depend on.
  """
  closed = jax.make_jaxpr(fn)(at)
  values = []

  def record(x):
    values.append(x)
    return x

  _evaluate(closed, jax.tree.leaves(at), record)

  def held(at):
    replay = iter(values)
    return _evaluate(closed, jax.tree.leaves(at), lambda _: next(replay))[0]

  return held


def _evaluate(
  closed: core.ClosedJaxpr, args: Sequence[Array], stopped: Callable
) -> list[Array]:
  jaxpr = closed.jaxpr
  values = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*closed.consts, *args)))
  read = lambda v: v.val if isinstance(v, core.Literal) else values[v]
  for eqn in jaxpr.eqns:
    inputs = [read(v) for v in eqn.invars]
    if eqn.primitive.name == "stop_gradient":
      outputs = [stopped(*inputs)]
    elif eqn.primitive.name in _CALLS:
      inner = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr"))
      if not isinstance(inner, core.ClosedJaxpr):
        inner = core.ClosedJaxpr(inner, ())
      outputs = _evaluate(inner, inputs, stopped)
    else:
      bound = eqn.primitive.get_bind_params(eqn.params)
      # Releases of JAX differ: (functions, parameters), or parameters alone.
      functions, params = bound if isinstance(bound, tuple) else ((), bound)
      outputs = eqn.primitive.bind(*functions, *inputs, **params)
      if not eqn.primitive.multiple_results:
        outputs = [outputs]
    values.update(zip(eqn.outvars, outputs))
  return [read(v) for v in jaxpr.outvars]
