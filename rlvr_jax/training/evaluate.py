"""Evaluation during training: the figures of a policy on unseen problems."""

from collections.abc import Sequence

from rlvr_jax import rng
from rlvr_jax.evaluation import figures
from rlvr_jax.evaluation.examiner import Examiner
from rlvr_jax.types import Array, PyTree


class Evaluator:
  """Figures of a policy on the evaluation split of a task.

  Args:
    examiner: that asks.
    ks: of pass@k.
  """

  def __init__(self, examiner: Examiner, ks: Sequence[int]):
    self.examiner, self.ks = examiner, ks

  def __call__(self, params: PyTree, key: Array, step: int) -> dict[str, float]:
    """Samples and grades; the dice depend on the key and the step alone.

    Args:
      params: of the policy.
      key: of the run.
      step: of the run.

    Returns:
      `eval/pass@<k>` for each k, `eval/avg@<n>`, `eval/maj@<n>`,
      `eval/distinct_right`, `eval/answer_entropy` (nats); for pass@1, the
      largest k and distinct_right also the ends of a 95 % interval over
      problems, `..._low` and `..._high`.
    """
    problems = list(self.examiner.task.evaluation)
    key = rng.key(key, rng.Purpose.EVALUATE, step)
    numbers = range(len(problems))
    batches = self.examiner.records(params, key, problems, numbers)
    records = [record for batch in batches for record in batch]
    row = figures.row(figures.per_problem(records, self.ks))
    ends = ("pass@1", f"pass@{max(self.ks)}", "distinct_right")
    result = {
      f"eval/{name}": figure.value
      for name, figure in row.items()
      if "@" in name or name in ("distinct_right", "answer_entropy")
    }
    for name in ends:
      result |= {
        f"eval/{name}_low": row[name].low,
        f"eval/{name}_high": row[name].high,
      }
    return result
