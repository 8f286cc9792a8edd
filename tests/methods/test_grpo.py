"""GRPO: the least deviation that divides."""

import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax.methods.grpo import grpo

pytestmark = pytest.mark.usefixtures("quick_compile")


def advantages(reward, **parameters):
  reward = np.array(reward)
  zeros = np.zeros((len(reward), 1))
  group = np.arange(len(reward)) // 2
  batch = common.batch(zeros, None, zeros + 1, reward=reward, group=group)
  method = grpo(epsilon=0.0, **parameters)
  return np.asarray(common.prepared(method, batch).advantages)[:, 0]


def test_a_small_deviation_does_not_blow_up_small_differences():
  # The deviations are sqrt(0.5) and 2e-4 sqrt(0.5).
  reward, half = [1.0, 0.0, 1e-4, -1e-4], np.sqrt(0.5)
  np.testing.assert_allclose(
    advantages(reward), [half, -half, half, -half], rtol=1e-5
  )
  np.testing.assert_allclose(
    advantages(reward, floor=1e-3), [half, -half, 0.1, -0.1], rtol=1e-5
  )


def test_a_group_of_one_keeps_its_reward_or_is_its_own_mean():
  # The deviation of all rewards is sqrt(1 / 3).
  reward = [1.0, 0.0, 1.0]
  np.testing.assert_allclose(advantages(reward)[2], 1.0, rtol=1e-6)
  found = advantages(reward, normalize="batch")
  half = 0.5 * np.sqrt(3)
  np.testing.assert_allclose(found, [half, -half, 0], rtol=1e-5)


def test_a_floor_below_zero_is_refused():
  with pytest.raises(ValueError, match=r"grpo\.floor = -1"):
    grpo(floor=-1.0)
