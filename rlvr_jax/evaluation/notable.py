"""The problems worth reading: those that fail, and those that are split."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from rlvr_jax.analysis import answers
from rlvr_jax.evaluation.records import Record

LONGEST = 4000  # characters of a text on the page


class Shown(NamedTuple):
  """One problem as the page shows it."""

  source: str
  id: str
  right: int
  known: int  # samples that the verifier could tell
  samples: int
  answer_entropy: float  # nats
  prompt: str
  reference: str
  wrong: list[tuple[str, int]]  # answers and how often, most common first
  example: str | None  # a response, a wrong one if one was kept
  example_right: bool | None
  example_truncated: bool


def hardest(records: Sequence[Record], count: int = 10) -> list[Shown]:
  """Returns the problems with the smallest share of right samples.

  Of equals come first those whose wrong samples agree the most: there the
  policy is sure of a mistake, or the reference is wrong. Problems always
  solved, and those of which nothing is known, are not among them.
  """
  shown = [s for s in map(_shown, records) if s.right < s.known]
  agreed = lambda s: max((n for _, n in s.wrong), default=0) / s.known
  key = lambda s: (s.right / s.known, -agreed(s), s.source, s.id)
  return sorted(shown, key=key)[:count]


def most_split(records: Sequence[Record], count: int = 10) -> list[Shown]:
  """Returns the problems nearest to half right.

  Of equals come first those with the largest entropy of answers. Problems
  always or never solved are not among them.
  """
  shown = [s for s in map(_shown, records) if 0 < s.right < s.known]
  gap = lambda s: abs(s.right / s.known - 0.5)
  key = lambda s: (gap(s), -s.answer_entropy, s.source, s.id)
  return sorted(shown, key=key)[:count]


def shorter(text: str, longest: int = LONGEST) -> str:
  """Returns the text, without its middle where it is too long.

  The end is kept twice as long as the beginning: the answer stands there.
  """
  if len(text) <= longest:
    return text
  head, tail = longest // 3, longest - longest // 3
  left_out = f"\n\n[… {len(text) - longest:,} characters left out …]\n\n"
  return text[:head] + left_out + text[-tail:]


def _shown(record: Record) -> Shown:
  known = [
    (answer, right)
    for answer, right in zip(record.answers, record.right)
    if right is not None
  ]
  said = [answer for answer, _ in known]
  wrong = Counter(
    answer for answer, right in known if not right and answer is not None
  )
  example = _example(record)
  return Shown(
    record.source,
    record.id,
    right=sum(right for _, right in known),
    known=len(known),
    samples=len(record.right),
    answer_entropy=float(answers.answer_entropy([said])[0]) if said else 0.0,
    prompt=shorter(record.prompt),
    reference=shorter(record.reference),
    wrong=[(shorter(a, 200), n) for a, n in wrong.most_common(5)],
    example=None if example is None else shorter(record.texts[example]),
    example_right=None if example is None else record.right[example],
    example_truncated=example is not None and record.truncated[example],
  )


def _example(record: Record) -> int | None:
  """Which of the responses that were kept is shown."""
  kept = range(len(record.texts))
  wrong = [i for i in kept if record.right[i] is False]
  return next(iter([*wrong, *kept]), None)
