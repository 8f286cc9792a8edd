"""What a transform is seen to do when its hooks run."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from rlvr_jax import objective
from rlvr_jax.laws.rollouts import trial
from rlvr_jax.laws.steps import learner_stats, run
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Context, Need, Objective, TokenBatch

Record = TokenBatch | Objective


@dataclasses.dataclass
class Seen:
  """Notes taken while hooks ran."""

  edits: dict[str, bool]  # "objective.weights": is the old value lost?
  metrics: set[str]
  needs: set[Need]
  key: bool = False  # whether it is read


@functools.lru_cache
def observe(part: LossTransform) -> Seen:
  """Runs the hooks of one transform on random records and takes notes."""
  seen = Seen({}, set(), set())
  method, rollout = trial(part)
  usual = run(method, rollout)
  dice = np.random.default_rng(0)
  noise = lambda x: jnp.asarray(dice.normal(size=x.shape), jnp.float32)
  batch = objective.clean(rollout.batch)
  batch = batch.replace(advantages=noise(batch.mask) * batch.mask)
  state, prepared = part.init(batch), usual.prepared
  context = _recorder(seen)(
    jnp.int32(0),
    jnp.int32(0),
    jax.random.key(0),
    batch,
    {},
    rollout.draws,
    part.name,
    part.needs,
  )

  def prepare(record):
    return part.prepare(record, state, context._replace(batch=record))[0]

  _watch(seen, "batch", prepare, batch)

  record = objective.initial(usual.stats, prepared).replace(
    advantages=noise(prepared.mask),
    weights=jnp.abs(noise(prepared.mask)) + 0.1,
    added=noise(prepared.mask),
    extra=jnp.float32(0.3),
  )

  def apply(record):
    at_hand = context._replace(batch=prepared, stats=usual.stats)
    edited, _ = part.apply(record, state, at_hand)
    if edited.surrogate is not record.surrogate:
      seen.edits["objective.surrogate"] = True
      edited.surrogate(edited, at_hand)
    return edited

  _watch(seen, "objective", apply, record)
  if part.learner is not None:
    found = learner_stats(part, batch, rollout.params)
    needs = (*part.needs, *part.learner.needs)
    at_hand = context._replace(stats=found, needs=needs)
    seen.metrics.update(part.learner.loss(at_hand)[1])
  return seen


def _recorder(seen: Seen) -> type[Context]:
  """A Context that notes what is read of it."""

  class Recorder(Context):
    @property
    def key(self):
      seen.key = True
      return super().key

    def stat(self, need):
      seen.needs.add(need)
      return super().stat(need)

  return Recorder


def _watch(
  seen: Seen, place: str, hook: Callable[[Record], Record], record: Record
) -> None:
  """Notes metrics of a hook, which fields it edits, and which it overwrites.

  A field is edited unless the hook hands through the very same array. It is
  overwritten if another old value gives the same new one.
  """
  fields = {k: v for k, v in vars(record).items() if isinstance(v, jax.Array)}

  def edit(fields):
    edited = hook(record.replace(**fields))
    seen.metrics.update(edited.metrics)
    return {k: getattr(edited, k) for k in fields}

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
    seen.edits[place] = False  # it hands back other rows
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
    seen.edits[f"{place}.{name}"] = own
