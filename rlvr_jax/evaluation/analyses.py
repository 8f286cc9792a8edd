"""Figures of one evaluation or two: what `report` draws, from records.

Each is over the records it is given, so those of one source are chosen before.
"""

from collections.abc import Sequence

import numpy as np

from rlvr_jax.analysis import (
  answers,
  semantic_entropy,
  strategic_grams,
  support,
)
from rlvr_jax.evaluation.records import Record
from rlvr_jax.notes import Gram
from rlvr_jax.report.redundancy import Split
from rlvr_jax.report.strategies import Variety
from rlvr_jax.report.support import Entropies, Support


def support_of(
  base: Sequence[Record], trained: Sequence[Record], seed: int = 0
) -> Support:
  """Returns which problems training gained and lost.

  A problem counts as solved if any of its samples is right; samples that the
  verifier could not tell are not.

  Args:
    base: of the policy before training, at least one.
    trained: of that after it, on the same problems and with as many samples,
      in any order.
    seed: of the interval.

  Returns:
    Support.

  Raises:
    ValueError: other problems, or another number of samples.
  """
  first, second = ({r.name: r.right for r in of} for of in (base, trained))
  if first.keys() != second.keys() or not first:
    apart = sorted(first.keys() ^ second.keys())
    raise ValueError(
      f"the evaluations differ in {len(apart)} problems, {apart[:3]} among "
      "them, or hold none; evaluate both policies on the same."
    )
  counts = {len(right) for of in (first, second) for right in of.values()}
  if len(counts) > 1:
    raise ValueError(
      f"the evaluations have {sorted(counts)} samples of a problem; more "
      "samples solve more problems, so draw as many for both."
    )
  hit = lambda of: np.array([any(of[name]) for name in first])
  solved = hit(first), hit(second)
  rates = support.support_rates(support.support_counts(*solved))
  ends = support.support_rates_interval(*solved, seed)
  return Support(support.support_counts(*solved), rates, *ends)


def entropies_of(records: Sequence[Record]) -> Entropies:
  """Returns entropies of tokens and of answers, means over the problems."""
  said = answers.answer_entropy([record.answers for record in records])
  return Entropies(_token(records), float(said.mean()))


def split_of(records: Sequence[Record], at: float) -> Split:
  """Returns how much of the entropy of responses is that of their answers.

  Both are plug-in estimates, at most the logarithm of the samples: responses
  that are all different have just that, so draw many or compare like with like.

  Args:
    records: with the texts of all samples, at least one.
    at: place on the axis, e.g. the temperature.

  Returns:
    Split, means over the problems.

  Raises:
    ValueError: texts that were not kept.
  """
  for record in records:
    if len(record.texts) < len(record.answers):
      raise ValueError(
        f"{record.name!r} has {len(record.texts)} texts of "
        f"{len(record.answers)} samples; evaluate with --keep_text="
        f"{len(record.answers)}."
      )
  whole = answers.answer_entropy([record.texts for record in records]).mean()
  outcome = answers.answer_entropy([r.answers for r in records]).mean()
  return Split(at, float(outcome), float(whole - outcome))


def variety_of(
  records: Sequence[Record], grams: Sequence[Gram], step: int
) -> Variety:
  """Returns how varied tokens, answers and plans are.

  Args:
    records: at least one; plans are looked for in the texts that were kept.
    grams: strategic ones, the same for all policies that are compared.
    step: of the policy.
  """
  used = strategic_grams.counts([t for r in records for t in r.texts], grams)
  said = [semantic_entropy.discrete(_clusters(r.answers)) for r in records]
  return Variety(
    step,
    _token(records),
    float(np.mean(said)),
    strategic_grams.semantic_entropy(used),
    int((used > 0).sum()),
  )


def _token(records: Sequence[Record]) -> float:
  return float(np.mean([np.mean(record.entropy) for record in records]))


def _clusters(said: Sequence[str | None]) -> list[int]:
  """Numbers of equal answers, -1 where there is none."""
  forms = list(dict.fromkeys(said))
  return [-1 if answer is None else forms.index(answer) for answer in said]
