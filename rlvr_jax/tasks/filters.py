"""Which rows of datasets become problems, and what became of the others."""

import collections
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from rlvr_jax.tasks import overlap
from rlvr_jax.tasks.sources import Row

# Says of each reference answer what is wrong with it; None if nothing is.
Check = Callable[[Sequence[str]], Sequence[str | None]]

EMPTY = "prompt without text"
REPEATED = "repeats an earlier prompt"
CONTRADICTS = "repeats an earlier prompt with another answer"
UNPARSABLE = "reference answer cannot be parsed"
LONG = "prompt too long"
HELD_OUT = "is in the evaluation"

# Rows whose reference answers are checked together.
_BLOCK = 4096


class Dropped(NamedTuple):
  """Rows of a dataset that were dropped for one reason."""

  count: int
  examples: tuple[str, ...]  # where some of them stand, and what they say


class Report:
  """How many rows were read, kept and dropped, by dataset and reason.

  Attributes:
    read: rows read, by dataset.
    kept: problems, by dataset.
    dropped: by dataset and reason.
  """

  def __init__(self, examples: int = 2):
    """Starts at nothing.

    Args:
      examples: shown of each reason, at most.
    """
    self._examples = examples
    self.read: collections.Counter[str] = collections.Counter()
    self.kept: collections.Counter[str] = collections.Counter()
    self.dropped: dict[tuple[str, str], Dropped] = {}

  def drop(self, row: Row, reason: str, detail: str = "") -> None:
    """Counts a row that is dropped."""
    old = self.dropped.get((row.source, reason), Dropped(0, ()))
    told = f"{row.place}: {detail or row.question:.120}"
    shown = old.examples + (told,) * (len(old.examples) < self._examples)
    self.dropped[row.source, reason] = Dropped(old.count + 1, shown)

  def __str__(self) -> str:
    """One line for each dataset and each of its reasons."""
    lines = []
    for source, count in self.read.items():
      lines.append(f"{source}: {self.kept[source]} of {count} rows kept")
      for (where, reason), dropped in self.dropped.items():
        if where == source:
          examples = "".join(f"\n    {e!r}" for e in dropped.examples)
          lines.append(f"  {dropped.count} dropped: {reason}{examples}")
    return "\n".join(lines)


class Kept(NamedTuple):
  """A row that becomes a problem."""

  row: Row
  prompt: str  # as the model reads it
  length: int  # tokens


class Filter:
  """Keeps the first of each question that can be asked and graded."""

  def __init__(
    self,
    report: Report,
    render: Callable[[Row], str],
    count: Callable[[str], int],
    check: Check | None = None,
    longest: int = 0,
    unparsable: Literal["error", "drop"] = "error",
    by_source: bool = False,
    answered: bool = True,
  ):
    """Has seen nothing yet.

    Args:
      report: told of every row.
      render: writes the prompt of a row.
      count: tokens of a prompt.
      check: of reference answers; None accepts all that are not empty.
      longest: tokens of a prompt at most; 0 for any number.
      unparsable: what to do with a row whose reference answer is refused.
      by_source: a question may come once in every dataset, not once in all.
      answered: rows have reference answers; False if nobody read them.
    """
    self._report, self._render, self._count = report, render, count
    self._check, self._longest = check, longest
    self._unparsable, self._by_source = unparsable, by_source
    self._answered = answered
    self._seen: dict[tuple[str, bytes], tuple[str, str]] = {}
    self._unread: dict[tuple[str, bytes], str] = {}

  def __call__(self, rows: Iterable[Row]) -> Iterator[Kept]:
    """Yields what is kept of the rows of one dataset, in their order.

    Args:
      rows: of `sources.read`.

    Yields:
      Rows with their prompts.

    Raises:
      ValueError: two questions have one id, or a reference answer is refused
        and that is an error.
    """
    ids: dict[tuple[str, str], bytes] = {}
    for row, told in self._checked(iter(rows)):
      self._report.read[row.source] += 1
      reason, detail = self._wrong(row, told, ids)
      if reason is None:
        prompt = self._render(row)
        length = self._count(prompt)
        if not self._longest or length <= self._longest:
          self._report.kept[row.source] += 1
          yield Kept(row, prompt, length)
          continue
        reason, detail = LONG, f"{length} tokens: {row.question}"
      self._report.drop(row, reason, detail)

  def _checked(self, rows: Iterator[Row]) -> Iterator[tuple[Row, str | None]]:
    """Rows, each with what is wrong with its reference answer."""
    while block := list(itertools.islice(rows, _BLOCK)):
      answers = list(dict.fromkeys(r.answer for r in block if r.answer.strip()))
      told = self._check(answers) if self._check else [None] * len(answers)
      wrong = dict(zip(answers, told, strict=True))
      empty = "is empty" if self._answered else None
      for row in block:
        yield row, wrong.get(row.answer, empty)

  def _wrong(
    self, row: Row, told: str | None, ids: dict[tuple[str, str], bytes]
  ) -> tuple[str | None, str]:
    """Why a row is dropped, None if it is not, and what to show of it.

    Args:
      row: of a dataset.
      told: what is wrong with its reference answer.
      ids: what the questions before it said, by id.
    """
    if not row.messages[-1]["content"].strip():
      return EMPTY, repr(row.question)
    question = _digest(row.question)
    _check_id(row, ids.setdefault((row.source, row.id), question) == question)
    if told is not None and self._unparsable == "error":
      raise ValueError(
        f"{row.place}: the reference answer {row.answer!r:.80} cannot be "
        f'parsed ({told}); mend it, or drop such rows with unparsable="drop".'
      )
    key = (row.source if self._by_source else "", question)
    if told is not None:
      first = self._unread.setdefault(key, row.place)
      if first != row.place:
        return REPEATED, f"that of {first}"
      return UNPARSABLE, f"{row.answer!r:.80} {told}"
    first = self._seen.get(key)
    if first is None:
      self._seen[key] = row.answer, row.place
      return None, ""
    answer, place = first
    if answer == row.answer:
      return REPEATED, f"that of {place}"
    return CONTRADICTS, f"{row.answer!r:.40}, but {answer!r:.40} in {place}"


def _digest(question: str) -> bytes:
  """Short, since those of a million questions are in memory at once."""
  text = overlap.normalised(question).encode()
  return hashlib.blake2b(text, digest_size=16).digest()


def _check_id(row: Row, same: bool) -> None:
  if not same:
    raise ValueError(
      f"{row.place}: its id {row.id!r} is that of another question before it; "
      "give every question its own id, or name another column: "
      'columns=dict(id="...").'
    )


class Apart:
  """Finds rows to learn from that are in the evaluation.

  Which runs of words are phrases shows when all rows have been seen, so rows
  are noted first and told after. Only what may be in the evaluation is kept.
  """

  def __init__(self, held_out: overlap.HeldOut, report: Report):
    """Has noted nothing yet.

    Args:
      held_out: the evaluation.
      report: told of rows that are in it.
    """
    self._held_out, self._report = held_out, report
    self._suspects: list[tuple[int, Row, frozenset[overlap.Run]]] = []

  def note(self, number: int, row: Row) -> None:
    """Remembers a row, under its number, if it may be in the evaluation."""
    runs = self._held_out.runs_in(row.question)
    if runs or self._held_out.has(row.question):
      self._suspects.append((number, row, runs))

  def found(self) -> set[int]:
    """Reports the rows that are in the evaluation; returns their numbers."""
    held = self._held_out.held_by([runs for _, _, runs in self._suspects])
    numbers = set()
    for (number, row, _), words in zip(self._suspects, held, strict=True):
      if words or self._held_out.has(row.question):
        self._report.kept[row.source] -= 1
        self._report.drop(row, HELD_OUT, words and f"holds {words:.120}")
        numbers.add(number)
    return numbers
