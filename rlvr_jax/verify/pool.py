"""Processes that judge what a policy wrote, so that nothing of it can harm.

A job may loop, eat memory or crash the interpreter: its verdict is unknown, all
others are as they would have been, in their order. See `worker` for how.
"""

import collections
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from multiprocessing import connection

from rlvr_jax.verify import worker

_WORKER = pathlib.Path(worker.__file__)
_ENVIRONMENT = {
  "PATH": os.defpath,
  "LANG": "C.UTF-8",
  "PYTHONHASHSEED": "0",  # Sets have one order, so a rerun one verdict.
  "CUDA_VISIBLE_DEVICES": "",
  "HIP_VISIBLE_DEVICES": "",
  "JAX_PLATFORMS": "cpu",
}
# A worker is given jobs ahead of its replies, so that it need not wait for the
# next; but no more bytes than fit into a pipe, so that nobody waits to give.
_AHEAD = 16
_PIPE = 1 << 15
_START_SECONDS = 120.0  # a worker that is not ready by then never will be
_END_SECONDS = 2.0
_PATIENCE = 10  # wall-clock over processor time of a job; sleepers reach it


Jobs = collections.deque[tuple[int, bytes]]  # place and encoded texts


class Pool:
  """Worker processes, started when first needed.

  Threads may share one: a call waits for the calls before it. `close`, the end
  of a with block and the end of the program all end the processes.

  Attributes:
    seconds: processor time of a job; beyond it the verdict is unknown.
  """

  def __init__(
    self,
    script: str | os.PathLike[str],
    workers: int | None = None,
    seconds: float = 1.0,
    memory: int = 512 << 20,
  ):
    """Starts nothing yet.

    Args:
      script: path of a Python file that defines `judge(*texts) -> bool`.
      workers: processes; None is one for each processor of this one.
      seconds: processor time of a job, more than 0.
      memory: bytes of address space of a worker; computer algebra on the
        references of common data sets takes 100 MB.

    Raises:
      ValueError: an argument is out of its range.
    """
    count = workers or len(os.sched_getaffinity(0))
    if count < 1 or not seconds > 0:
      raise ValueError(
        f"Pool: workers = {workers} must be >= 1 or None, and seconds = "
        f"{seconds} more than 0."
      )
    self.seconds = seconds
    self._count = count
    limits = [os.fspath(script), str(seconds), str(memory)]
    # -I would also ignore PYTHONHASHSEED; of the rest there is nothing.
    self._command = [sys.executable, "-sPB", os.fspath(_WORKER), *limits]
    self._lock = threading.Lock()
    self._workers: list[_Worker] = []
    self._finalizer = weakref.finalize(self, _end, self._workers, os.getpid())

  def map(self, jobs: Sequence[Sequence[str]]) -> list[bool | None]:
    """Returns the verdicts of jobs, in their order.

    Args:
      jobs: the texts that `judge` of the script takes, for each job.

    Returns:
      What `judge` returned; None where it failed, or ran out of time or memory.

    Raises:
      RuntimeError: the script cannot be loaded.
      ValueError: a job is too long.
    """
    left = collections.deque(enumerate(map(_encoded, jobs)))
    verdicts: list[bool | None] = [None] * len(jobs)
    with self._lock:
      try:
        while len(self._workers) < min(self._count, len(jobs)):
          self._workers.append(_Worker(self._command))
        for place, verdict in self._judged(left):
          verdicts[place] = verdict
      except BaseException:
        # Their replies to this call must not be taken for those to the next.
        _end(self._workers, os.getpid())
        raise
    return verdicts

  def close(self) -> None:
    """Ends the processes; the next call of `map` starts new ones."""
    with self._lock:
      _end(self._workers, os.getpid())

  def __enter__(self) -> "Pool":
    return self

  def __exit__(self, *error: object) -> None:
    self.close()

  def _judged(self, left: Jobs) -> Iterator[tuple[int, bool | None]]:
    """Gives out the jobs that are left; yields their places and verdicts."""
    while True:
      for one in self._workers:
        # Many at a time while there are many, one at a time at the end.
        one.take(left, 1 + len(left) // (2 * len(self._workers)))
      if not any(one.jobs for one in self._workers) and not left:
        return
      connection.wait(self._workers, timeout=self.seconds)
      for index, one in enumerate(self._workers):
        yield from one.verdicts()
        if one.lost(_PATIENCE * self.seconds):
          yield from one.abandon(left)
          self._workers[index] = _Worker(self._command)


class _Worker:
  """One worker process as seen from here."""

  def __init__(self, command: Sequence[str]):
    self._process = subprocess.Popen(
      command,
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
      if sum(len(job) for _, job in self.jobs.values()) > _PIPE:
        return
      place, job = left.popleft()
      self._requests += 1
      header = worker.REQUEST.pack(self._requests, len(job))
      try:
        self._process.stdin.write(header + job)
      except BrokenPipeError:
        left.appendleft((place, job))
        self._gone = True
        return
      if not self.jobs:
        self._since = time.monotonic()
      self.jobs[self._requests] = place, job

  def verdicts(self) -> Iterator[tuple[int, bool | None]]:
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
        yield place, None if verdict == worker.UNKNOWN else bool(verdict)

  def lost(self, patience: float) -> bool:
    """Whether it has ended, or has been silent for too long (seconds).

    Raises:
      RuntimeError: it never was ready.
    """
    silent = time.monotonic() - self._since
    if not self._ready and (self._gone or silent > _START_SECONDS):
      self.end()
      told = self._process.stderr.read().decode(errors="replace")
      raise RuntimeError(f"A worker of the pool does not start. {told}")
    return self._gone or bool(self.jobs and silent > patience)

  def abandon(self, left: Jobs) -> Iterator[tuple[int, None]]:
    """Ends it; the job at work is unknown, those that wait are left again."""
    self.end()
    at_work, *waiting = self.jobs.values() or [None]
    left.extendleft(reversed(waiting))
    if at_work:
      yield at_work[0], None

  def end(self) -> None:
    """Ends the process and its child, and leaves no zombie."""
    self._process.terminate()
    try:
      self._process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
      os.killpg(self._process.pid, signal.SIGKILL)
      self._process.wait()
    self._process.stdin.close()
    self._process.stdout.close()


def _encoded(job: Sequence[str]) -> bytes:
  encoded = json.dumps(list(job)).encode()
  if len(encoded) > _PIPE:
    raise ValueError(
      f"A job of {len(encoded)} bytes is too long for the pool, at most "
      f"{_PIPE} go; cut its texts: {str(job)[:100]}..."
    )
  return encoded


def _end(workers: list[_Worker], owner: int) -> None:
  """Ends all workers; in a process forked from their owner, none."""
  while workers and os.getpid() == owner:
    workers.pop().end()
