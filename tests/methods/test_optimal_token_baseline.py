"""The optimal token baseline: weights of paths and their closed forms."""

import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax.methods.optimal_token_baseline import (
  SUM_P2,
  SumP2,
  optimal_token_baseline,
)
from rlvr_jax.stats import from_logits
from rlvr_jax.types import Need

pytestmark = pytest.mark.usefixtures("quick_compile")

MASK = np.array([[1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]])
CHANCE = np.array(
  [[0.5, 0.2, 0.9, 1], [0.3, 0.4, 1, 1], [0.8, 0.1, 0.6, 0.7], [0.5, 1, 1, 1]]
)
SUM = np.array(
  [[0.4, 0.3, 0.85, 0], [0.4, 0.3, 0, 0], [0.7, 0.3, 0.5, 0.6], [0.4, 0, 0, 0]]
)
REWARD = np.array([1.0, 0.0, 2.0, 5.0])
GROUP = np.array([0, 0, 0, 1])


def advantages(reward=REWARD, chance=CHANCE, total=SUM, **parameters):
  batch = common.batch(
    np.log(chance),
    None,
    MASK,
    reward=reward,
    group=GROUP,
    stats={SUM_P2.key: np.float32(total)},
  )
  method = optimal_token_baseline(**parameters)
  return np.asarray(common.prepared(method, batch).advantages)


def test_rewards_are_weighed_by_the_energy_of_their_paths():
  energy = np.cumsum((1 - 2 * CHANCE + SUM) * MASK, axis=1) * MASK
  want = np.zeros((4, 4))
  for t in range(4):
    weight = energy[:3, t]
    want[:3, t] = REWARD[:3] - (weight * REWARD[:3]).sum() / weight.sum()
  want[3, 0] = 5.0  # a group of one keeps its reward
  np.testing.assert_allclose(advantages(), want * MASK, rtol=1e-5, atol=1e-6)


def test_equal_rewards_have_no_advantage():
  found = advantages(np.ones(4))
  np.testing.assert_allclose(found[:3], 0, atol=1e-6)


def test_equal_paths_have_the_mean_of_those_still_going_as_baseline():
  same = np.full((4, 4), 0.5)
  found = advantages(chance=same, total=same)
  want = [[0, 0, -0.5, 0], [-1, -1, 0, 0], [1, 1, 0.5, 0], [5, 0, 0, 0]]
  np.testing.assert_allclose(found, want, atol=1e-6)


def test_the_tail_of_the_longest_response_may_keep_its_reward():
  assert advantages()[2, 3] == pytest.approx(0.0, abs=1e-6)
  kept = advantages(zero_tail=True)
  assert kept[2, 3] == 2.0
  np.testing.assert_array_equal(kept[:, :3], advantages()[:, :3])


def test_certain_tokens_weigh_nothing_and_divide_nothing():
  # The sum of squares one rounding too low: 1 - 2 + (1 - 1e-8) < 0.
  sure = np.ones((4, 4))
  found = advantages(chance=sure, total=sure - 1e-8)
  np.testing.assert_array_equal(found, REWARD[:, None] * MASK)


def test_the_energy_is_the_squared_gradient_of_the_log_prob():
  logits = np.float32([[0.3, -1.0, 2.0], [0.0, 0.0, 0.0]])
  probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
  targets = np.array([1, 2])
  found = from_logits(
    (SUM_P2, Need(SumP2())), {"policy": logits}, targets, np.ones(2)
  )
  both = np.stack(list(found.values()))
  np.testing.assert_allclose(both, [(probs**2).sum(axis=1)] * 2, rtol=1e-6)
  direct = SumP2().from_logits(logits, targets=targets)
  np.testing.assert_allclose(direct, both[0], rtol=1e-6)
  chance = probs[np.arange(2), targets]
  norm = ((np.eye(3)[targets] - probs) ** 2).sum(axis=1)
  np.testing.assert_allclose(1 - 2 * chance + both[0], norm, rtol=1e-6)
