"""A worker: python worker.py SECONDS BYTES PATH SCRIPT [ARGUMENT ...].

PATH is a JSON list of folders to import from. SCRIPT defines `judge(*texts) ->
float | bool | None` and finds its arguments where a program does. The process
started is a keeper: it loads SCRIPT once and never judges. It forks a child
that does, and forks another, at once and with everything loaded, whenever a
child is gone. The kernel ends a child that uses up its seconds, whatever it is
doing then.

Nothing of the package is imported here, so nothing of JAX.

A request is a number (8 bytes), a length (4 bytes) and a JSON list of texts; a
reply is the number of its request and a verdict (8 bytes). There is one reply
to each request, in their order; the first reply, to no request, means ready. A
request without texts asks only whether anybody replies.
"""

import importlib.util
import json
import logging
import math
import mmap
import os
import resource
import signal
import struct
import sys
import types
from collections.abc import Callable

REQUEST = struct.Struct(">QI")
REPLY = struct.Struct(">Qd")
UNKNOWN = math.nan
READY = 0  # the number of the first reply; requests count from 1

# Computer algebra caches what it has seen: a fresh child has forgotten it.
_JOBS_OF_A_CHILD = 2000
_SIGNALS = {signal.SIGCHLD, signal.SIGTERM}


def main() -> None:
  """Keeps a child at work until the pipe of requests closes, or SIGTERM."""
  seconds, memory = float(sys.argv[1]), int(sys.argv[2])
  sys.path[:] = json.loads(sys.argv[3])
  sys.argv = sys.argv[4:]
  requests, replies = os.dup(0), os.dup(1)
  _restrict(memory)
  judge = _load(sys.argv[0]).judge
  os.dup2(1, 2)  # Errors of loading were told; what judging prints is not.
  # Loading may need files of its own for a moment; judging does not.
  resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
  os.write(replies, REPLY.pack(READY, 1.0))
  signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
  current = mmap.mmap(-1, 8)  # The request at work; shared with the child.
  while True:
    child = os.fork()
    if not child:
      _serve(judge, seconds, requests, replies, current)
    ending = signal.sigwait(_SIGNALS) == signal.SIGTERM
    if ending:
      os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    number = int.from_bytes(current)
    if ending or (status == 0 and not number):
      return
    if number:
      os.write(replies, REPLY.pack(number, UNKNOWN))
      current[:] = bytes(8)


def _load(path: str) -> types.ModuleType:
  spec = importlib.util.spec_from_file_location("judge", path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def _restrict(memory: int) -> None:
  """At most `memory` bytes, no core dumps, nothing to print to."""
  resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
  resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
  sys.setrecursionlimit(2000)
  logging.disable(logging.CRITICAL)
  null = os.open(os.devnull, os.O_RDWR)
  os.dup2(null, 0)
  os.dup2(null, 1)


def _serve(
  judge: Callable[..., float | bool | None],
  seconds: float,
  requests: int,
  replies: int,
  current: mmap.mmap,
) -> None:
  """Judges until there are no more requests; does not return."""
  signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
  for _ in range(_JOBS_OF_A_CHILD):
    header = _read(requests, REQUEST.size)
    if not header:
      os._exit(0)
    number, length = REQUEST.unpack(header)
    texts = json.loads(_read(requests, length))
    current[:] = number.to_bytes(8)
    # Processor time: a verdict does not depend on who else uses the machine.
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
      verdict = float(judge(*texts)) if texts else 1.0
    except BaseException:  # math-verify has exceptions that are no Exception.
      verdict = UNKNOWN
    signal.setitimer(signal.ITIMER_PROF, 0)
    os.write(replies, REPLY.pack(number, verdict))
    current[:] = bytes(8)
  os._exit(1)


def _read(source: int, count: int) -> bytes:
  """The next bytes of a pipe; fewer if it closes."""
  data = b""
  while len(data) < count and (more := os.read(source, count - len(data))):
    data += more
  return data


if __name__ == "__main__":
  main()
