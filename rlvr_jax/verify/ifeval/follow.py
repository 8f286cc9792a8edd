"""Which instructions a response follows."""

import functools
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from rlvr_jax.verify.ifeval.kinds import KINDS, check_arguments

_FORM = 'must be JSON of [[id, ...], [{"argument": value, ...}, ...]]'


class Instruction(NamedTuple):
  """One instruction: the id of its kind and its arguments."""

  id: str
  arguments: Mapping[str, object]


@functools.lru_cache(maxsize=4096)
def parse(reference: str) -> tuple[Instruction, ...]:
  """Returns the instructions of a reference.

  Args:
    reference: JSON of two lists of the same length: the ids, and for each an
      object of its arguments. Arguments that are null are left out, since
      tables have a column for every argument of any kind.

  Raises:
    ValueError: it has not this form, or an instruction cannot be checked.
  """
  try:
    names, arguments = json.loads(reference)
  except (ValueError, TypeError, RecursionError) as error:
    raise ValueError(f"{_FORM} ({error})") from error
  instructions = tuple(_instructions(names, arguments))
  for instruction in instructions:
    told = check_arguments(*instruction)
    if told is not None:
      raise ValueError(told)
  return instructions


def followed(
  text: str, instructions: Sequence[Instruction], loose: bool = False
) -> list[bool]:
  """Returns which instructions a response follows.

  Args:
    text: the response; one that is blank follows none.
    instructions: of `parse`.
    loose: it is enough that one of eight variants does: without its first
      line, its last line, both or none, and with or without asterisks. It
      forgives "Sure, here it is:" and bold type.

  Returns:
    For each, whether it is followed; all of them is IFEval's accuracy of
    prompts, their mean that of instructions.
  """
  texts = list(dict.fromkeys(_variants(text))) if loose else [text]
  texts = [each for each in texts if each.strip()]
  return [
    any(KINDS[name].check(each, **arguments) for each in texts)
    for name, arguments in instructions
  ]


def _variants(text: str) -> Iterator[str]:
  lines = text.split("\n")
  ranges = itertools.product((0, 1), (len(lines), len(lines) - 1))
  for start, end in ranges:
    part = text
    if (start, end) != (0, len(lines)):
      part = "\n".join(lines[start:end]).strip()
    yield part
    yield part.replace("*", "")


def _instructions(names: object, arguments: object) -> Iterator[Instruction]:
  """Those of two lists.

  Raises:
    ValueError: they are no such lists.
  """
  lists = isinstance(names, list) and isinstance(arguments, list)
  if not lists or not names or len(names) != len(arguments):
    raise ValueError(_FORM)
  for name, given in zip(names, arguments):
    if not isinstance(name, str) or not isinstance(given, dict | None):
      raise ValueError(_FORM)
    given = {k: v for k, v in (given or {}).items() if v is not None}
    yield Instruction(name, given)
