"""Times the sampler, and says how far it is from what this machine can do.

python -m experiments.bench_sampler --sizes=tiny,mid --rounds=5

Prints a table, and writes it as JSON if asked. docs/benchmarks.md tells what is
sampled and what the columns say.
"""

import json
import pathlib
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

from absl import app, flags

from experiments.side_by_side import limits, own, problem

_SIZES = flags.DEFINE_list("sizes", ["tiny", "mid"], "Decoders.")
_SHAPE = flags.DEFINE_enum("shape", "s64", problem.SHAPES, "Prompts, lengths.")
_DTYPES = flags.DEFINE_list("dtypes", list(limits.NUMBER), "Of the weights.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Of which the median counts.")
_OUT = flags.DEFINE_string("out", None, "JSON file to write.")

HEADING = "size lengths dtype tokens seconds tokens/s products bandwidth"


class Line(NamedTuple):
  """What sampling everything once took."""

  size: str
  lengths: str
  dtype: str
  tokens: int
  seconds: float  # median
  products: float  # share of the time that the matrix products would take
  bandwidth: float  # likewise reading weights, keys and values from memory

  def text(self) -> str:
    """One line under `HEADING`."""
    return (
      f"{self.size:4} {self.lengths:7} {self.dtype:8} {self.tokens:6} "
      f"{self.seconds:7.2f} {self.tokens / self.seconds:8.0f} "
      f"{self.products:8.0%} {self.bandwidth:9.0%}"
    )


def main(_) -> None:
  """Prints the table line by line."""
  shape = problem.SHAPES[_SHAPE.value]
  own.a_device_for_each_core()
  machine, lines = limits.machine(), []
  print(
    f"this machine: {machine.flops / 1e9:.0f} GFLOP/s float32, "
    f"{machine.bytes / 1e9:.1f} GB/s\n{HEADING}"
  )
  for size in _SIZES.value:
    for ragged in (False, True):
      for dtype in _DTYPES.value:
        lines.append(line(size, shape, ragged, dtype, machine))
        print(lines[-1].text(), flush=True)
  if _OUT.value:
    found = {
      "machine": machine._asdict(),
      "lines": [one._asdict() for one in lines],
    }
    pathlib.Path(_OUT.value).write_text(json.dumps(found, indent=2) + "\n")


def line(
  size: str,
  shape: problem.Shape,
  ragged: bool,
  dtype: str,
  machine: limits.Work,
) -> Line:
  """Compiles, samples once, and then as often as asked for the time."""
  sizes = problem.SIZES[size]
  unit = own.unit(sizes, shape, ragged, dtype)
  tokens = unit()
  seconds = statistics.median(timed(unit) for _ in range(_ROUNDS.value))
  work = limits.of(sizes, shape, ragged, dtype)
  return Line(
    size,
    "ragged" if ragged else "equal",
    dtype,
    tokens,
    seconds,
    work.flops / machine.flops / seconds,
    work.bytes / machine.bytes / seconds,
  )


def timed(unit: Callable[[], int]) -> float:
  """Seconds of one unit of work."""
  began = time.perf_counter()
  unit()
  return time.perf_counter() - began


if __name__ == "__main__":
  app.run(main)
