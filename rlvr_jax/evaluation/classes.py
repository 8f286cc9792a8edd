"""Right answers that are written differently are one answer."""

from collections import Counter
from collections.abc import Sequence

from rlvr_jax.evaluation.records import Record

# Styles by which an answer is right if it is equal to the reference. By others
# a problem may have several right answers, which are different ones.
EQUAL = ("math", "math_lenient")


def one_right(records: Sequence[Record]) -> list[Record]:
  r"""Returns records whose right samples have one answer for each problem.

  The verifier found each of them equal to the reference, so they are equal to
  one another, though their normal forms may differ: \sqrt{18} and 3\sqrt{2}, 5
  and x=5. Nobody has compared wrong answers: unequal forms of one stay apart.

  Args:
    records: graded by a style of `EQUAL`.

  Returns:
    The records. The answer of the right samples is the most frequent of their
    forms, the first of equals, or the reference if none has a form. Where a
    wrong sample has that form, too, "(right)" follows it: 5\%, a right answer
    to "how many percent?", has the form of 0.05, a wrong one.
  """
  return [*map(_one_right, records)]


def _one_right(record: Record) -> Record:
  said = list(zip(record.answers, record.right))
  forms = Counter(a for a, right in said if right and a is not None)
  name = max(forms, key=forms.get, default=record.reference)
  wrong = {a for a, right in said if not right}
  while name in wrong:
    name += " (right)"
  return record._replace(answers=[name if right else a for a, right in said])
