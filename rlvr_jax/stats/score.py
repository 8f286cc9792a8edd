"""`score`: from a model's hidden states to the statistics asked of them.

What `Moments` contain comes from one sweep over the vocabulary per parameter
set and view; divergences and truncated distributions take sweeps of their own.
None of them makes logits. What knows no other way than from logits gets those
of a bounded number of tokens at a time, and so does all but the moments if a
single block holds the vocabulary.
"""

import functools
from collections.abc import Iterable, Mapping
from typing import Protocol

import jax
import jax.numpy as jnp

from rlvr_jax.kernels import reference
from rlvr_jax.kernels.walk import Blocks
from rlvr_jax.stats.distribution import Head, Swept
from rlvr_jax.types import Array, Need, PyTree, Stat, TokenBatch, View

# A vocabulary that fits a block is written out: its logits take no more room
# than those of a sweep, and one pass over them answers everything.
ONE_BLOCK = Blocks().columns


class Model(Protocol):
  """What `score` asks of a model."""

  def hidden(self, params: PyTree, batch: TokenBatch) -> Array:
    """f[B, T, D]: the state that predicts each response token."""

  def head(self, params: PyTree) -> Head:
    """The output matrix."""

  def logits(self, params: PyTree, hidden: Array) -> Array:
    """f32[..., V] from f[..., D]."""


def from_logits(
  needs: Iterable[Need],
  logits: Mapping[str, Array],
  targets: Array,
  temperature: Array | None,
) -> dict[str, Array]:
  """The needed statistics of a flat list of tokens.

  Args:
    needs: what to compute.
    logits: f32[N, V] per parameter set, not divided by any temperature.
    targets: i32[N] sampled tokens.
    temperature: f32[N] scoring temperature of each token; None for 1.

  Returns:
    f32[N] by Need.key.
  """
  cache = {}

  def scaled(name, view):
    if (name, view) not in cache:
      z, divisor = logits[name].astype(jnp.float32), view.temperature
      if temperature is not None:
        divisor = (temperature * divisor)[:, None]
      # 1 is not divided by: what is one array is swept over once.
      neutral = isinstance(divisor, float) and divisor == 1
      cache[name, view] = z if neutral else z / divisor
    return cache[name, view]

  @functools.cache
  def moments(name, view):
    return reference.moments(scaled(name, view), targets)

  def compute(need):
    if len(need.params) == 1:
      found = need.stat.from_moments(moments(need.params[0], need.view))
      if found is not None:
        return found
    blocks = (scaled(name, need.view) for name in need.params)
    return need.stat.from_logits(*blocks, targets=targets)

  return {need.key: compute(need) for need in needs}


def of_tokens(
  needs: Iterable[Need],
  logits: Mapping[str, Array],
  hidden: Mapping[str, Array],
  targets: Array,
  temperature: Array | None,
) -> dict[str, Array]:
  """`from_logits`, and with it what comes from hidden states f[N, D]."""
  deep = [need for need in needs if need.is_hidden]
  flat = [need for need in needs if not need.is_hidden]
  found = {n.key: n.stat.from_hidden(hidden[n.params[0]]) for n in deep}
  return found | from_logits(flat, logits, targets, temperature)


def width(need: Need, hidden: int) -> tuple[int, ...]:
  """What stands behind [B, T] in the shape of a statistic.

  Args:
    need: of a statistic, not of a note.
    hidden: size D of the hidden states.
  """
  if not need.is_hidden:
    return ()
  state = jax.ShapeDtypeStruct((1, hidden), jnp.float32)
  return jax.eval_shape(need.stat.from_hidden, state).shape[1:]


def score(
  needs: Iterable[Need],
  params: Mapping[str, PyTree],
  batch: TokenBatch,
  *,
  model: Model,
  chunk: int = 4096,
) -> dict[str, Array]:
  """One forward pass per parameter set, and the statistics without logits.

  Args:
    needs: what to compute; equal needs are computed once.
    params: parameters by name: "policy", "ref", "ema".
    batch: the rows to score.
    model: makes hidden states and logits.
    chunk: tokens of which logits exist at the same time, forward and backward,
      a block of the vocabulary each unless a statistic wants all.

  Returns:
    f32[B, T], hidden ones f32[B, T, K], by Need.key; differentiable with
    respect to `params`.

  Raises:
    KeyError: a need names parameters that are not given.
  """
  needs = tuple(dict.fromkeys(needs))
  names = sorted({name for need in needs for name in need.params})
  missing = [name for name in names if name not in params]
  if missing:
    raise KeyError(
      f"statistics were asked of the parameters {missing}, given are "
      f"{sorted(params)}; needs: {[n.key for n in needs]}."
    )
  hidden = {name: model.hidden(params[name], batch) for name in names}
  temperature = jnp.broadcast_to(
    batch.score_temperature[:, None], batch.mask.shape
  )

  def swept(name: str, view: View) -> Swept:
    heat = (temperature * view.temperature).reshape(-1)
    targets = batch.response.reshape(-1)
    head = model.head(params[name])
    return Swept(_rows(hidden[name]), head, targets, heat, chunk)

  flat = _by_sweeps(needs, swept)
  found = {k: v.reshape(batch.mask.shape) for k, v in flat.items()}
  deep = [need for need in needs if need.is_hidden]
  found |= {n.key: n.stat.from_hidden(hidden[n.params[0]]) for n in deep}
  rest = tuple(need for need in needs if need.key not in found)
  if rest:
    logits = lambda name, states: model.logits(params[name], states)
    arrays = hidden, batch.response, temperature
    found |= _by_logits(rest, logits, arrays, chunk)
  return found


def reads(stat: Stat) -> tuple[str, ...]:
  """The fields of Moments a statistic is made of; none if they do not do."""
  seen = []

  class Recorder:
    vocabulary = 2  # any: it is not a field that a sweep computes

    def __getattr__(self, name: str) -> Array:
      seen.append(name)
      return jnp.ones(1)

  value = jax.eval_shape(lambda: stat.from_moments(Recorder()))
  return () if value is None else tuple(dict.fromkeys(seen))


def _in_moments(needs: Iterable[Need]) -> dict[tuple[str, View], list[Need]]:
  """The needs that moments answer, by parameter set and view."""
  groups = {}
  for need in needs:
    if len(need.params) == 1 and not need.is_hidden and reads(need.stat):
      groups.setdefault((need.params[0], need.view), []).append(need)
  return groups


def _by_sweeps(needs, swept) -> dict[str, Array]:
  """What takes no logits, f32[N]; `swept` gives the distributions."""
  found = {}
  for of, group in _in_moments(needs).items():
    moments = swept(*of).moments(*{f for n in group for f in reads(n.stat)})
    found |= {n.key: n.stat.from_moments(moments) for n in group}
  for need in needs:
    if not hasattr(need.stat, "from_distributions"):
      continue
    each = [swept(name, need.view) for name in need.params]
    if each[0].vocabulary > ONE_BLOCK:
      found[need.key] = need.stat.from_distributions(*each)
  return found


def _by_logits(needs, logits, arrays, chunk):
  """The other statistics, from the logits of `chunk` tokens at a time."""

  @jax.checkpoint
  def of_piece(piece):
    states, targets, temperature = piece
    names = sorted({name for need in needs for name in need.params})
    blocks = {name: _rows(logits(name, states[name])) for name in names}
    flat = targets.reshape(-1), temperature.reshape(-1)
    found = from_logits(needs, blocks, *flat)
    return {k: v.reshape(targets.shape) for k, v in found.items()}

  return _by_position(of_piece, arrays, chunk)


def _rows(x: Array) -> Array:
  return x.reshape(-1, x.shape[-1])


def _by_position(fn, arrays: PyTree, chunk: int) -> PyTree:
  """Maps fn over [B, t, ...] pieces of at most about `chunk` tokens.

  Pieces are cut along positions, not rows, so that rows keep their sharding.
  """
  rows, length = jax.tree.leaves(arrays)[0].shape[:2]
  width = max(1, min(length, chunk // rows))
  if width == length:
    return fn(arrays)
  pieces = -(-length // width)

  def split(x):
    pad = [(0, 0), (0, pieces * width - length)] + [(0, 0)] * (x.ndim - 2)
    x = jnp.pad(x, pad, mode="edge")
    return x.reshape(rows, pieces, width, *x.shape[2:]).swapaxes(0, 1)

  def join(x):
    return x.swapaxes(0, 1).reshape(rows, -1, *x.shape[3:])[:, :length]

  return jax.tree.map(join, jax.lax.map(fn, jax.tree.map(split, arrays)))
