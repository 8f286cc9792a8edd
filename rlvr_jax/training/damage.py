"""What counts as damage of a checkpoint, and that all processes agree on it."""

import contextlib
import errno
from collections.abc import Iterator

import jax

from rlvr_jax import processes

# Errors of reading that tell of the machine, or of who may read, not of files.
_ELSEWHERE = (
  *(errno.EMFILE, errno.ENFILE, errno.EACCES, errno.EPERM),
  *(errno.ESTALE, errno.ETIMEDOUT),
)


class Damaged(Exception):
  """A checkpoint that is not as it was saved; the message says where."""


@contextlib.contextmanager
def agreed(what: str) -> Iterator[None]:
  """What one process cannot read, all of them hold for damaged.

  Any error of reading is damage: Orbax raises many kinds, even Exception.
  """
  damage = None
  try:
    yield
  except (MemoryError, jax.errors.JaxRuntimeError):
    raise  # Of too little memory the files are not to blame.
  except Exception as error:
    if _elsewhere(error):
      raise OSError(
        f"{what} cannot be read now: {told(error)}. It may be whole and is "
        "left where it is; mend that and start the same command again."
      ) from error
    damage = _damaged(what, error)
  found = processes.exchange(None if damage is None else str(damage))
  for each in filter(None, found):
    raise Damaged(each) from damage


def _damaged(what: str, error: Exception) -> Damaged:
  if isinstance(error, Damaged):
    return error
  damage = Damaged(f"{what} cannot be read: {told(error)}")
  damage.__cause__ = error
  return damage


def _elsewhere(error: BaseException | None) -> bool:
  """Whether the machine is to blame; TensorStore tells the number in words."""
  if error is None:
    return False
  words = (f"os_error_code='{code}'" for code in _ELSEWHERE)
  known = getattr(error, "errno", None) in _ELSEWHERE
  known = known or any(each in str(error) for each in words)
  return known or _elsewhere(error.__cause__)


def told(error: Exception) -> str:
  """The kind of an error and its first line."""
  lines = str(error).strip().splitlines() or [""]
  return f"{type(error).__name__}: {lines[0]:.300}"
