"""Runs a command line so that a mistake of the user is one clear message."""

import sys
from collections.abc import Callable

from absl import app, flags, logging

from rlvr_jax.training.config import ConfigError


def run(main: Callable[[], None]) -> None:
  """Parses the flags and calls `main`.

  A wrong configuration ends the program with its message and exit status 2;
  anything else that goes wrong keeps its traceback.
  """

  def guarded(argv: list[str]) -> None:
    if len(argv) > 1:
      raise app.UsageError(f"unexpected arguments: {argv[1:]}")
    if not flags.FLAGS["verbosity"].present:
      logging.set_verbosity(logging.WARNING)  # Orbax is talkative.
    try:
      main()
    except ConfigError as error:
      _stop(error)

  app.run(guarded, flags_parser=_parse)


def _parse(argv: list[str]) -> list[str]:
  """The flags; config files run here and may raise, too."""
  try:
    return flags.FLAGS(argv)
  except (flags.Error, AttributeError, ValueError, TypeError) as error:
    given = " ".join(argv[1:])
    _stop(
      f"cannot use {given}\n{_last_words(str(error))}\n"
      "--help lists the flags, configs/default.py every field with its range."
    )


def _last_words(text: str) -> str:
  """What a message says itself, without the traceback it may quote."""
  plain = text.replace("\\n", " ").replace("\\'", "").strip("'\"")
  lines = [line.strip() for line in plain.splitlines() if line.strip()]
  quoted = [line for line in lines if "Error: " in line]
  return quoted[-1].partition("Error: ")[2] if quoted else " ".join(lines)


def _stop(message: object) -> None:
  print(f"error: {message}", file=sys.stderr)
  sys.exit(2)
