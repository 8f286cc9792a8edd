"""The contenders in JAX."""

import functools
import time

import jax
import jax.numpy as jnp
import numpy as np

from experiments.kernel_bench import problem
from experiments.kernel_bench.problem import Shape
from rlvr_jax.kernels import engines
from rlvr_jax.kernels.token_statistics import token_statistics
from rlvr_jax.types import Array, PyTree

_PIECE = 8192  # most rows of logits that the plain product writes at a time


def describe() -> dict:
  """The device and the version."""
  kind = jax.devices()[0].device_kind
  return dict(backend=jax.default_backend(), device=kind, jax=jax.__version__)


def release() -> None:
  """Nothing: XLA keeps what memory it has."""


class Bench:
  """The contenders of one problem on the default device.

  Args:
    shape: of the problem.
    backend: of JAX, which runs here as it is.
  """

  def __init__(self, shape: Shape, backend: str):
    del backend
    made, dtype = problem.numbers(shape), jnp.dtype(shape.dtype)
    hidden, weights = (jnp.asarray(x, dtype) for x in made[:2])
    self.inputs = hidden, weights, jnp.asarray(made.targets)
    self.cotangents = made.cotangents
    self.units = {}

  def prepare(self, name: str, mode: str) -> dict:
    """Compiles and runs once; tells what comes out and the memory it takes."""
    if name == "matmul":
      self.units[name, mode] = functools.partial(_matmul, *self.inputs[:2])
      jax.block_until_ready(self.units[name, mode](None))
      note = "the product alone, without gradient"
      return dict(outputs=[], peak_extra_bytes=None, note=note)
    fn = _forward_backward if mode == "forward_backward" else _forward
    fn = jax.jit(functools.partial(fn, _outputs(name)))
    cotangents = tuple(map(jnp.asarray, self.cotangents))
    compiled = fn.lower(*self.inputs, cotangents).compile()
    self.units[name, mode] = functools.partial(compiled, *self.inputs)
    jax.block_until_ready(self.units[name, mode](cotangents))
    peak = compiled.memory_analysis().temp_size_in_bytes
    return dict(outputs=problem.OUTPUTS, peak_extra_bytes=peak, note="")

  def seconds(self, name: str, mode: str) -> float:
    """Runs once."""
    cotangents = jax.block_until_ready(tuple(map(jnp.asarray, self.cotangents)))
    began = time.perf_counter()
    jax.block_until_ready(self.units[name, mode](cotangents))
    return time.perf_counter() - began

  def values(self, name: str, mode: str) -> dict[str, np.ndarray]:
    """Results of the sample, see `reference.values`."""
    if name == "matmul":
      return {}
    hidden, _, targets = self.inputs
    at = problem.sample(len(hidden))
    cotangents = problem.sampled(self.cotangents)
    run = self.units[name, mode]
    outputs, grads = run(tuple(map(jnp.asarray, cotangents)))
    found = {k: x[at] for k, x in zip(problem.OUTPUTS, outputs)}
    if grads:
      found |= dict(hidden=grads[0][at], weights=grads[1][targets[at]])
    return {k: np.asarray(x, np.float64) for k, x in found.items()}


def _outputs(name: str):
  """(hidden, weights, targets) -> log-probs and entropies f32[T]."""
  if name == "full":
    return _full
  if name not in ("chunked", engines.best()):
    raise ValueError(
      f"{name!r} does not run on the backend {jax.default_backend()!r}; the "
      f"best that does is {engines.best()!r}."
    )
  return functools.partial(_ours, name)


def _ours(name, hidden, weights, targets) -> tuple[Array, Array]:
  found = token_statistics(
    hidden, weights, targets, outputs=problem.OUTPUTS, implementation=name
  )
  return found.logp, found.entropy


def _full(hidden, weights, targets) -> tuple[Array, Array]:
  # Logits in the type of the inputs: with products of float32 and bfloat16
  # backward, this would be a weaker rival.
  z = (hidden @ weights.T).astype(jnp.float32)
  logp = jax.nn.log_softmax(z)
  chosen = jnp.take_along_axis(logp, targets[:, None], axis=1)[:, 0]
  return chosen, -(jnp.exp(logp) * logp).sum(axis=1)


def _forward(fn, hidden, weights, targets, cotangents) -> PyTree:
  del cotangents
  return fn(hidden, weights, targets), ()


def _forward_backward(fn, hidden, weights, targets, cotangents) -> PyTree:
  outputs, pull = jax.vjp(lambda h, w: fn(h, w, targets), hidden, weights)
  return outputs, pull(cotangents)


@jax.jit
def _product(hidden: Array, weights: Array) -> Array:
  return hidden @ weights.T


def _matmul(hidden: Array, weights: Array, cotangents: None) -> Array:
  del cotangents
  for first in range(0, len(hidden), _PIECE):
    last = _product(hidden[first : first + _PIECE], weights)
  return last
