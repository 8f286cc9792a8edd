"""Reference vectors of DAPO: policy loss, overlong punishment, group filter."""

from collections.abc import Mapping

import numpy as np

from golden_adapters import common
from golden_adapters.common import assert_close
from golden_adapters.grpo_family import check_policy_loss
from rlvr_jax import methods

LOSS = frozenset(
  {"loss", "grad_log_prob", "pg_clipfrac", "pg_clipfrac_lower", "ppo_kl"}
)


def check_dapo(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case found in `vectors`."""
  count = 0
  for number, case in common.cases(vectors):
    where, count = f"case{number}", count + 1
    if "log_prob" in case.inputs:
      check_policy_loss(where, case)
      common.assert_covered(where, case, LOSS, ())
      continue
    shapes_reward = "response_length" in case.inputs
    got = (_overlong if shapes_reward else _filtered)(case)
    for name, value in got.items():
      assert_close(f"{where}: {name}", value, case.out[name])
    common.assert_covered(where, case, got, ())
  assert count, sorted(vectors)


def _overlong(case):
  lengths, hp = case.inputs["response_length"], case.hp
  mask = np.arange(hp["max_resp_len"]) < lengths[:, None]
  reward = case.inputs["base_reward"]
  method = methods.make(
    "overlong_shaping",
    buffer=hp["overlong_buffer_len"],
    factor=hp["penalty_factor"],
  )
  rollout = common.batch(np.zeros(mask.shape), None, mask, reward=reward)
  shaped = np.asarray(common.prepared(method, rollout).reward)
  # The code writes the reward onto the last token; that of a response without
  # tokens lands on position -1.
  tokens = np.zeros(mask.shape, np.float32)
  tokens[np.arange(len(lengths)), lengths - 1] = shaped
  return {"overlong_reward": shaped - reward, "token_level_reward": tokens}


def _filtered(case):
  metric, group = case.inputs["metric"], case.inputs["group_id"]
  ones = np.ones((len(metric), 2))
  rollout = common.batch(0 * ones, None, ones, reward=metric, group=group)
  prepared = common.prepared(methods.make("group_filter"), rollout)
  kept = np.asarray(prepared.mask)
  np.testing.assert_array_equal(kept[:, 0], kept[:, 1])
  share = prepared.metrics["group_filter/kept_fraction"]
  return {
    "kept_traj": kept[:, 0],
    "num_kept_prompts": share * len(np.unique(group)),
  }
