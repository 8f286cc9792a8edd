"""Contenders take turns: all of them once a round, so a slow moment is fair."""

import contextlib
import functools
import os
import tempfile
from collections.abc import Callable, Collection, Mapping

import numpy as np

from experiments.kernel_bench import problem, reference, summary
from experiments.kernel_bench.problem import Shape
from experiments.kernel_bench.process import Worker

FRAMEWORKS = {
  "matmul": "jax",
  "full": "jax",
  "chunked": "jax",
  "pallas_gpu": "jax",
  "pallas_tpu": "jax",
  "torch": "torch",
  "torch_compile": "torch",
  "cce": "torch",
  "cce_filtered": "torch",
  "liger": "torch",
}


def measure(
  shape: Shape,
  backend: str,
  pythons: Mapping[str, str],
  names: Collection[str],
  rounds: int,
) -> list[dict]:
  """Measures one problem.

  Args:
    shape: of the problem.
    backend: of JAX.
    pythons: interpreter of each framework.
    names: of the contenders.
    rounds: how often each of them is timed.

  Returns:
    A record for forward and one for forward and backward, see
    `summary.record`.
  """
  numbers = problem.numbers(shape)
  exact = functools.cache(
    lambda outputs: reference.values(shape, numbers, outputs)
  )
  with contextlib.ExitStack() as stack:
    workers = {}
    for framework in dict.fromkeys(FRAMEWORKS[name] for name in names):
      worker = stack.enter_context(Worker(framework, pythons[framework]))
      worker.ask("load", shape, backend)
      workers[framework] = worker
    limit = reference.tolerance(shape.dtype, backend)
    fields = [_Field(workers, names, mode) for mode in problem.MODES]
    return [_record(field, shape, exact, limit, rounds) for field in fields]


class _Field:
  """The contenders of one mode; one that fails leaves, with the reason."""

  def __init__(self, workers: dict[str, Worker], names, mode: str):
    self.mode, self.names, self.left_out = mode, list(names), {}
    self._workers = workers

  def ask(self, name: str, request: str, *args: object) -> dict | None:
    """The answer of a contender; None if it leaves."""
    worker = self._workers[FRAMEWORKS[name]]
    answer = worker.ask(request, name, self.mode, *args)
    if "reason" not in answer:
      return answer
    self.leave(name, answer["reason"])
    return None

  def leave(self, name: str, reason: str) -> None:
    """Without this one."""
    self.names.remove(name)
    self.left_out[name] = reason


def _record(field, shape, exact, tolerance, rounds) -> dict:
  told = {name: field.ask(name, "prepare") for name in list(field.names)}
  far = _check(field, told, exact, tolerance)
  seconds = _turns(field, rounds)
  told = {k: told[k] | dict(differences=far[k]) for k in field.names}
  size = shape._asdict() | dict(mode=field.mode, tolerance=tolerance)
  found = summary.record(shape, field.mode, told, seconds)
  return size | found | dict(left_out=field.left_out)


def _check(
  field: _Field, told: dict, exact: Callable, tolerance: float
) -> dict[str, dict[str, float]]:
  """How far each contender is from the reference; one too far leaves."""
  far = {}
  with tempfile.TemporaryDirectory() as folder:
    for name in list(field.names):
      file = os.path.join(folder, f"{name}.npz")
      if field.ask(name, "values", file) is None:
        continue
      found, outputs = dict(np.load(file)), tuple(told[name]["outputs"])
      far[name] = found and reference.differences(found, exact(outputs))
      wrong = {k: x for k, x in far[name].items() if not x <= tolerance}
      if wrong:
        field.leave(name, f"off the reference by {wrong}, above {tolerance}")
  return far


def _turns(field: _Field, rounds: int) -> dict[str, list[float]]:
  """Seconds of each contender, a number per round."""
  seconds = {name: [] for name in field.names}
  for count in range(rounds):
    names = list(field.names)
    first = count % max(len(names), 1)  # Nobody always follows the same one.
    for name in names[first:] + names[:first]:
      answer = field.ask(name, "seconds")
      if answer:
        seconds[name].append(answer["seconds"])
  return {name: seconds[name] for name in field.names}
