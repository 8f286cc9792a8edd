"""Runs a command line so that a mistake of the user is one clear message."""

import contextlib
import sys
from collections.abc import Callable, Iterator

from absl import app, flags, logging

from rlvr_jax.training.config import ConfigError


def run(main: Callable[..., None], *names: str) -> None:
  """Parses the flags and calls `main`.

  A wrong configuration ends the program with its message and exit status 2;
  anything else that goes wrong keeps its traceback.

  Args:
    main: gets the arguments that are not flags.
    *names: of these arguments; all must be there.
  """

  def guarded(argv: list[str]) -> None:
    given = argv[1:]
    if len(given) > len(names):
      _stop(f"unexpected arguments {given[len(names) :]}; write --flag=value.")
    if len(given) < len(names):
      _stop(f"missing: {' '.join(names[len(given) :])}; --help tells more.")
    if not flags.FLAGS["verbosity"].present:
      logging.set_verbosity(logging.WARNING)  # Orbax is talkative.
    try:
      main(*given)
    except ConfigError as error:
      _stop(error)

  app.run(guarded, flags_parser=_parse)


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
  print(f"error: {message}", file=sys.stderr)
  sys.exit(2)
