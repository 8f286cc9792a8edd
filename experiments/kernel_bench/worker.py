"""A process that runs the contenders of one framework.

python -m experiments.kernel_bench.worker jax

It reads requests, a JSON list to a line, the name of the request first, and
answers each with a JSON object, {"reason": ...} where it cannot be done:

["describe"], ["load", SHAPE, BACKEND], ["prepare", NAME, MODE],
["values", NAME, MODE, FILE], ["seconds", NAME, MODE]
"""

import functools
import importlib
import json
import os
import sys

import numpy as np

from experiments.kernel_bench.problem import Shape

_LONGEST = 500  # characters of a reason


class _Desk:
  """Answers requests, a method each."""

  def __init__(self, framework: str):
    self._name = f"experiments.kernel_bench.{framework}_side"

  @property
  def _side(self):
    return importlib.import_module(self._name)

  def describe(self) -> dict:
    return self._side.describe()

  def load(self, shape, backend) -> dict:
    self._problem = Shape(*shape), backend
    return {}

  @functools.cached_property
  def _bench(self):
    return self._side.Bench(*self._problem)

  def prepare(self, name, mode) -> dict:
    return self._bench.prepare(name, mode)

  def values(self, name, mode, file) -> dict:
    np.savez(file, **self._bench.values(name, mode))
    return {}

  def seconds(self, name, mode) -> dict:
    return dict(seconds=self._bench.seconds(name, mode))

  def answer(self, request: str, *args) -> dict:
    """What a request gives, or why it gives nothing."""
    try:
      return getattr(self, request)(*args)
    except Exception as error:  # A rival may raise anything; it is told of.
      text = " ".join(f"{type(error).__name__}: {error}".split())
      return dict(reason=text[:_LONGEST])

  def release(self) -> None:
    """Gives memory back to the other framework."""
    if self._name in sys.modules:
      self._side.release()


def main() -> None:
  """Answers until there is nothing more to read."""
  # Libraries print, too; what they print goes to stderr.
  answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
  os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
  desk = _Desk(sys.argv[1])
  for line in sys.stdin:
    answer = desk.answer(*json.loads(line))
    desk.release()
    print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
  main()
