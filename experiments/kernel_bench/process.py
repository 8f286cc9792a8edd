"""The workers seen from the program that asks them."""

import contextlib
import json
import os
import pathlib
import subprocess

_ROOT = pathlib.Path(__file__).parents[2]


class Worker:
  """A process that runs the contenders of one framework; ends with `with`.

  One for all of a framework: a TPU admits a single process, and on a GPU each
  further one of JAX would keep memory of its own.

  Args:
    framework: jax or torch.
    python: interpreter that has it.
  """

  def __init__(self, framework: str, python: str):
    module = "experiments.kernel_bench.worker"
    path = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = dict(
      PYTHONPATH=os.pathsep.join(path), XLA_PYTHON_CLIENT_PREALLOCATE="false"
    )
    self._process = subprocess.Popen(
      [python, "-m", module, framework],
      env=os.environ | env,
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      text=True,
    )

  def __enter__(self) -> "Worker":
    return self

  def __exit__(self, *_) -> None:
    with contextlib.suppress(BrokenPipeError):  # It may have died.
      self._process.stdin.close()
    self._process.wait()
    self._process.stdout.close()

  def ask(self, *request: object) -> dict:
    """The answer to a request, {"reason": ...} if the process has ended."""
    try:
      print(json.dumps(request), file=self._process.stdin, flush=True)
      line = self._process.stdout.readline()
    except BrokenPipeError:
      line = ""
    if line:
      return json.loads(line)
    status = self._process.wait()
    return dict(reason=f"its process ended with status {status}; see stderr")
