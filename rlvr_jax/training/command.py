"""Runs a command line so that a mistake of the user is one clear message."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import TextIO

from absl import app, flags, logging

from rlvr_jax import processes
from rlvr_jax.training import preemption
from rlvr_jax.training.checkpoint import NotSaved
from rlvr_jax.training.config import ConfigError

# Of a run that may be started again: it is not finished, and not all that it
# has done is on disk.
TEMPORARY = os.EX_TEMPFAIL


def run(
  main: Callable[..., None],
  *names: str,
  trains: bool = False,
  together: bool = False,
) -> None:
  """Parses the flags and calls `main`.

  A wrong configuration ends the program with its message and exit status 2;
  anything else that goes wrong keeps its traceback.

  Args:
    main: the program; gets the arguments that are not flags.
    *names: of these arguments; all must be there.
    trains: whether it looks at `preemption`. Then SIGTERM and Ctrl-C ask it to
      stop, which ends with exit status 0 if its last step is on disk, else
      with 75; so does a checkpoint that cannot be written.
    together: whether it runs with the other processes that the environment
      tells of, see `processes.start`.
  """
  sys.stdout, sys.stderr = _Lasting(sys.stdout), _Lasting(sys.stderr)

  def guarded(argv: list[str]) -> None:
    given = argv[1:]
    if len(given) > len(names):
      _stop(f"unexpected arguments {given[len(names) :]}; write --flag=value.")
    if len(given) < len(names):
      _stop(f"missing: {' '.join(names[len(given) :])}; --help tells more.")
    if not flags.FLAGS["verbosity"].present:
      logging.set_verbosity(logging.WARNING)  # Orbax is talkative.
    try:
      with preemption.listening() if trains else contextlib.nullcontext():
        main(*given)
      if together:
        processes.meet()  # One that ends earlier would be taken for lost.
    except ConfigError as error:
      _stop(error)
    except preemption.Preempted as asked:
      _tell(f"{asked}; the same command goes on.")
      sys.exit(TEMPORARY if asked.step is None else os.EX_OK)
    except NotSaved as error:
      _tell(f"error: {error}")
      sys.exit(TEMPORARY)
    except Exception:
      if words := processes.last_words():
        _tell(words)
      raise

  def parse(argv: list[str]) -> list[str]:
    if together:  # Before config files run, which may compute.
      try:
        processes.start()
      except ValueError as error:
        _stop(error)
    return _parse(argv)

  app.run(guarded, flags_parser=parse)


@contextlib.contextmanager
def mistakes() -> Iterator[None]:
  """Makes errors of reading what the user named a ConfigError.

  Only opening and loading belong inside: an error of a computation keeps its
  traceback.
  """
  try:
    yield
  except (ImportError, OSError, ValueError) as error:
    raise ConfigError(str(error)) from error


def _parse(argv: list[str]) -> list[str]:
  """The flags; config files run here and may raise, too."""
  has_config = "config" in flags.FLAGS
  try:
    left = flags.FLAGS(argv)
    if has_config:
      # A file that is not there is told only when a field is read.
      _ = flags.FLAGS["config"].value.seed
    return left
  except (
    flags.Error,
    AttributeError,
    LookupError,
    OSError,
    TypeError,
    ValueError,
  ) as error:
    given = " ".join(argv[1:])
    fields = ", configs/default.py every field with its range"
    _stop(
      f"cannot use {given}\n{_told(error)}\n"
      f"--help lists the flags{fields if has_config else ''}."
    )


def _told(error: Exception) -> str:
  """What an error says; that of a missing field may be its bare name."""
  words = _last_words(str(error))
  if words.isidentifier():
    return f"the configuration has no field {words!r}"
  return words


def _last_words(text: str) -> str:
  """What a message says itself, without the traceback it may quote."""
  plain = text.replace("\\n", " ").replace("\\'", "").strip("'\"")
  lines = [line.strip() for line in plain.splitlines() if line.strip()]
  quoted = [line for line in lines if "Error: " in line]
  return quoted[-1].partition("Error: ")[2] if quoted else " ".join(lines)


def _stop(message: object) -> None:
  _tell(f"error: {message}")
  sys.exit(2)


def _tell(message: str) -> None:
  print(message, file=sys.stderr)


class _Lasting:
  """A stream whose reader may go away; what nobody reads is dropped.

  Args:
    stream: to write to; None if it was closed from the beginning.
  """

  def __init__(self, stream: TextIO | None):
    self._stream = open(os.devnull, "w") if stream is None else stream

  def write(self, text: str) -> int:
    with contextlib.suppress(OSError):
      self._stream.write(text)
    return len(text)

  def flush(self) -> None:
    with contextlib.suppress(OSError):
      self._stream.flush()

  def __getattr__(self, name: str) -> object:
    return getattr(self._stream, name)
