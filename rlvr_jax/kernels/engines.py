"""The implementations of the sweep over the vocabulary, by name."""

from typing import NamedTuple

import jax
from absl import logging

from rlvr_jax.kernels import chunked, pallas_gpu, pallas_tpu, sharded, sums
from rlvr_jax.kernels.logits import Form, Tokens
from rlvr_jax.kernels.pullback import Factors
from rlvr_jax.kernels.sharded import Layout
from rlvr_jax.kernels.sums import Sums
from rlvr_jax.types import Array

_MODULES = {
  "chunked": chunked,
  "pallas_tpu": pallas_tpu,
  "pallas_gpu": pallas_gpu,
}
NAMES = ("reference", *_MODULES)
Blocks = chunked.Blocks | pallas_tpu.Blocks | pallas_gpu.Blocks


class Engine(NamedTuple):
  """A sweep whose sizes are settled; hashable."""

  name: str
  form: Form
  outputs: tuple[str, ...]
  blocks: Blocks
  layout: Layout | None

  def forward(self, tokens: Tokens, weights: Array) -> Sums:
    """Sums f32[N, 1] over the vocabulary of all devices."""
    run = _MODULES[self.name].forward

    def fn(tokens, weights, axis):
      tokens = sharded.shifted(tokens, weights, self.form, axis)
      found = run(tokens, weights, self.form, self.outputs, self.blocks)
      return found if axis is None else sums.across(found, axis)

    return sharded.forward(self.layout, fn, self.form, tokens, weights)

  def backward(
    self, tokens: Tokens, weights: Array, factors: Factors
  ) -> tuple[Array, Array]:
    """The gradient by hidden states and weights, each in its layout."""
    run = _MODULES[self.name].backward

    def fn(rows, weights, axis):
      tokens, factors = rows
      tokens = sharded.shifted(tokens, weights, self.form, axis)
      return run(tokens, weights, self.form, factors, self.blocks)

    rows = tokens, factors
    return sharded.backward(self.layout, fn, self.form, rows, weights)


def make(
  name: str,
  form: Form,
  outputs: tuple[str, ...],
  blocks: Blocks | None,
  rows: int | None,
  layout: Layout | None,
) -> Engine:
  """The engine of that name.

  Raises:
    ValueError: no such name, or blocks of another one.
  """
  if name not in _MODULES:
    raise ValueError(
      f"token_statistics has no implementation {name!r}; choose from {NAMES}."
    )
  kind = _MODULES[name].Blocks
  if blocks is not None and not isinstance(blocks, kind):
    raise ValueError(
      f"the implementation {name!r} got blocks = {blocks!r}; give "
      f"{kind.__module__}.Blocks, or None."
    )
  blocks = blocks or kind()
  if rows is not None:
    blocks = blocks.at_most(rows)
  return Engine(name, form, outputs, blocks, layout)


def best(layout: Layout | None = None) -> str:
  """The fastest implementation that the devices can run.

  Args:
    layout: on the devices; None for the default backend.
  """
  device = jax.devices()[0] if layout is None else layout.mesh.devices.flat[0]
  if device.platform == "tpu":
    return "pallas_tpu"
  if device.platform == "gpu":
    capability = getattr(device, "compute_capability", "none")
    if capability[:1].isdigit() and float(capability) >= 8:
      return "pallas_gpu"
    logging.log_first_n(
      logging.WARNING,
      "token_statistics: 'pallas_gpu' wants compute capability 8.0, this GPU "
      "has %s; 'chunked' is used instead.",
      1,
      capability,
    )
  return "chunked"
