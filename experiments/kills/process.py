"""A run in a process of its own, ended at a moment that its log tells."""

import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

# What a run says, with --verbosity=0, just before it does it.
MOMENTS = {
  "sampling": "a step begins",
  "update": "the updates begin",
  "save": "Saving checkpoint at step",
  "deletion": "attempting deletion of step",
}
_DEADLINE = 600.0  # seconds that a run may be silent or take to end


class Process:
  """The command line of a run, on one CPU device.

  Attributes:
    log: all lines it has written so far.
  """

  def __init__(
    self,
    flags: Sequence[str],
    module: str = "experiments.train",
    programs: str | os.PathLike | None = None,
  ):
    """Starts it.

    Args:
      flags: of the program.
      module: the program.
      programs: folder where runs share what they have compiled.
    """
    env = os.environ | {"XLA_FLAGS": "", "PYTHONPATH": os.getcwd()}
    if programs is not None:
      env["JAX_COMPILATION_CACHE_DIR"] = os.fspath(programs)
      env["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
      # Compiled in half the time, and run as well for a model so small.
      env["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
    self.log: list[str] = []
    self._over = False
    self._told = threading.Condition()
    self._process = subprocess.Popen(
      [sys.executable, "-m", module, *flags],
      env=env,
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
      start_new_session=True,
    )
    self._reader = threading.Thread(target=self._read, daemon=True)
    self._reader.start()

  def wait_for(self, text: str, count: int = 1) -> bool:
    """Waits until a text was logged so often; False if the run ended before.

    Raises:
      TimeoutError: neither happened in ten minutes.
    """
    # A root logger, where a library made one, says everything once more.
    once = lambda: (x for x in self.log if not x.startswith("INFO:"))
    told = lambda: sum(text in line for line in once()) >= count
    with self._told:
      happened = self._told.wait_for(lambda: told() or self._over, _DEADLINE)
    if not happened:
      raise TimeoutError(f"no {text!r}; the log ends\n{self.tail()}")
    return told()

  def send(self, number: signal.Signals) -> None:
    """Sends a signal to the process, if it is still there."""
    if self._process.poll() is None:
      self._process.send_signal(number)

  def kill(self) -> int:
    """Ends it with SIGKILL; its exit status."""
    self.send(signal.SIGKILL)
    return self.wait()

  def wait(self) -> int:
    """Waits until it has ended; its exit status.

    Raises:
      TimeoutExpired: it did not in ten minutes.
    """
    status = self._process.wait(_DEADLINE)
    self._reader.join(_DEADLINE)
    return status

  def tail(self) -> str:
    """The end of the log."""
    return "".join(self.log[-40:])

  def _read(self) -> None:
    for line in self._process.stdout:
      with self._told:
        self.log.append(line)
        self._told.notify_all()
    with self._told:
      self._over = True
      self._told.notify_all()


def finish(
  flags: Sequence[str], programs: str | os.PathLike | None = None
) -> None:
  """Lets a run go on to its end.

  Raises:
    RuntimeError: it failed.
  """
  process = Process(flags, programs=programs)
  if process.wait():
    raise RuntimeError(f"the run failed:\n{process.tail()}")


def kill(
  flags: Sequence[str],
  moment: str,
  count: int,
  delay: float = 0.0,
  programs: str | os.PathLike | None = None,
) -> bool:
  """Lets a run go on and kills it with SIGKILL.

  Args:
    flags: of the run; --verbosity=0 is added.
    moment: key of `MOMENTS`.
    count: how often it must come, from 1 on.
    delay: seconds from then on.
    programs: as for `Process`.

  Returns:
    Whether it was killed; False if it had ended before.
  """
  process = Process([*flags, "--verbosity=0"], programs=programs)
  process.wait_for(MOMENTS[moment], count)
  time.sleep(delay)
  return process.kill() == -signal.SIGKILL


def tiny(
  method: str, workdir: pathlib.Path, data: pathlib.Path, steps: int
) -> list[str]:
  """The flags of a run of small steps, with a checkpoint after every third."""
  return [
    f"--config=configs/quickstart.py:tiny,method={method}",
    f"--workdir={workdir}",
    f"--config.task.data_dir={data}",
    f"--config.steps={steps}",
    f"--config.optimizer.decay={steps}",
    "--config.progress=False",
    "--config.model.layers=1",
    "--config.model.width=16",
    # Rewards that come with random weights: the run then really learns.
    "--config.warm_start.steps=40",
    "--config.checkpoint.every=3",
    "--config.evaluation.every=10",
  ]
