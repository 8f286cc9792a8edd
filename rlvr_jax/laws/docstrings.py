"""What the docstring of a factory says, and whether that was seen."""

import inspect
import re
from typing import NamedTuple

from rlvr_jax.laws.expect import require

HEADINGS = ("Edits", "Needs", "State", "Scope", "Neutral", "Metrics", "Source")
_CONDITION = re.compile(r"\b(if|unless)\b")


class Said(NamedTuple):
  """What is said of one field or metric."""

  own: bool
  optional: bool  # depends on a hyper-parameter


def sections(doc: str) -> dict[str, str]:
  """The text under each heading of a docstring."""
  known = "|".join((*HEADINGS, "Args", "Returns", "Raises"))
  found, open_section = {}, None
  for line in inspect.cleandoc(doc).splitlines():
    match = re.match(rf"({known}):\s*(.*)", line)
    if match:
      open_section = found.setdefault(match[1], [])
      open_section.append(match[2])
    elif not line.startswith(" "):
      open_section = None
    elif open_section is not None:
      open_section.append(line.strip())
  return {k: "\n".join(v).strip() for k, v in found.items()}


def condition(text: str) -> bool:
  """Whether what is said depends on a hyper-parameter."""
  return _CONDITION.search(text) is not None


def said_edits(text: str) -> dict[str, Said]:
  """By place; "batch rows" stands for whatever it does to all fields."""
  said = {}
  place = r"\b(batch|objective)(?:(\.\w+)| rows)\s*\(([^)]*)\)"
  for clause in text.split(";"):
    for match in re.finditer(place, clause):
      optional = condition(clause[: match.end()])
      own = match[3].startswith("own")
      said[match[1] + (match[2] or "")] = Said(own, optional)
  return said


def said_metrics(text: str) -> dict[str, Said]:
  """By name, as in "name/metric: meaning."."""
  entries = re.split(r"^(\S+/\S+):", text, flags=re.MULTILINE)[1:]
  return {
    name: Said(False, condition(meaning))
    for name, meaning in zip(entries[::2], entries[1::2])
  }


def compare(heading: str, seen: dict[str, bool], said: dict[str, Said]) -> None:
  """Requires that a heading says no more and no less than what was seen.

  Args:
    heading: a member of HEADINGS.
    seen: whether it is owned, by place or by name of a metric.
    said: the same as the docstring has it.
  """
  # "batch" alone says that the rows are others, and so is every field.
  rows = "batch" in said
  known = {p for p in seen if p in said or (rows and p.startswith("batch."))}
  unsaid = sorted(seen.keys() - known)
  require(not unsaid, f"'{heading}:' lacks {unsaid}")
  unseen = sorted(
    place
    for place, how in said.items()
    if place not in seen
    and not how.optional
    and not (rows and place.startswith("batch"))
  )
  require(not unseen, f"'{heading}:' says {unseen}, which is not to be seen")
  for place in seen.keys() & said.keys():
    mark = "is" if seen[place] else "is not"
    require(
      said[place].own == seen[place],
      f"'{heading}:' of {place}, which {mark} owned",
    )
