"""Reference vectors of QingyangZhang/EMPO, both of its codes."""

from collections.abc import Mapping

import jax
import numpy as np

from golden_adapters import common
from golden_adapters.common import assert_close
from rlvr_jax import transform
from rlvr_jax.methods.empo import empo
from rlvr_jax.methods.grpo import grpo
from rlvr_jax.notes import ANSWER
from rlvr_jax.types import TokenBatch
from rlvr_jax.verify import clusters

VERL = {"no_answer": None, "entropy_low": None, "entropy_high": None}
METHODS = {
  "verl": transform.chain(empo(**VERL), grpo(epsilon=1e-6)),
  "majority": empo(reward="majority", **VERL),
  "sure": empo(confidence_low=0.25, outside="zero", **VERL),
  "trl": transform.chain(
    empo(entropy_low=None, outside="zero"), grpo(epsilon=1e-4)
  ),
}


def check_empo(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case."""
  # Not at the top: tests compile with options of their own.
  run = jax.jit(_prepared)
  for number, case in common.cases(vectors):
    answers = case.inputs["answers"]
    said = (answers != "")[:, None] & (answers != "")
    equal = case.inputs["equality"].astype(bool) & said
    first = clusters.partition(equal, "first")
    # The other code's rule on two texts is that they are the same text.
    same = (answers[:, None] == answers) & said
    leader = clusters.partition(same, "leader")
    batches = (_rollout(answers, ids) for ids in (first, leader))
    _check(f"case{number}", case, (first, leader), run(*batches))


def _rollout(answers: np.ndarray, ids: np.ndarray) -> TokenBatch:
  shape = (len(ids), 1)
  notes = {ANSWER.key: np.where(answers == "", -1, ids)}
  return common.batch(np.zeros(shape), None, np.ones(shape), notes=notes)


def _prepared(first: TokenBatch, leader: TokenBatch) -> dict[str, TokenBatch]:
  return {
    name: common.prepared(method, leader if name == "trl" else first)
    for name, method in METHODS.items()
  }


def _check(
  where: str,
  case: common.Case,
  ids: tuple[np.ndarray, np.ndarray],
  found: Mapping[str, TokenBatch],
) -> None:
  out, (verl, trl) = case.out, (found["verl"], found["trl"])
  for name, numbers in zip(("cluster_ids", "trl_semantic_ids"), ids):
    numbers = np.unique(numbers, return_inverse=True)[1]
    np.testing.assert_array_equal(numbers, out[name], f"{where}: {name}")
  got = {
    "frequencies": verl.reward,
    "unique_frequencies": np.asarray(verl.reward)[np.unique(ids[0])],
    "binarize_max": found["majority"].reward,
    "conf_threshold_reward": found["sure"].reward,
    "conf_filtered": 1 - found["sure"].metrics["empo/kept_fraction"],
    "semantic_entropy": trl.metrics["empo/semantic_entropy"],
    "trl_reward": trl.reward,
    "grpo_adv_from_freq_std1_eps1e6": verl.advantages[:, 0],
    "grpo_adv_from_trl_std1_eps1e4": trl.advantages[:, 0],
  }
  for name, value in got.items():
    assert_close(f"{where}: {name}", value, np.float64(out[name]))
  checked = {*got, "cluster_ids", "trl_semantic_ids"}
  common.assert_covered(where, case, checked, ())
