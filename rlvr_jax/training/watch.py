"""What the parts of a step take."""

import time

from absl import logging


class Watch:
  """Names the seconds since it was last read, and logs what was done."""

  def __init__(self):
    logging.info("a step begins")
    self._began = self._last = time.perf_counter()
    self.seconds: dict[str, float] = {}

  def lap(self, name: str) -> None:
    """Books the time since the last lap; what has one name adds up."""
    logging.info("done: %s", name)
    now = time.perf_counter()
    key = f"time/{name}_seconds"
    self.seconds[key] = self.seconds.get(key, 0.0) + now - self._last
    self._last = now
    self.seconds["time/step_seconds"] = now - self._began
