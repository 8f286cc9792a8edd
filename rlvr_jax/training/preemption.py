"""Being asked to stop: SIGTERM of a scheduler, or Ctrl-C.

A program listens; the loop looks where everything of the last whole step is
still there, and raises. Nothing is torn: a step cut short leaves no trace, and
is made again, the same, when the run goes on.
"""

import contextlib
import os
import signal
from collections.abc import Iterator

from rlvr_jax import processes

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_asked = False


class Preempted(Exception):
  """A run that was asked to stop does so.

  Attributes:
    step: that is on disk; None if nothing of the run is.
  """

  def __init__(self, step: int | None = None):
    super().__init__(
      "stopped before there was anything to save"
      if step is None
      else f"stopped after step {step}, which is saved"
    )
    self.step = step


@contextlib.contextmanager
def listening() -> Iterator[None]:
  """Within, the signals only ask to stop; for the main thread.

  However often they come: a checkpoint that is being written is finished.
  """
  global _asked
  _asked = False
  before = {number: signal.signal(number, _ask) for number in _SIGNALS}
  try:
    yield
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)


def reached() -> bool:
  """Whether the run shall stop: any of its processes was asked to.

  All of them look at the same places, so they stop after the same step.
  """
  return processes.any_of(_asked)


def look() -> None:
  """Raises if the run shall stop.

  Raises:
    Preempted: it shall.
  """
  if reached():
    raise Preempted


def _ask(number: int, frame: object) -> None:
  del frame
  global _asked
  _asked = True
  name = signal.Signals(number).name
  # Not by logging, which may be at work under this very handler.
  with contextlib.suppress(OSError):
    os.write(2, f"\n{name}: saving the last whole step\n".encode())
