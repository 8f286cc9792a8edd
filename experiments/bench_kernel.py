"""Times `token_statistics` against other ways to log-probs and entropies.

python -m experiments.bench_kernel --out=bench.json
python -m experiments.bench_kernel --tokens=4096,8192 --width=896 \
    --vocabulary=151936 --dtype=bfloat16 --contenders=matmul,full,chunked

It runs on the default device of JAX. Contenders in PyTorch take part where it
and they are installed, also in an environment of their own that has numpy, to
which --torch_python points. One that cannot run is listed with the reason.
Both frameworks are in the memory of a GPU at once; where that is too little,
name the contenders of one of them.

Memory is what is taken beyond inputs and results: XLA's plan, or what PyTorch
counted, which it does on a GPU only. The limit is the time of a matrix product
that writes its logits; what does not write them may be faster on a slow memory.
"""

import itertools
import json
import pathlib
import shutil
import sys
from collections.abc import Collection, Iterator

from absl import app, flags, logging

from experiments.kernel_bench import problem, rounds, summary
from experiments.kernel_bench.process import Worker

_ACCELERATOR = dict(
  tokens=[8192, 32768],
  width=[896, 2048, 4096],
  vocabulary=[151936],
  dtype=["bfloat16"],
)
_CPU = dict(tokens=[4096], width=[256], vocabulary=[151936], dtype=["float32"])

_SIZES = {
  name: flags.DEFINE_list(name, None, f"{text}; default: by the device")
  for name, text in dict(
    tokens="numbers of tokens",
    width="sizes of the hidden state",
    vocabulary="sizes of the vocabulary",
    dtype="types of hidden states and weights",
  ).items()
}
_CONTENDERS = flags.DEFINE_list(
  "contenders", list(rounds.FRAMEWORKS), "who takes part"
)
_ROUNDS = flags.DEFINE_integer("rounds", 5, "timings of each", lower_bound=1)
_OUT = flags.DEFINE_string("out", None, "JSON file; default: stdout")
_TORCH_PYTHON = flags.DEFINE_string(
  "torch_python", sys.executable, "interpreter that has PyTorch"
)


def _stop(message: str) -> None:
  sys.exit(f"error: {message}")


def _allowed(flag: str, given: list[str], known: Collection[str]) -> list[str]:
  """The values of a flag, if all are known."""
  for name in given:
    if name not in known:
      _stop(f"--{flag}: {name!r}; choose from {[*known]}.")
  return given


def _whole(flag: str, given: str) -> int:
  if not given.isdecimal() or int(given) == 0:
    _stop(
      f"--{flag}: {given!r} must be a whole number >= 1, as in --{flag}=4096."
    )
  return int(given)


def _sizes() -> dict[str, list]:
  """Those that the flags give."""
  given = {k: flag.value for k, flag in _SIZES.items() if flag.value}
  if "dtype" in given:
    _allowed("dtype", given["dtype"], problem.DTYPES)
  whole = lambda k: [_whole(k, x) for x in given[k]]
  return {k: given[k] if k == "dtype" else whole(k) for k in given}


def _pythons() -> dict[str, str]:
  """The interpreter of each framework."""
  python = _TORCH_PYTHON.value
  if not shutil.which(python):
    _stop(
      f"--torch_python: {python!r} is no program; give the interpreter of an "
      "environment that has PyTorch and numpy."
    )
  return dict(jax=sys.executable, torch=python)


def _machine(pythons: dict[str, str]) -> dict:
  """Device and versions; what is missing is told with its reason."""
  found = {}
  for framework, python in pythons.items():
    with Worker(framework, python) as worker:
      found[framework] = worker.ask("describe")
  return found


def _results() -> Iterator[dict]:
  """All that is known, after each shape."""
  names = _allowed("contenders", _CONTENDERS.value, rounds.FRAMEWORKS)
  names, sizes, pythons = dict.fromkeys(names), _sizes(), _pythons()
  machine = _machine(pythons)
  if "reason" in machine["jax"]:
    raise RuntimeError(f"JAX does not start: {machine['jax']['reason']}")
  backend, records = machine["jax"]["backend"], []
  axes = (_CPU if backend == "cpu" else _ACCELERATOR) | sizes
  for values in itertools.product(*axes.values()):
    shape = problem.Shape(*values)
    found = rounds.measure(shape, backend, pythons, names, _ROUNDS.value)
    for record in found:
      logging.info("\n%s", summary.table(record))
    records += found
    yield dict(machine=machine, rounds=_ROUNDS.value, results=records)


def main(argv: list[str]) -> None:
  """Measures, logs tables and writes JSON."""
  if len(argv) > 1:
    _stop(f"unexpected arguments {argv[1:]}; write --flag=value.")
  if not flags.FLAGS["verbosity"].present:
    logging.set_verbosity(logging.INFO)
  for result in _results():
    text = json.dumps(result, indent=2)
    if _OUT.value:  # A run that is stopped leaves the shapes before.
      pathlib.Path(_OUT.value).write_text(text + "\n")
  if not _OUT.value:
    print(text)


if __name__ == "__main__":
  app.run(main)
