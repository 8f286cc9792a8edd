"""What the steps of recorded solutions tell of the right answer."""

import json
import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tabulate

from rlvr_jax.analysis import reasoning_utility
from rlvr_jax.analysis.reasoning_utility import Band
from rlvr_jax.evaluation.records import Record
from rlvr_jax.report import style
from rlvr_jax.report.utility import utility

FILE = "curves.jsonl"
VERDICTS = {True: "right", False: "wrong"}
# Digits of an entropy: more than figures need, fewer than rounding changes.
DIGITS = 5


class Sample(NamedTuple):
  """A solution of a problem whose answer is known."""

  record: Record
  number: int  # of the sample
  right: bool
  steps: list[str]


class Curve(NamedTuple):
  """What an inspector found of one sample; a line of the file."""

  source: str
  id: str  # of the problem, within its source
  sample: int
  right: bool
  entropy: list[float]  # after k = 0 .. K steps, nats per token of the answer
  cross_entropy: list[float]  # of the answer's own tokens, the same


def samples(records: Sequence[Record]) -> Iterator[Sample]:
  """Yields the samples that can be inspected.

  Their text was kept and is not blank, the verifier could tell, and there is a
  reference answer.
  """
  for record in records:
    for number, text in enumerate(record.texts):
      right, steps = record.right[number], reasoning_utility.steps(text)
      if steps and record.reference and right is not None:
        yield Sample(record, number, right, steps)


def curve(
  sample: Sample, entropy: np.ndarray, cross_entropy: np.ndarray
) -> Curve:
  """Returns the line of a sample; both float[K+1], nats."""
  rounded = lambda x: [round(v, DIGITS) for v in np.asarray(x).tolist()]
  record = sample.record
  return Curve(
    record.source,
    record.id,
    sample.number,
    sample.right,
    rounded(entropy),
    rounded(cross_entropy),
  )


def bands(
  curves: Sequence[Curve], field: str = "entropy", seed: int = 0
) -> dict[str, dict[str, Band]]:
  """Returns mean curves by source, each of right and of wrong solutions.

  Args:
    curves: at least one.
    field: "entropy" or "cross_entropy".
    seed: of the intervals over problems.

  Returns:
    Source to "right" and "wrong", as far as there are such.
  """
  found: dict[str, dict[str, Band]] = {}
  for source, verdict, its in _parts(curves):
    drawn = [reasoning_utility.resampled(getattr(c, field)) for c in its]
    band = reasoning_utility.average(drawn, [c.id for c in its], seed)
    found.setdefault(source, {})[verdict] = band
  return found


def rows(curves: Sequence[Curve]) -> list[dict[str, str]]:
  """Returns one dict per source and verdict, heading to text."""
  return [_row(*part) for part in _parts(curves)]


def separations(curves: Sequence[Curve]) -> dict[str, float]:
  """Returns how well each curve's fall tells right from wrong solutions.

  Args:
    curves: of any sources, taken together.

  Returns:
    "entropy" and "cross_entropy" to `reasoning_utility.separation`.
  """
  of = lambda field: [
    [_fall(getattr(c, field)) for c in curves if c.right is verdict]
    for verdict in VERDICTS
  ]
  return {
    field: reasoning_utility.separation(*of(field))
    for field in ("entropy", "cross_entropy")
  }


def write(curves: Sequence[Curve], folder: str | pathlib.Path) -> str:
  """Writes `curves.jsonl`, `utility.md` and two pictures.

  Args:
    curves: at least one.
    folder: where to write; made when missing.

  Returns:
    The text of `utility.md`.
  """
  folder = pathlib.Path(folder)
  folder.mkdir(parents=True, exist_ok=True)
  lines = (json.dumps(c._asdict()) + "\n" for c in curves)
  (folder / FILE).write_text("".join(lines))
  with style.context():
    for field in ("entropy", "cross_entropy"):
      figure = utility(bands(curves, field), field.replace("_", "-"))
      (folder / f"{field}.png").write_bytes(style.png(figure))
  text = _text(curves)
  # A lone surrogate, which a name may hold, is no text in UTF-8.
  (folder / "utility.md").write_text(
    text + "\n", encoding="utf-8", errors="replace"
  )
  return text


def _parts(
  curves: Sequence[Curve],
) -> Iterator[tuple[str, str, list[Curve]]]:
  """The curves by source and verdict, as far as there are such."""
  for source in dict.fromkeys(c.source for c in curves):
    for right, verdict in VERDICTS.items():
      its = [c for c in curves if c.source == source and c.right is right]
      if its:
        yield source, verdict, its


def _fall(values: Sequence[float]) -> float:
  return values[0] - values[-1]


def _row(source: str, verdict: str, its: Sequence[Curve]) -> dict[str, str]:
  found = [reasoning_utility.utility(c.entropy) for c in its]
  mean = lambda values: float(np.mean(list(values)))
  missed = mean(_fall(c.cross_entropy) for c in its)
  return {
    "source": source,
    "solutions": f"{len(its):,} {verdict}",
    "steps": f"{mean(len(c.entropy) - 1 for c in its):.1f}",
    "entropy before (nats)": f"{mean(c.entropy[0] for c in its):.3f}",
    "after": f"{mean(c.entropy[-1] for c in its):.3f}",
    "fall": f"{mean(u.total for u in found):.3f}",
    "slope": f"{mean(u.slope for u in found):.3f}",
    "falling steps": f"{mean(u.falling for u in found):.3f}",
    "fall of cross-entropy (nats)": f"{missed:.3f}",
  }


def _text(curves: Sequence[Curve]) -> str:
  table = tabulate.tabulate(
    rows(curves), "keys", "github", disable_numparse=True
  )
  known = separations(curves)
  if np.isnan(known["entropy"]):
    return table
  return (
    f"{table}\n\nOf a right and a wrong solution the right one has the larger "
    f"fall of entropy in {known['entropy']:.3f} of all pairs, that of "
    f"cross-entropy in {known['cross_entropy']:.3f}."
  )
