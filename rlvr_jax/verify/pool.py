"""Processes that judge what a policy wrote, so that nothing of it can harm.

A job may loop, eat memory or crash the interpreter: its verdict is unknown, all
others are as they would have been, in their order. See `worker` for how.
"""

import collections
import json
import os
import sys
import threading
import weakref
from collections.abc import Iterator, Sequence
from multiprocessing import connection

from rlvr_jax.verify.process import LONGEST, Jobs, Process

_PATIENCE = 10  # wall-clock over processor time of a job; sleepers reach it


class Pool:
  """Worker processes, started when first needed; for Linux.

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
    arguments: Sequence[str] = (),
  ):
    """Starts nothing yet.

    Args:
      script: path of a Python file that defines `judge(*texts)`. It returns a
        number, a truth value, or None where it cannot tell. It imports from
        where this process would (`sys.path`).
      workers: processes; None is one for each processor of this one.
      seconds: processor time of a job, more than 0. A job that sleeps instead
        is given up after ten times as long.
      memory: bytes of address space of a worker; computer algebra on the
        references of common data sets takes 100 MB.
      arguments: that the script finds in `sys.argv[1:]`.

    Raises:
      ValueError: an argument is out of its range.
    """
    if workers is None:
      workers = len(os.sched_getaffinity(0))
    if workers < 1 or not seconds > 0:
      raise ValueError(
        f"Pool: workers = {workers} must be >= 1 or None, and seconds = "
        f"{seconds} more than 0."
      )
    self.seconds = seconds
    self._count = workers
    # Packages are where this process finds them; PYTHONPATH is not passed on.
    path = json.dumps([*map(os.path.abspath, sys.path)])
    limits = [str(seconds), str(memory)]
    self._arguments = [*limits, path, os.fspath(script), *arguments]
    self._lock = threading.Lock()
    self._workers: list[Process] = []
    weakref.finalize(self, _end, self._workers, os.getpid())

  def map(self, jobs: Sequence[Sequence[str]]) -> list[float | None]:
    """Returns the verdicts of jobs, in their order.

    Args:
      jobs: the texts that `judge` of the script takes, for each job.

    Returns:
      What `judge` returned, as a number; None where that was None or NaN, and
      where it failed, or ran out of time or memory.

    Raises:
      RuntimeError: the script cannot be loaded.
      ValueError: a job is too long.
    """
    left = collections.deque(enumerate(map(_encoded, jobs)))
    verdicts: list[float | None] = [None] * len(jobs)
    with self._lock:
      try:
        while len(self._workers) < min(self._count, len(jobs)):
          self._workers.append(Process(self._arguments))
        for place, verdict in self._judged(left):
          verdicts[place] = verdict
      except BaseException:
        # Their replies to this call must not be taken for those to the next.
        _end(self._workers, os.getpid())
        raise
    return verdicts

  def start(self) -> None:
    """Starts a process, to be told early of a script that cannot be loaded.

    Raises:
      RuntimeError: it cannot.
    """
    self.map([()])

  def close(self) -> None:
    """Ends the processes; the next call of `map` starts new ones."""
    with self._lock:
      _end(self._workers, os.getpid())

  def __enter__(self) -> "Pool":
    return self

  def __exit__(self, *error: object) -> None:
    self.close()

  def _judged(self, left: Jobs) -> Iterator[tuple[int, float | None]]:
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
          self._workers[index] = Process(self._arguments)


def _encoded(job: Sequence[str]) -> bytes:
  encoded = json.dumps(list(job)).encode()
  if len(encoded) > LONGEST:
    raise ValueError(
      f"A job of {len(encoded)} bytes is too long for the pool, at most "
      f"{LONGEST} go; cut its texts: {str(job)[:100]}..."
    )
  return encoded


def _end(workers: list[Process], owner: int) -> None:
  """Ends all workers; in a process forked from their owner, none."""
  while workers and os.getpid() == owner:
    workers.pop().end()
