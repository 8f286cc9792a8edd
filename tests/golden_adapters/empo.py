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
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import TokenBatch
from rlvr_jax.verify import clusters

VERL = {"no_answer": None, "entropy_low": None, "entropy_high": None}
TRL = {"entropy_low": None, "outside": "zero"}


def check_empo(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case."""
  for number, case in common.cases(vectors):
    _check(f"case{number}", case)


def _check(where: str, case: common.Case) -> None:
  answers, out = case.inputs["answers"], case.out
  said = answers != ""
  alike = case.inputs["equality"].astype(bool) & said[:, None] & said
  first = clusters.partition(alike, "first")
  # Its rule on two texts is that they are the same text.
  leader = clusters.partition(
    (answers[:, None] == answers) & said[:, None] & said, "leader"
  )
  number = lambda ids: np.unique(ids, return_inverse=True)[1]
  np.testing.assert_array_equal(number(first), out["cluster_ids"], where)
  np.testing.assert_array_equal(number(leader), out["trl_semantic_ids"], where)
  verl = _prepared(grpo(epsilon=1e-6), np.where(said, first, -1), **VERL)
  most = _prepared(None, np.where(said, first, -1), reward="majority", **VERL)
  sure = _prepared(
    None,
    np.where(said, first, -1),
    confidence_low=0.25,
    outside="zero",
    **VERL,
  )
  trl = _prepared(grpo(epsilon=1e-4), np.where(said, leader, -1), **TRL)
  _, places = np.unique(first, return_index=True)
  got = {
    "frequencies": verl.reward,
    "unique_frequencies": np.asarray(verl.reward)[places],
    "binarize_max": most.reward,
    "conf_threshold_reward": sure.reward,
    "conf_filtered": 1 - sure.metrics["empo/kept_fraction"],
    "semantic_entropy": trl.metrics["empo/semantic_entropy"],
    "trl_reward": trl.reward,
    "grpo_adv_from_freq_std1_eps1e6": verl.advantages[:, 0],
    "grpo_adv_from_trl_std1_eps1e4": trl.advantages[:, 0],
  }
  for name, value in got.items():
    want = np.asarray(out[name], np.float64)
    # Of equal rewards, rounding of their mean over a deviation of the same.
    assert_close(f"{where}: {name}", value, want)
  checked = {*got, "cluster_ids", "trl_semantic_ids"}
  common.assert_covered(where, case, checked, ())


def _prepared(
  estimator: LossTransform | None, answers: np.ndarray, **options: object
) -> TokenBatch:
  method = empo(**options)
  if estimator is not None:
    method = transform.chain(method, estimator)
  shape = (len(answers), 1)
  rollout = common.batch(
    np.zeros(shape),
    None,
    np.ones(shape),
    notes={ANSWER.key: np.int32(answers)},
  )
  return jax.jit(lambda batch: common.prepared(method, batch))(rollout)
