"""The statistics a method may ask for, and `score`, which computes them.

Between the model and the loss stand a few f32[B, T] arrays. The model makes
hidden states; `score` turns them into exactly the statistics that were asked
for, a bounded number of tokens at a time, so logits of all tokens never exist.
"""

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from typing import Protocol

import jax
import jax.numpy as jnp

from rlvr_jax.kernels import reference
from rlvr_jax.types import (
  CLEAN,
  LOGP_KEY,
  Array,
  Moments,
  Need,
  PyTree,
  TokenBatch,
)


class FromMoments:
  """Base of a statistic that the moments already contain."""

  def from_logits(self, *logits: Array, targets: Array) -> Array:
    """`from_moments` of the moments of these logits."""
    return self.from_moments(reference.moments(logits[0], targets))


@dataclasses.dataclass(frozen=True)
class Logp(FromMoments):
  """Log-probability of the sampled token, nats."""

  def from_moments(self, moments: Moments) -> Array:
    return moments.logp


@dataclasses.dataclass(frozen=True)
class Entropy(FromMoments):
  """Entropy of the next-token distribution over the full vocabulary, nats."""

  def from_moments(self, moments: Moments) -> Array:
    return moments.entropy


@dataclasses.dataclass(frozen=True)
class CovProbLogp(FromMoments):
  """N = Cov_p(p, log p) = sum_i p_i S_i with S_i = p_i (log p_i + H)."""

  def from_moments(self, moments: Moments) -> Array:
    return moments.cov_p_logp


@dataclasses.dataclass(frozen=True)
class FullKL:
  """KL(first || second) of two next-token distributions, nats."""

  def from_logits(self, *logits: Array, targets: Array) -> Array:
    del targets
    first, second = (jax.nn.log_softmax(z, axis=-1) for z in logits)
    p = jnp.exp(first)
    return jnp.where(p > 0, p * (first - second), 0.0).sum(axis=-1)

  def from_moments(self, moments: Moments) -> None:
    del moments


@dataclasses.dataclass(frozen=True)
class Features:
  """A fixed random projection of the last hidden state; f32[B, T, size].

  The projection keeps distances up to a relative error of about
  1 / sqrt(size); states are scaled to unit root mean square first.

  Attributes:
    size: numbers per token.
    seed: of the projection.
  """

  size: int = 64
  seed: int = 0

  def from_hidden(self, hidden: Array) -> Array:
    x = jax.lax.stop_gradient(hidden).astype(jnp.float32)
    x *= jax.lax.rsqrt((x * x).mean(axis=-1, keepdims=True) + 1e-6)
    key = jax.random.key(self.seed)
    projection = jax.random.normal(key, (x.shape[-1], self.size))
    # Rows of unit root mean square again, on average.
    return x @ projection / jnp.sqrt(x.shape[-1])


LOGP = Need(Logp())


class Model(Protocol):
  """What `score` asks of a model."""

  def hidden(self, params: PyTree, batch: TokenBatch) -> Array:
    """f[B, T, D]: the state that predicts each response token."""

  def logits(self, params: PyTree, hidden: Array) -> Array:
    """f32[..., V] from f[..., D]."""


def from_logits(
  needs: Iterable[Need],
  logits: Mapping[str, Array],
  targets: Array,
  temperature: Array,
) -> dict[str, Array]:
  """The needed statistics of a flat list of tokens.

  Args:
    needs: what to compute.
    logits: f32[N, V] per parameter set, not divided by any temperature.
    targets: i32[N] sampled tokens.
    temperature: f32[N] scoring temperature of each token.

  Returns:
    f32[N] by Need.key.
  """
  cache = {}

  def scaled(name, view):
    if (name, view) not in cache:
      divisor = (temperature * view.temperature)[:, None]
      cache[name, view] = logits[name].astype(jnp.float32) / divisor
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
  temperature: Array,
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
  """One forward pass per parameter set, all statistics in one sweep.

  Args:
    needs: what to compute; equal needs are computed once.
    params: parameters by name: "policy", "ref", "ema".
    batch: the rows to score.
    model: makes hidden states and logits.
    chunk: tokens whose logits exist at the same time, forward and backward.

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

  @jax.checkpoint
  def sweep(piece):
    states, targets, temperature = piece
    blocks = {
      name: _rows(model.logits(params[name], states[name])) for name in names
    }
    flat = of_tokens(
      needs,
      blocks,
      {name: _rows(states[name]) for name in names},
      targets.reshape(-1),
      temperature.reshape(-1),
    )
    back = lambda v: v.reshape(*targets.shape, *v.shape[1:])
    return {k: back(v) for k, v in flat.items()}

  temperature = jnp.broadcast_to(
    batch.score_temperature[:, None], batch.mask.shape
  )
  return _by_position(sweep, (hidden, batch.response, temperature), chunk)


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


assert LOGP.key == LOGP_KEY and LOGP.view == CLEAN
