"""The trainer's end of a jail: starts it, reads what its program prints."""

import dataclasses
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from typing import IO, NamedTuple

from rlvr_jax.verify.code import jail

_FILE_BYTES = 1 << 20
_FILES = 32
_FOLDER_BYTES = 16 << 20
_PRINTED_BYTES = 64 << 10
_GRACE = 0.2  # seconds for starting, and as many for ending
# Programs of root run as users above those that anybody has, each as its own,
# so that they can do nothing to one another.
_FIRST_USER = 1 << 30
# All of the machine that a program sees, besides the interpreter's folder.
_VISIBLE = (
  *("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/etc/ld.so.cache"),
  *("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
  """What a program may use.

  Attributes:
    seconds: processor time of each of its processes, at least 1.
    deadline: seconds of wall-clock time, above 0.
    memory: bytes of address space of each of its processes.
    processes: that run at a time, threads counted, at least 1.

  Raises:
    ValueError: a limit is out of its range.
  """

  seconds: int = 4
  deadline: float = 10.0
  memory: int = 512 << 20
  processes: int = 8

  def __post_init__(self):
    for name in ("seconds", "memory", "processes"):
      value = getattr(self, name)
      if not isinstance(value, int) or value < 1:
        raise ValueError(f"Limits: {name} = {value!r} must be an int >= 1.")
    if not 0 < self.deadline < float("inf"):
      raise ValueError(f"Limits: deadline = {self.deadline} must be above 0.")

  def of_the_kernel(self) -> dict[str, tuple[int, int]]:
    """Soft and hard limits by name in the module `resource`."""
    both = lambda value: (value, value)
    return dict(
      RLIMIT_AS=both(self.memory),
      RLIMIT_CPU=(self.seconds, self.seconds + 1),
      RLIMIT_NPROC=both(self.processes + 1),  # and the one that waits for it
      RLIMIT_FSIZE=both(_FILE_BYTES),
      RLIMIT_NOFILE=both(_FILES),
      RLIMIT_CORE=both(0),
    )


class Ended(NamedTuple):
  """How a program ended."""

  passed: bool  # by itself, without an error, having printed little
  late: bool  # it was ended at the deadline
  printed: str  # what it wrote to standard output


class Sandbox:
  """Runs programs one by one, each in a jail of its own; for Linux."""

  def __init__(self, limits: Limits, allow_network: bool = False):
    """Tries once whether this machine can do what is asked.

    Args:
      limits: of a program.
      allow_network: run programs also where the kernel gives no namespaces,
        and so with the network and all files of this user in reach.

    Raises:
      RuntimeError: it cannot; told is what was refused.
    """
    self._limits, self._isolated = limits, True
    try:
      self._try()
    except RuntimeError as error:
      if not allow_network:
        raise RuntimeError(
          f"Programs cannot be kept from network and files here: {error}. "
          "That takes Linux 5.14 or newer with namespaces for this user. Ask "
          "for them or, on a machine that may be lost, allow the network."
        ) from None
      self._isolated = False
      self._try()

  def run(self, program: str, text: str = "") -> Ended:
    """Runs a program until it ends or is ended.

    Args:
      program: Python; only the standard library is on its path.
      text: its standard input.

    Raises:
      RuntimeError: the jail or the machine failed, so nothing is known of the
        program.
    """
    try:
      return self._run(program, text)
    except OSError as error:  # No room, no memory, no process, no descriptor.
      raise RuntimeError(f"the jail cannot be used: {error}") from error

  def _try(self) -> None:
    """Raises RuntimeError if a program that does nothing cannot be run."""
    self.run("print()")

  def _run(self, program: str, text: str) -> Ended:
    with (
      tempfile.TemporaryDirectory(prefix="rlvr_jax_") as folder,
      tempfile.TemporaryFile() as source,
    ):
      source.write(_encoded(text))
      source.seek(0)
      with open(os.path.join(folder, "program.py"), "xb") as file:
        file.write(_encoded(program))
      reader, writer = os.pipe()
      with open(reader, "rb") as report:
        try:
          process = self._start(folder, source, writer)
        finally:
          os.close(writer)
        printed, late = self._watch(process)
        return _ended(report.read(), printed, late)

  def _start(
    self, folder: str, source: object, report: int
  ) -> subprocess.Popen[bytes]:
    settings = dict(
      isolated=self._isolated,
      folder=folder,
      folder_bytes=_FOLDER_BYTES,
      visible=[sys.base_prefix, *_VISIBLE],
      python=os.path.realpath(sys.executable),
      limits=self._limits.of_the_kernel(),
      deadline=self._limits.deadline,
      report=report,
      first_user=_FIRST_USER,
    )
    return subprocess.Popen(
      [sys.executable, "-I", "-S", jail.__file__, json.dumps(settings)],
      stdin=source,
      stdout=subprocess.PIPE,
      stderr=subprocess.DEVNULL,
      env={},
      cwd=folder,
      pass_fds=(report,),
      start_new_session=True,
    )

  def _watch(self, process: subprocess.Popen[bytes]) -> tuple[bytes, bool]:
    """What the program prints, up to a little too much; whether it was late."""
    until = time.monotonic() + self._limits.deadline + _GRACE
    printed = b""
    try:
      while len(printed) <= _PRINTED_BYTES:
        left = until - time.monotonic()
        if left <= 0 or not _readable(process.stdout, left):
          return printed, True
        if not (more := os.read(process.stdout.fileno(), _PRINTED_BYTES)):
          break
        printed += more
      if len(printed) <= _PRINTED_BYTES:
        # It may have closed its output and go on.
        process.wait(max(until - time.monotonic(), 0))
      return printed, False
    except subprocess.TimeoutExpired:
      return printed, True
    finally:
      process.stdout.close()
      _end(process)


def _readable(file: IO[bytes], seconds: float) -> bool:
  """Waits until a file has more to read, or has ended."""
  # Not `select`: of more than 1024 open files it takes no more.
  waiting = select.poll()
  waiting.register(file, select.POLLIN)
  return bool(waiting.poll(1000 * seconds))


def _end(process: subprocess.Popen[bytes]) -> None:
  """Asks the jail to end what it runs, and ends it if it does not."""
  process.terminate()
  try:
    process.wait(_GRACE)
  except subprocess.TimeoutExpired:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _encoded(text: str) -> bytes:
  return text.encode(errors="surrogatepass")


def _ended(report: bytes, printed: bytes, late: bool) -> Ended:
  """Puts together what the jail and the pipe told.

  Raises:
    RuntimeError: the jail failed.
  """
  told = [json.loads(line) for line in report.splitlines()]
  failed = [line["failed"] for line in told if "failed" in line]
  much = len(printed) > _PRINTED_BYTES
  if failed or not (told or late or much):
    raise RuntimeError(failed[0] if failed else "the jail did not start")
  late = not much and (late or any(line["late"] for line in told))
  passed = not late and not much and all(line["passed"] for line in told)
  text = printed[:_PRINTED_BYTES].decode(errors="replace")
  return Ended(passed, late, text)
