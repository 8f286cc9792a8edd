"""A process that times this library's sampler or step when it is told to.

python -m experiments.bench_worker --config=tiny --shape=s64 --variant=ragged
python -m experiments.bench_worker --config=tiny --shape=s64 --task=step

It prints a line of JSON when it is ready, answers every line "go" with the
seconds and tokens of one unit of work and the most memory the process has had,
and ends at "quit".
"""

import json
import os
import resource
import sys
import time

from absl import app, flags

from experiments.side_by_side import own, problem, step

_UNITS = {"sampler": own.unit, "step": step.unit}
_TASK = flags.DEFINE_enum("task", "sampler", _UNITS, "What is timed.")
_SIZES = flags.DEFINE_enum("config", "tiny", problem.SIZES, "Decoder.")
_SHAPE = flags.DEFINE_enum("shape", "s64", problem.SHAPES, "Prompts, lengths.")
_VARIANT = flags.DEFINE_list(
  "variant", [], "Some of ragged and, of the sampler alone, bf16."
)


def main(_) -> None:
  """Works until nothing more is asked."""
  # Libraries print, too; what they print goes to stderr.
  answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
  os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
  say = lambda **said: print(json.dumps(said), file=answers, flush=True)
  dtype = "bfloat16" if "bf16" in _VARIANT.value else "float32"
  sizes, shape = problem.SIZES[_SIZES.value], problem.SHAPES[_SHAPE.value]
  own.a_device_for_each_core()
  make = _UNITS[_TASK.value]
  unit = make(sizes, shape, "ragged" in _VARIANT.value, dtype)
  began = time.perf_counter()
  unit()
  name = ":".join(["rlvr_jax", *_VARIANT.value])
  say(ready=True, compile_s=time.perf_counter() - began, name=name)
  for line in sys.stdin:
    if line.strip() == "quit":
      break
    began = time.perf_counter()
    tokens = unit()
    seconds = time.perf_counter() - began
    say(t=seconds, tokens=tokens, t_peak_rss_gb=_peak())


def _peak() -> float:
  """The most memory that the process has had, GiB."""
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
  app.run(main)
