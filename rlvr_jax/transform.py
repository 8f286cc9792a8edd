"""`LossTransform`: a published idea as a few pure edits; `chain` composes them.

A transform maps a record to itself, so any two compose and the order is the
order of the expression. The hooks, all optional:

  plan     before sampling: which rows the sampler shall produce
  prepare  once a step on the whole rollout, no gradient: advantages, masks
  apply    at each update on the minibatch, differentiable: weights, clips

A method that learns to score responses has a `Learner` besides.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax import rng
from rlvr_jax.types import (
  Array,
  Context,
  Draw,
  Need,
  Objective,
  PyTree,
  TokenBatch,
)

# Only these carry gradient out of a transform.
DIFFERENTIABLE = ("log_ratio", "added", "extra")
CONSTANT = ("advantages", "weights", "clip_low", "clip_high", "mask")


def no_state(example: TokenBatch) -> PyTree:
  """The state of a stateless transform."""
  del example
  return ()


def keep(record, state, context):
  """An edit that changes nothing."""
  del context
  return record, state


def keep_plan(draws: tuple[Draw, ...], state: PyTree) -> tuple[Draw, ...]:
  """A plan that adds no draw."""
  del state
  return draws


class Learner(NamedTuple):
  """A second model of the policy's kind that a method trains to score.

  It is the parameter set "reward". It starts as the policy does and takes one
  step of Adam per rollout, after the rewards are known and before `prepare`.
  The needs that the hooks have of it, all with when="rollout", are its scores.

  Attributes:
    needs: statistics with when="update" that its loss reads.
    loss: Context of the whole rollout, graded and not prepared, to
      (f32[], metrics); differentiated by the statistics of "reward". It may
      read what the transform itself needs too, but for the scores.
    rate: learning rate.
    max_gradient_norm: longer gradients are shortened to it.
    first: it takes its step, then scores the rollout; False for the scores
      from before the step, which cost no pass of their own.
  """

  needs: tuple[Need, ...]
  loss: Callable[[Context], tuple[Array, dict[str, Array]]]
  rate: float
  max_gradient_norm: float = 1.0
  first: bool = False


class LossTransform(NamedTuple):
  """A published idea as up to three pure edits and a state.

  Attributes:
    name: unique in a chain; prefix of its metrics, key of its state.
    init: example TokenBatch (arrays or ShapeDtypeStructs) to state.
    apply: (Objective, state, Context) -> (Objective, state), differentiable.
    prepare: (TokenBatch, state, Context) -> (TokenBatch, state).
    plan: (draws, state) -> draws; only the first draw is the main one.
    needs: statistics the hooks read by `context.stat`.
    owns: fields it overwrites instead of accumulating into.
    learner: a model that is trained beside the policy; one in a chain.
    parts: the members of a chain, empty for a single transform.
  """

  name: str
  init: Callable[[TokenBatch], PyTree] = no_state
  apply: Callable[[Objective, PyTree, Context], tuple[Objective, PyTree]] = keep
  prepare: Callable[
    [TokenBatch, PyTree, Context], tuple[TokenBatch, PyTree]
  ] = keep
  plan: Callable[[tuple[Draw, ...], PyTree], tuple[Draw, ...]] = keep_plan
  needs: tuple[Need, ...] = ()
  owns: tuple[str, ...] = ()
  parts: tuple["LossTransform", ...] = ()
  learner: Learner | None = None


def chain(*transforms: LossTransform, name: str = "chain") -> LossTransform:
  """Composes transforms from left to right into one.

  Chains nest: `chain(a, chain(b, c))` is `chain(a, b, c)`, state included.

  Args:
    *transforms: at least one; names must differ.
    name: name of the result, used in messages only.

  Returns:
    A LossTransform whose state is `{member name: member state}`.

  Raises:
    ValueError: no transforms, equal names, two owners of one field, or two
      learners.
  """
  parts = tuple(p for t in transforms for p in (t.parts or (t,)))
  _check_names(parts)
  _check_owners(parts)

  def init(example):
    return {t.name: t.init(example) for t in parts}

  def apply(objective, state, context):
    new = {}
    for t in parts:
      inner = _inner(context, t)
      edited, new[t.name] = t.apply(objective, state[t.name], inner)
      _check_metrics(t.name, objective.metrics, edited.metrics)
      objective = _freeze(edited)
    return objective, new

  def prepare(batch, state, context):
    new = {}
    for t in parts:
      inner = _inner(context, t)._replace(batch=batch)
      edited, new[t.name] = t.prepare(batch, state[t.name], inner)
      _check_metrics(t.name, batch.metrics, edited.metrics)
      _check_notes(t.name, batch.notes, edited.notes)
      batch = edited
    return batch, new

  def plan(draws, state):
    for t in parts:
      draws = t.plan(draws, state[t.name])
    return draws

  needs = tuple(dict.fromkeys(n for t in parts for n in t.needs))
  owns = tuple(f for t in parts for f in t.owns)
  return LossTransform(
    name, init, apply, prepare, plan, needs, owns, parts, _learner(parts)
  )


def _learner(parts: tuple[LossTransform, ...]) -> Learner | None:
  """The only learner among the parts, under the name of its transform."""
  having = [t for t in parts if t.learner is not None]
  if len(having) > 1:
    raise ValueError(
      f"{having[0].name!r} and {having[1].name!r} both train a model of "
      "rewards, and there is one such set of parameters; drop one of them."
    )
  if not having:
    return None
  (owner,) = having

  def loss(context):
    inner = _inner(context, owner)
    inner = inner._replace(needs=owner.needs + owner.learner.needs)
    value, metrics = owner.learner.loss(inner)
    _check_metrics(owner.name, {}, metrics)
    return value, metrics

  return owner.learner._replace(loss=loss)


def _check_names(parts: tuple[LossTransform, ...]) -> None:
  if not parts:
    raise ValueError("chain() needs at least one transform, got none.")
  names = [t.name for t in parts]
  twice = sorted({n for n in names if names.count(n) > 1})
  if twice:
    raise ValueError(
      f"chain holds {twice} more than once (members: {names}); names key "
      "state and metrics, so drop one or give it another name."
    )


def _check_owners(parts: Iterable[LossTransform]) -> None:
  owner = {}
  for t in parts:
    for field in t.owns:
      if field in owner:
        raise ValueError(
          f"{owner[field]!r} and {t.name!r} both set {field!r}, so one would "
          f"silently undo the other; drop {owner[field]!r} or {t.name!r}."
        )
      owner[field] = t.name


def _check_metrics(name: str, before: dict, after: dict) -> None:
  alien = [k for k in after if k not in before and not k.startswith(name + "/")]
  if alien:
    raise ValueError(
      f"{name!r} writes the metrics {alien}; the metrics of a transform "
      f"begin with '{name}/'."
    )


def _check_notes(name: str, before: dict, after: dict) -> None:
  alien = [k for k in after if k not in before and not k.startswith(name + "/")]
  if alien:
    raise ValueError(
      f"{name!r} writes the notes {alien}; the notes of a transform begin with "
      f"'{name}/'."
    )


def _inner(context: Context, transform: LossTransform) -> Context:
  return context._replace(
    name=transform.name,
    needs=transform.needs,
    key=rng.named(context.key, transform.name),
  )


def _freeze(objective: Objective) -> Objective:
  stopped = {f: jax.lax.stop_gradient(getattr(objective, f)) for f in CONSTANT}
  metrics = jax.lax.stop_gradient(objective.metrics)
  return objective.replace(metrics=metrics, **stopped)


# One-line constructors: the everyday way to try an idea in a notebook.


def reweight(
  name: str,
  fn: Callable[[Objective, Context], Array],
  needs: tuple[Need, ...] = (),
) -> LossTransform:
  """Multiplies the weights by `fn(objective, context)`, f32[B, T]."""

  def apply(objective, state, context):
    weights = objective.weights * fn(objective, context)
    return objective.replace(weights=weights), state

  return LossTransform(name, apply=apply, needs=needs)


def add(
  name: str,
  fn: Callable[[Objective, Context], Array],
  coef: float,
  needs: tuple[Need, ...] = (),
) -> LossTransform:
  """Adds `coef * fn(objective, context)`, f32[B, T], to the loss per token."""

  def apply(objective, state, context):
    added = objective.added + coef * fn(objective, context)
    return objective.replace(added=added), state

  return LossTransform(name, apply=apply, needs=needs)


def estimate(
  name: str,
  fn: Callable[[TokenBatch, Context], Array],
  needs: tuple[Need, ...] = (),
) -> LossTransform:
  """Sets the advantages once a step to `fn(batch, context)`, f32[B] or [B, T].

  Rows without a group (replayed ones) keep the advantages they came with.
  """

  def prepare(batch, state, context):
    values = fn(batch, context)
    values = values[:, None] if values.ndim == 1 else values
    own = (batch.group >= 0)[:, None]
    advantages = jnp.where(own, values * batch.mask, batch.advantages)
    return batch.replace(advantages=advantages), state

  return LossTransform(name, prepare=prepare, needs=needs, owns=("advantages",))


def reshape(
  name: str,
  fn: Callable[[Objective, Context], Array],
  needs: tuple[Need, ...] = (),
) -> LossTransform:
  """Replaces the advantages by `fn(objective, context)`, f32[B, T]."""

  def apply(objective, state, context):
    return objective.replace(advantages=fn(objective, context)), state

  return LossTransform(name, apply=apply, needs=needs)


def monitor(
  name: str,
  fn: Callable[[Objective, Context], dict[str, Array]],
  needs: tuple[Need, ...] = (),
) -> LossTransform:
  """Only watches: writes the f32[] numbers of `fn` as metrics `name/...`."""

  def apply(objective, state, context):
    found = {f"{name}/{k}": v for k, v in fn(objective, context).items()}
    return objective.replace(metrics=objective.metrics | found), state

  return LossTransform(name, apply=apply, needs=needs)


def scheduled(
  transform: LossTransform, step_fn: Callable[[Array], Array]
) -> LossTransform:
  """Blends the `apply` edit of a transform with the identity over steps.

  Args:
    transform: a single transform that does not own the surrogate.
    step_fn: step i32[] to strength f32[]; 0 is no edit, 1 the full edit.

  Returns:
    A transform of the same name; `plan` and `prepare` are left as they are.

  Raises:
    ValueError: a chain, or a transform that swaps the surrogate.
  """
  if transform.parts:
    raise ValueError(
      f"scheduled() takes one transform, got the chain "
      f"{[t.name for t in transform.parts]}; schedule its members."
    )
  if "surrogate" in transform.owns:
    raise ValueError(
      f"{transform.name!r} swaps the surrogate, which cannot be blended; "
      "schedule one of its hyper-parameters instead."
    )

  def blend(old, new, strength):
    # Absent clip bounds stay absent: inf - inf would be NaN.
    absent = jnp.isinf(new) & (new == old)
    change = jnp.where(absent, 0.0, new - old)
    mixed = old + strength * change
    return jnp.where(strength <= 0, old, jnp.where(strength >= 1, new, mixed))

  def apply(objective, state, context):
    edited, state = transform.apply(objective, state, context)
    strength = jnp.asarray(step_fn(context.step), jnp.float32)
    fields = {
      f: blend(getattr(objective, f), getattr(edited, f), strength)
      for f in DIFFERENTIABLE + CONSTANT
    }
    return edited.replace(**fields), state

  return transform._replace(apply=apply)
