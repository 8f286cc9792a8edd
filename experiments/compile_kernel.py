"""Compiles the TPU kernels of token_statistics for chips that are not here.

pip install libtpu  # a throw-away environment with the project will do
python -m experiments.compile_kernel --chip=v5e --chip=v6e --width=896 \
    --out=kernel.json

The real compiler refuses what does not fit the chip's memory and says how much
temporary memory a program takes. From its schedule follows the static
efficiency: the cycles that the matrix units need for one tile of logits over
those of the instruction bundles issued for it. It knows no stalls, so figures
of 1 and above mean no more than that the matrix units are the limit.
"""

import json
import os
import pathlib
import tempfile
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import tabulate
import tqdm
from absl import app, flags
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding

from experiments.kernel_bench import schedule
from rlvr_jax.kernels import pallas_tpu, pullback, sums
from rlvr_jax.kernels.logits import Form, Tokens


class Chip(NamedTuple):
  """What is known of a kind of TPU."""

  topology: str  # its name for the compiler
  products: int  # multiply-adds of its matrix units per cycle


CHIPS = {
  "v5e": Chip("v5e:2x2", 4 * 128 * 128),
  "v5p": Chip("v5p:2x2x1", 4 * 128 * 128),
  "v6e": Chip("v6e:2x2", 4 * 256 * 256),
  "v7x": Chip("tpu7x:2x2x1", 4 * 256 * 256),
}
TOKENS, VOCABULARY = 8192, 151_936
WHOLE = VOCABULARY // 1024 * 1024  # no ragged tile: the body stands there once
OUTPUTS = {"loss": ("logp", "entropy"), "all": sums.OUTPUTS}
_CHIPS = flags.DEFINE_multi_enum("chip", list(CHIPS), list(CHIPS), "which")
_WIDTHS = flags.DEFINE_multi_integer(
  "width", [896, 2048, 4096], "hidden sizes D", lower_bound=128
)
_DTYPE = flags.DEFINE_enum("dtype", "bfloat16", ["bfloat16", "float32"], "type")
_OUTPUTS = flags.DEFINE_enum("outputs", "loss", list(OUTPUTS), "statistics")
_OUT = flags.DEFINE_string("out", None, "JSON file to write")


class Kernel(NamedTuple):
  """One of the three."""

  name: str  # as the compiler knows it
  tile: Callable  # (depth, bytes of an element) -> rows, columns
  run: Callable  # of tokens, weights and a number per token
  products: int  # matrix products of a tile


def kernels() -> tuple[Kernel, ...]:
  """Forward, and the two of the backward pass."""
  blocks, form, outputs = pallas_tpu.Blocks(), Form(), OUTPUTS[_OUTPUTS.value]

  def forward(tokens, weights, column):
    del column
    found = pallas_tpu.forward(tokens, weights, form, outputs, blocks)
    return sums.moments(found, outputs, form.vocabulary(weights))

  def backward(which):
    def run(tokens, weights, column):
      given = {k: column for k in outputs if k in pullback.DIFFERENTIABLE}
      empty = sums.moments(sums.start((1, 1), sums.OUTPUTS), sums.OUTPUTS, 1)
      known = jax.tree.map(lambda _: column, empty)
      factors = pullback.factors(given, known)
      return pallas_tpu.backward(tokens, weights, form, factors, blocks)[which]

    return run

  name = "token_statistics"
  return (
    Kernel(name, blocks.forward, forward, 1),
    Kernel(f"{name}_to_hidden", blocks.to_hidden, backward(0), 2),
    Kernel(f"{name}_to_weights", blocks.to_weights, backward(1), 2),
  )


def main(_: list[str]) -> None:
  """Compiles all of them, and prints a table."""
  jax.config.update("jax_platforms", "cpu")
  with tempfile.TemporaryDirectory() as folder:
    dump = pathlib.Path(folder)
    os.environ.update(_environment(dump))
    found = [
      measure(chip, width, kernel, dump)
      for chip in tqdm.tqdm(_CHIPS.value)
      for width in _WIDTHS.value
      for kernel in kernels()
    ]
  print(tabulate.tabulate(found, "keys", "github", floatfmt=".2f"))
  if _OUT.value:
    pathlib.Path(_OUT.value).write_text(json.dumps(found, indent=2) + "\n")


def _environment(dump: pathlib.Path) -> dict[str, str]:
  """What makes libtpu compile without a TPU, and write down its schedule."""
  return {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "LIBTPU_INIT_ARGS": f"--xla_jf_dump_to={dump} --xla_jf_dump_llo_text=true",
  }


def measure(chip: str, width: int, kernel: Kernel, dump: pathlib.Path) -> dict:
  """One line of the table."""
  dtype = jnp.dtype(_DTYPE.value)
  rows, columns = kernel.tile(width, dtype.itemsize)
  memory = _compiled(chip, width, dtype, kernel, VOCABULARY).memory_analysis()
  for path in dump.iterdir():
    path.unlink()
  _compiled(chip, width, dtype, kernel, WHOLE)
  ideal = rows * columns * width * kernel.products / CHIPS[chip].products
  return {
    "chip": chip,
    "D": width,
    "kernel": kernel.name,
    "tile": f"{rows} x {columns}",
    "temporary (MiB)": memory.temp_size_in_bytes / 2**20,
    "efficiency": ideal
    / max(schedule.regions(schedule.read(dump, kernel.name))),
  }


def _compiled(chip, width, dtype, kernel, vocabulary):
  topology = topologies.get_topology_desc(CHIPS[chip].topology, "tpu")
  where = SingleDeviceSharding(topology.devices[0])
  like = lambda *shape, dtype=jnp.float32: jax.ShapeDtypeStruct(
    shape, dtype, sharding=where
  )
  column = like(TOKENS, 1)
  target = like(TOKENS, 1, dtype=jnp.int32)
  tokens = Tokens(like(TOKENS, width, dtype=dtype), target, column)
  weights = like(vocabulary, width, dtype=dtype)
  return jax.jit(kernel.run).lower(tokens, weights, column).compile()


if __name__ == "__main__":
  app.run(main)
