"""Real processes of one run, over loopback."""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).parents[2]


class Peers:
  """The command line of a program in several processes; use as a context.

  Args:
    count: of processes; a single one is told of no others.
    devices: of each.
    folder: for what they print.
    argv: flags of the program.
    module: the program.
    env: further variables.
  """

  def __init__(
    self,
    count: int,
    devices: int,
    folder: pathlib.Path,
    *argv: str,
    module: str = "experiments.train",
    env: dict[str, str] | None = None,
  ):
    folder.mkdir(parents=True, exist_ok=True)
    self.paths = [folder / f"process{i}.log" for i in range(count)]
    places = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "faults")]
    common = os.environ | {
      "JAX_PLATFORMS": "cpu",
      "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
      "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
      "PYTHONPATH": os.pathsep.join(places),
    }
    address = f"127.0.0.1:{free_port()}"
    self.processes = []
    for number, path in enumerate(self.paths):
      own = dict(
        JAX_COORDINATOR_ADDRESS=address,
        JAX_NUM_PROCESSES=str(count),
        JAX_PROCESS_ID=str(number),
      )
      with path.open("w") as log:
        process = subprocess.Popen(
          [sys.executable, "-u", "-m", module, *argv],
          env=common | (own if count > 1 else {}) | (env or {}),
          cwd=ROOT,
          stdout=log,
          stderr=subprocess.STDOUT,
          start_new_session=True,
        )
      self.processes.append(process)

  def __enter__(self) -> "Peers":
    return self

  def __exit__(self, kind, *rest) -> None:
    for process in self.processes:
      with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
      process.wait()
    if kind is not None:
      for number in range(len(self.paths)):
        print(f"===== process {number}\n{self.log(number)}")

  def log(self, number: int) -> str:
    """What a process has printed."""
    return self.paths[number].read_text(errors="replace")

  def wait(self, seconds: float) -> list[int]:
    """The exit statuses, all of them within so many seconds from now."""
    end = time.monotonic() + seconds
    left = lambda: max(0.1, end - time.monotonic())
    return [process.wait(left()) for process in self.processes]

  def until(self, condition, seconds: float) -> None:
    """Waits for a condition while all processes run."""
    end = time.monotonic() + seconds
    while not condition():
      ended = [process.poll() for process in self.processes]
      assert ended == [None] * len(ended), f"ended early: {ended}"
      assert time.monotonic() < end, f"not within {seconds} s"
      time.sleep(0.02)


def free_port() -> int:
  """A port that nobody listens on."""
  with socket.socket() as found:
    found.bind(("127.0.0.1", 0))
    return found.getsockname()[1]
