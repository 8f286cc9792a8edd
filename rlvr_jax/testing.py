"""A synthetic batch with a synthetic model, to run any method in a notebook.

`tiny()` makes [B, T] arrays and a bigram table in place of a transformer;
`step` carries a method through plan, prepare and one differentiated loss. No
configuration, no tokenizer, no files.
"""

import functools
from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rlvr_jax import objective, rng, stats, transform
from rlvr_jax.objective import Aggregation
from rlvr_jax.types import (
  Array,
  Clock,
  Draw,
  Need,
  Parent,
  PyTree,
  TokenBatch,
  TokenText,
)

# What a sampler tells whoever cuts, whether he asks for it or not.
RECORDED = tuple(
  Need(stat, when="rollout") for stat in (stats.Logp(), stats.Entropy())
)


class Bigram:
  """The smallest language model: a table f32[V, V] of next-token logits."""

  def hidden(self, params: PyTree, batch: TokenBatch) -> Array:
    """f32[B, T, V]: the table rows of the tokens before each response token."""
    prompt = batch.prompt_mask.shape[1]
    return params[batch.tokens[:, prompt - 1 : -1]]

  def head(self, params: PyTree) -> stats.Head:
    """The identity: the hidden states are the logits already."""
    return stats.Head(jnp.eye(params.shape[-1]))

  def logits(self, params: PyTree, hidden: Array) -> Array:
    """The hidden states themselves."""
    del params
    return hidden


class Example(NamedTuple):
  """A rollout, the model it came from and its parameter sets."""

  batch: TokenBatch
  params: dict[str, Array]  # f32[V, V]: policy, ref, ema, reward, rollout
  model: Bigram
  draws: tuple[tuple[str, int], ...]  # (name, rows)

  def stats(self, needs: tuple[Need, ...] = ()) -> dict[str, Array]:
    """The update-time statistics of the batch, by Need.key."""
    wanted = (stats.LOGP, *(n for n in needs if n.when == "update"))
    return stats.score(wanted, self.params, self.batch, model=self.model)


class Outcome(NamedTuple):
  """What one step of a method gave."""

  loss: Array  # f32[]
  gradient: Array  # f32[V, V] of the loss, by the policy's table
  metrics: dict[str, Array]
  batch: TokenBatch  # after prepare
  state: PyTree


def draw_rows(draw: Draw, prompts: int) -> int:
  """Rows of a draw in a step of so many prompts."""
  return draw.prompts(prompts) * draw.per_prompt


def tiny(
  method: transform.LossTransform | None = None,
  *,
  prompts: int = 4,
  per_prompt: int = 4,
  length: int = 6,
  vocabulary: int = 11,
  seed: int = 0,
) -> Example:
  """A small random rollout whose groups hold right and wrong answers.

  Args:
    method: if given, the rollout holds the draws it plans and the rollout
      statistics it needs.
    prompts: prompts of the step.
    per_prompt: responses per prompt in the main draw.
    length: response positions T; responses are ragged.
    vocabulary: tokens V.
    seed: of everything random.

  Returns:
    An Example; the policy has moved a little since the rollout.
  """
  plan = (Draw("main", per_prompt),)
  sizes = (prompts, length, vocabulary)
  if method is not None:
    method = transform.chain(method)
    main = functools.partial(_make, plan, *sizes, ())
    shapes, _ = jax.eval_shape(main, jax.random.key(seed))
    plan = method.plan(plan, method.init(shapes))
  draws = tuple((d.name, draw_rows(d, prompts)) for d in plan)
  needs = () if method is None else method.needs
  make = jax.jit(functools.partial(_make, plan, *sizes, needs))
  return Example(*make(jax.random.key(seed)), Bigram(), draws)


def notes(
  needs: Iterable[Need], batch: TokenBatch, key: Array
) -> dict[str, Array]:
  """Random notes, by Need.key, where a host would write what a text says."""
  shapes = {"row": batch.group.shape, "token": batch.mask.shape}
  return {
    need.key: jax.random.randint(
      rng.named(key, need.key),
      shapes[need.stat.shape],
      need.stat.values[0],
      need.stat.values[1] + 1,
    )
    for need in needs
    if need.is_note
  }


def _make(plan, prompts, length, vocabulary, needs, key):
  keys = iter(jax.random.split(key, 8))
  table = jax.random.normal(next(keys), (vocabulary, vocabulary))
  nudge = lambda: table + 0.3 * jax.random.normal(next(keys), table.shape)
  params = {"rollout": table} | {n: nudge() for n in ("policy", "ref", "ema")}
  batch = _rollout(next(keys), plan, prompts, length, vocabulary)
  if any(d.parent for d in plan):
    own = (n for n in needs if n.params == ("policy",))
    told = _scored(batch, params, (*RECORDED, *own)).stats
    rows = [draw_rows(d, prompts) for d in plan]
    key = rng.named(key, "branches")
    batch = _branched(key, batch, plan, rows, told, vocabulary)
  noted = batch.replace(notes=notes(needs, batch, next(keys)))
  params["reward"] = nudge()
  return _scored(noted, params, needs), params


def _rollout(key, plan, prompts, length, vocabulary):
  sizes = [draw_rows(d, prompts) for d in plan]
  rows, width = sum(sizes), 3
  prompt = np.concatenate(
    [np.arange(size) // d.per_prompt for d, size in zip(plan, sizes)]
  )
  source = np.repeat(np.arange(len(plan), dtype=np.int32), sizes)
  # Branches are in the groups of their parents.
  names = [d.name for d in plan]
  root = np.array([names.index(d.parent or d.name) for d in plan])
  group = prompt + prompts * root[source]
  k1, k2, k3 = jax.random.split(key, 3)
  lengths = jax.random.randint(k2, (rows, 1), 1, length + 1)
  flat = jnp.zeros((rows, length))
  return TokenBatch(
    tokens=jax.random.randint(k1, (rows, width + length), 0, vocabulary),
    prompt_mask=jnp.ones((rows, width), bool),
    mask=jnp.arange(length) < lengths,
    turn=jnp.zeros((rows, length), jnp.int32),
    prompt=jnp.asarray(prompt, jnp.int32),
    group=jnp.asarray(group, jnp.int32),
    source=jnp.asarray(source),
    # Every other row is right, then some more, so no group is all wrong.
    reward=jnp.where(
      (jnp.arange(rows) % 2 == 0) | jax.random.bernoulli(k3, 0.3, (rows,)),
      1.0,
      0.0,
    ).astype(jnp.float32),
    sample_logp=flat,
    score_temperature=jnp.ones(rows),
    old_logp=flat,
    advantages=flat,
    stats={},
    notes={},
    metrics={},
  )


def token_text(key: Array, vocabulary: int) -> TokenText:
  """Random texts of tokens, [V], where a tokenizer would tell what they are."""
  length, ends = jax.random.split(key)
  return TokenText(
    jax.random.randint(length, (vocabulary,), 0, 4),
    jax.random.bernoulli(ends, 0.3, (vocabulary,)),
  )


def _branched(key, batch, plan, sizes, told, vocabulary):
  """Rows of branches begin as their parents, which are cut as told."""
  none = jnp.full_like(batch.group, -1)
  text = token_text(rng.named(key, "text"), vocabulary)
  batch = batch.replace(parent=none, copied=jnp.zeros_like(none))
  names = np.repeat([d.name for d in plan], sizes)
  for draw in plan:
    if draw.parent is None:
      continue
    of, own = (np.flatnonzero(names == d) for d in (draw.parent, draw.name))
    each = len(own) // len(of)

    def cuts_of(tokens, *known, cut=draw.cut, n=each):
      said = TokenText(text.length[tokens], text.ends_line[tokens])
      return cut(Parent(tokens, *known, vocabulary, said), n)

    cuts = jax.vmap(cuts_of)(
      batch.response[of],
      batch.mask[of],
      {name: x[of] for name, x in told.items()},
      jax.random.split(rng.named(key, draw.name), len(of)),
      batch.prompt_mask[of].sum(axis=1),
    )
    batch = _continued(batch, np.repeat(of, each), own, cuts.ravel(), draw)
  return batch


def _continued(batch, parent, own, cuts, draw):
  """With rows that have the first tokens of others, before their own."""
  width, place = batch.prompt_mask.shape[1], np.arange(batch.mask.shape[1])
  copied = jnp.clip(cuts, 0, batch.mask[parent].sum(axis=1) - 1)[:, None]
  theirs, ours = batch.tokens[parent], batch.tokens[own]
  tokens = jnp.where(np.arange(ours.shape[1]) < width + copied, theirs, ours)
  mask = batch.mask[own] | (place <= copied)
  if not draw.copies_count:
    mask &= place >= copied
  return batch.replace(
    tokens=batch.tokens.at[own].set(tokens),
    mask=batch.mask.at[own].set(mask),
    parent=batch.parent.at[own].set(parent),
    copied=batch.copied.at[own].set(copied[:, 0]),
  )


def _scored(batch, params, needs):
  """Fills in what the sampling-time policy says about the batch."""
  then = params | {"policy": params["rollout"]}
  needs = tuple(n for n in needs if n.when == "rollout" and not n.is_note)
  found = stats.score((stats.LOGP, *needs), then, batch, model=Bigram())
  logp = found.pop(stats.LOGP.key)
  return batch.replace(old_logp=logp, sample_logp=logp, stats=found)


def step(
  method: transform.LossTransform,
  example: Example | None = None,
  state: PyTree | None = None,
  *,
  number: int = 0,
  seed: int = 0,
  clip: tuple[float, float] = (0.2, 0.2),
  mode: Aggregation = "token-mean",
) -> Outcome:
  """Carries a method through prepare and one differentiated loss.

  Args:
    method: a transform or a chain.
    example: the rollout; `tiny(method)` if None.
    state: the state to start from; the method's initial one if None.
    number: the step, i32[].
    seed: of the run's key.
    clip: as in `objective.loss`.
    mode: as in `objective.loss`.

  Returns:
    An Outcome.
  """
  method = transform.chain(method)
  example = tiny(method) if example is None else example
  state = method.init(example.batch) if state is None else state

  def run(batch, params, state, clock):
    whole = example._replace(batch=batch, params=params)
    return traceable_step(method, whole, state, clock, clip, mode)

  clock = Clock(number, 0, jax.random.key(seed))
  return jax.jit(run)(example.batch, example.params, state, clock)


def traceable_step(
  method: transform.LossTransform,
  example: Example,
  state: PyTree,
  clock: Clock,
  clip: tuple[float, float] = (0.2, 0.2),
  mode: Aggregation = "token-mean",
) -> Outcome:
  """What `step` compiles: call it inside your own `jax.jit`."""
  batch, state = objective.prepare(method, example.draws)(
    example.batch, state, clock
  )
  loss_fn = objective.loss(method, clip=clip, mode=mode, draws=example.draws)

  def run(policy):
    moved = example._replace(
      batch=batch, params=example.params | {"policy": policy}
    )
    return loss_fn(moved.stats(method.needs), batch, state, clock)

  grad = jax.value_and_grad(run, has_aux=True)
  (value, (state, metrics)), gradient = grad(example.params["policy"])
  return Outcome(value, gradient, batch.metrics | metrics, batch, state)
