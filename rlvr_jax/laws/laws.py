"""The ten laws."""

import math
import pathlib
import tempfile

import jax
import jax.numpy as jnp
import numpy as np

from rlvr_jax import testing
from rlvr_jax.laws import docstrings
from rlvr_jax.laws.expect import different, require, require_close
from rlvr_jax.laws.gradients import learner_slopes, slopes
from rlvr_jax.laws.recorder import observe
from rlvr_jax.laws.rollouts import (
  BASE,
  NOTHING,
  PADDING_ROWS,
  extremes,
  trial,
)
from rlvr_jax.laws.steps import clock, run
from rlvr_jax.laws.subject import Law, Subject, law
from rlvr_jax.types import PyTree

JUNK = (math.nan, math.inf, 1e30)
# Sums of about a hundred float32 terms, taken in another order.
REORDERED = 1e-6
# Between the derivative and the central difference of gradients.STEP.
DIFFERENCE = 1e-6


@law
def traces_once(subject: Subject) -> None:
  """Three steps are one trace, and the state keeps its shapes and types."""
  method, rollout = trial(subject.method)
  traces = []

  @jax.jit
  def step(batch, params, state, number):
    traces.append(number)
    example = testing.Example(batch, params, testing.Bigram(), rollout.draws)
    return testing.traceable_step(method, example, state, clock(number)).state

  state = method.init(rollout.batch)
  numbers = [x for x in jax.tree.leaves(state) if not hasattr(x, "dtype")]
  require(not numbers, f"init holds the Python numbers {numbers}")
  first = _spec(state)
  shapes = jax.eval_shape(lambda: rollout.batch)
  require(
    _spec(method.init(shapes)) == first,
    "init gives another state for ShapeDtypeStructs than for arrays",
  )
  for number in range(3):
    state = jax.eval_shape(
      step, rollout.batch, rollout.params, state, jnp.int32(number)
    )
    after = _spec(state)
    require(
      after == first, f"step {number} turns the state {first} into {after}"
    )
  require(len(traces) == 1, f"three steps are {len(traces)} traces")


@law
def declares_what_it_reads(subject: Subject) -> None:
  """`needs` are the statistics that the hooks read, no more, no fewer."""
  for part in subject.parts:
    read = observe(part).needs
    unread = [need.key for need in _needs(part) if need not in read]
    require(not unread, f"needs holds {unread}, which nothing reads")


@law
def declares_what_it_owns(subject: Subject) -> None:
  """`owns` are the fields that are set without regard to their old value."""
  for part in subject.parts:
    edits = observe(part).edits
    lost = {_field(place) for place, own in edits.items() if own}
    silent = sorted(lost - set(part.owns))
    require(not silent, f"it overwrites {silent}, which owns does not hold")
    if "batch" in edits:  # The rows are others, and so is every field.
      continue
    idle = sorted(set(part.owns) - {_field(place) for place in edits})
    require(not idle, f"owns holds {idle}, which nothing edits")


@law
def documents_itself(subject: Subject) -> None:
  """The docstring's headings say what the hooks are seen to do."""
  if subject.doc is None:
    return
  (part,) = subject.parts
  seen, said = observe(part), docstrings.sections(subject.doc)
  headings = (*docstrings.HEADINGS, "Returns")
  missing = [name for name in headings if name not in said]
  require(not missing, f"the docstring lacks the headings {missing}")
  owned = {place: _field(place) in part.owns for place in seen.edits}
  docstrings.compare("Edits", owned, docstrings.said_edits(said["Edits"]))
  names = dict.fromkeys(seen.metrics, False)
  docstrings.compare("Metrics", names, docstrings.said_metrics(said["Metrics"]))
  needs = said["Needs"]
  keys = [need.key for need in _needs(part)]
  # "nothing; the entropy at rollout if ..." serves both.
  nothing, sometimes = needs.startswith("nothing"), docstrings.condition(needs)
  require(
    nothing if not keys else sometimes or not nothing,
    f"'Needs: {needs}' against needs = {keys}",
  )
  for need in _needs(part):
    words = (need.when, *(name for name in need.params if name != "policy"))
    unsaid = [word for word in words if word not in needs]
    require(not unsaid, f"'Needs: {needs}' lacks {unsaid} of {need.key!r}")
  _, rollout = trial(part)
  leaves = jax.tree.leaves(part.init(rollout.batch))
  require(
    not leaves or said["State"] != "none",
    f"'State: none', but init makes {len(leaves)} arrays",
  )
  require(
    "Differs from that code" in said["Source"],
    "'Source:' does not say in what it differs from that code",
  )


@law
def ignores_padding(subject: Subject) -> None:
  """What stands in positions and rows that do not count changes no bit."""
  method, rollout = trial(subject.method)
  clean = run(method, rollout)
  for junk in JUNK:
    changed = different(clean, run(method, rollout, junk=junk))
    require(not changed, f"{junk} in the padding changes {changed}")
  if not _depends_on_order(subject):
    kept = np.arange(len(rollout.batch.group) - PADDING_ROWS)
    short = rollout.batch.take(kept)
    without = run(method, rollout._replace(batch=short))
    message = f"{PADDING_ROWS} more rows of padding change the loss"
    require_close(message, clean.loss, without.loss, REORDERED)
    _require_same_lesson(message, clean, without)


@law
def ignores_row_order(subject: Subject) -> None:
  """Rows permuted inside and across groups give the same loss."""
  if _depends_on_order(subject):
    return
  method, rollout = trial(subject.method)
  dice = np.random.default_rng(0)
  count = len(rollout.batch.group)
  batch = rollout.batch.take(dice.permutation(count))
  label = jnp.asarray(dice.permutation(count))
  group = jnp.where(batch.group < 0, -1, label[batch.group])
  shuffled = rollout._replace(batch=batch.replace(group=group))
  first, second = run(method, rollout), run(method, shuffled)
  message = "permuted rows change the loss"
  require_close(message, second.loss, first.loss, REORDERED)
  _require_same_lesson(message, second, first)
  for key, gradient in first.gradient.items():
    got = jnp.sort(second.gradient[key], axis=None)
    want = jnp.sort(gradient, axis=None)
    message = f"permuted rows change the values of the gradient by {key!r}"
    require_close(message, got, want, REORDERED)


@law
def has_exact_gradient(subject: Subject) -> None:
  """The gradient by the statistics is the one of finite differences.

  In float64; what is held constant for the gradient is held in the
  differences too.
  """
  method, (batch, params, draws) = trial(subject.method)
  with jax.enable_x64(True):
    along, difference = slopes(method, draws, batch, params)
    message = "the gradient is not the one of finite differences"
    require_close(message, along, difference, DIFFERENCE)
    if method.learner is not None:
      along, difference = learner_slopes(method, draws, batch, params)
      require_close(f"{message}, the learner's", along, difference, DIFFERENCE)


@law
def is_nothing_when_neutral(subject: Subject) -> None:
  """Neutral hyper-parameters change no bit of loss and gradient."""
  if subject.neutral is None:
    return
  method, rollout = trial(subject.neutral)
  without, neutral = run(BASE, rollout), run(method, rollout)
  message = "it is neutral and changes the loss"
  require_close(message, neutral.loss, without.loss, 0.0)
  for key, gradient in neutral.gradient.items():
    want = without.gradient.get(key, jnp.zeros_like(gradient))
    message = f"it is neutral and changes the gradient by {key!r}"
    require_close(message, gradient, want, 0.0)


@law
def survives_extremes(subject: Subject) -> None:
  """Extreme inputs give finite losses, gradients, advantages and states.

  Where nothing counts there is no loss and no gradient, and what is clipped
  below and above is together what is clipped.
  """
  method, rollout = trial(subject.method)
  for name, batch, logp in extremes(rollout.batch):
    result = run(method, rollout._replace(batch=batch), logp=logp)
    bad = [
      jax.tree_util.keystr(path)
      for path, leaf in jax.tree_util.tree_leaves_with_path(result)
      if not np.isfinite(leaf).all()
    ]
    require(not bad, f"{name} make {bad} not finite")
    if name == NOTHING:
      taught = [k for k, x in result.gradient.items() if x.any()]
      require(not result.loss, f"{name} give the loss {result.loss}")
      require(not taught, f"{name} give a gradient by {taught}")
    low, high, both = (
      float(result.metrics[f"loss/clipped{side}_fraction"])
      for side in ("_low", "_high", "")
    )
    require(
      abs(low + high - both) < 1e-6 and 0 <= both <= 1,
      f"{name} clip the shares {low} below, {high} above and {both} in all",
    )


@law
def resumes_from_disk(subject: Subject) -> None:
  """The state passes through Orbax, and the next step does not notice."""
  method, rollout = trial(subject.method)
  state = run(method, rollout).state
  if not jax.tree.leaves(state):
    return
  restored = _through_orbax(state)
  changed = different(state, restored)
  require(not changed, f"Orbax changes {changed} of the state")
  went_on = run(method, rollout, state=state, step=1)
  resumed = run(method, rollout, state=restored, step=1)
  changed = different(went_on, resumed)
  require(not changed, f"{changed} differ after a restart")


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


def _depends_on_order(subject):
  return subject.row_order or any(observe(part).key for part in subject.parts)


def _require_same_lesson(message, got, want):
  if want.lesson is not None:
    losses = got.lesson.loss, want.lesson.loss
    require_close(f"{message} of the learner", *losses, REORDERED)


def _needs(part):
  own = () if part.learner is None else part.learner.needs
  return (*part.needs, *own)


def _field(place):
  return place.rpartition(".")[2]


def _spec(tree):
  return jax.tree.map(lambda x: f"{x.dtype}{list(x.shape)}", tree)


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
