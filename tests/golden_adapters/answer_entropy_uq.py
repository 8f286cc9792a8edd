"""Reference vectors of jlko/semantic_uncertainty's semantic_entropy.py."""

from collections.abc import Mapping

import numpy as np

from golden_adapters import common
from golden_adapters.common import assert_close
from rlvr_jax.analysis import semantic_entropy
from rlvr_jax.verify import clusters


def check_answer_entropy_uq(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case."""
  for number, case in common.cases(vectors):
    _check(f"case{number}", case)


def _check(where: str, case: common.Case) -> None:
  implication, logp = (
    case.inputs[name] for name in ("implication", "mean_token_loglik")
  )
  equal = semantic_entropy.equivalent(
    implication, bool(case.hp["strict_entailment"])
  )
  ids = clusters.partition(equal, "leader")
  got = {
    "loglik_per_cluster": semantic_entropy.log_shares(ids, logp),
    "semantic_entropy_rao": semantic_entropy.weighted(ids, logp),
    "naive_predictive_entropy": semantic_entropy.naive(logp),
    "discrete_semantic_entropy": semantic_entropy.discrete(ids),
  }
  numbers = np.unique(ids, return_inverse=True)[1]
  np.testing.assert_array_equal(numbers, case.out["semantic_ids"], where)
  for name, value in got.items():
    assert_close(f"{where}: {name}", value, case.out[name])
  common.assert_covered(where, case, {*got, "semantic_ids"}, ())
