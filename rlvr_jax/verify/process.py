"""The pool's end of a worker process: giving it jobs, reading its verdicts."""

import collections
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

from rlvr_jax.verify import worker

# What is left to be judged: the place of a job in its batch, and its JSON.
Jobs = collections.deque[tuple[int, bytes]]

# A worker is given jobs ahead of its replies, so that it need not wait for the
# next. They fit into a pipe, so giving never waits for a job; one that is too
# long for that is given to a worker that has none and reads while it is given.
_AHEAD = 16
_AHEAD_BYTES = 60_000
LONGEST = 4 << 20  # bytes of a job

_ENVIRONMENT = {
  "PATH": os.defpath,
  "LANG": "C.UTF-8",
  "PYTHONHASHSEED": "0",  # Sets have one order, so a rerun one verdict.
  "CUDA_VISIBLE_DEVICES": "",
  "HIP_VISIBLE_DEVICES": "",
  "JAX_PLATFORMS": "cpu",
  "OPENBLAS_NUM_THREADS": "1",  # Each would take address space.
}
_START_SECONDS = 120.0  # A worker that is not ready by then never will be.
_END_SECONDS = 2.0


class Process:
  """A worker process as the pool sees it."""

  def __init__(self, arguments: Sequence[str]):
    """Starts it.

    Args:
      arguments: of `worker`.
    """
    self._process = subprocess.Popen(
      [sys.executable, "-sPB", worker.__file__, *arguments],
      bufsize=0,
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      env=_ENVIRONMENT,
      cwd=os.sep,
      start_new_session=True,
    )
    os.set_blocking(self.fileno(), False)
    self._ready = self._gone = False
    self._requests = 0
    self._replies = b""
    self._since = time.monotonic()
    # Those at work by the number of their request, oldest first.
    self.jobs: dict[int, tuple[int, bytes]] = {}

  def fileno(self) -> int:
    """Where replies come from; `connection.wait` asks."""
    return self._process.stdout.fileno()

  def take(self, left: Jobs, most: int) -> None:
    """Takes jobs of those that are left, until it has `most`."""
    while self._ready and left and len(self.jobs) < min(most, _AHEAD):
      ahead = sum(len(job) for _, job in self.jobs.values())
      if ahead and ahead + len(left[0][1]) > _AHEAD_BYTES:
        return
      place, job = left.popleft()
      self._requests += 1
      header = worker.REQUEST.pack(self._requests, len(job))
      try:
        self._write(header + job)
      except BrokenPipeError:
        left.appendleft((place, job))
        self._gone = True
        return
      if not self.jobs:
        self._since = time.monotonic()
      self.jobs[self._requests] = place, job

  def verdicts(self) -> Iterator[tuple[int, float | None]]:
    """Yields places and verdicts of the jobs replied to since the last call."""
    try:
      new = os.read(self.fileno(), 1 << 16)
    except BlockingIOError:
      return
    self._gone = self._gone or not new
    self._since = time.monotonic()
    self._replies += new
    whole = len(self._replies) // worker.REPLY.size * worker.REPLY.size
    replies, self._replies = self._replies[:whole], self._replies[whole:]
    for number, verdict in worker.REPLY.iter_unpack(replies):
      self._ready = True
      if number in self.jobs:
        place, _ = self.jobs.pop(number)
        yield place, None if math.isnan(verdict) else verdict

  def lost(self, patience: float) -> bool:
    """Whether it has ended, or has been silent for too long (seconds).

    Raises:
      RuntimeError: it never was ready.
    """
    silent = time.monotonic() - self._since
    if not self._ready and (self._gone or silent > _START_SECONDS):
      raise RuntimeError(f"A worker of the pool does not start. {self.end()}")
    return self._gone or bool(self.jobs and silent > patience)

  def abandon(self, left: Jobs) -> Iterator[tuple[int, None]]:
    """Ends it; the job at work is unknown, those that wait are left again."""
    self.end()
    at_work, *waiting = self.jobs.values() or [None]
    left.extendleft(reversed(waiting))
    if at_work:
      yield at_work[0], None

  def end(self) -> str:
    """Ends the process and its child, and leaves no zombie.

    Returns:
      What it said of errors before it was ready, the first time.
    """
    if self._process.stderr.closed:
      return ""
    self._process.terminate()
    try:
      self._process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
      os.killpg(self._process.pid, signal.SIGKILL)
      self._process.wait()
    with self._process:  # Closes the pipes.
      return self._process.stderr.read().decode(errors="replace")

  def _write(self, data: bytes) -> None:
    """Writes all of it; a signal may end a single write early."""
    while data:
      data = data[self._process.stdin.write(data) :]
