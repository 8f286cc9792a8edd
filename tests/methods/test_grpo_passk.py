"""pass@k-GRPO: the lead of the best response."""

import jax
import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax.methods.grpo_passk import grpo_passk

pytestmark = pytest.mark.usefixtures("quick_compile")


def advantages(reward, group, **parameters):
  ones = np.ones((len(reward), 1))
  batch = common.batch(0 * ones, None, ones, reward=reward, group=group)
  method = grpo_passk(**parameters)
  found = jax.jit(lambda b: common.prepared(method, b).advantages)(batch)
  return np.asarray(found)[:, 0]


def test_only_the_best_of_a_group_earns_its_lead_over_the_second():
  found = advantages([0.2, 3, 1, 7, 5], [0, 0, 0, 1, 1], epsilon=0.0)
  first = (3 - 1) / np.std([0.2, 3, 1], ddof=1)
  second = (7 - 5) / np.std([7, 5], ddof=1)
  np.testing.assert_allclose(found, [0, first, 0, second, 0], rtol=1e-6)


def test_a_group_is_learnt_from_only_if_one_answer_is_right():
  found = advantages([0, 1, 0, 1, 1, 0, 0, 0, 0], np.arange(9) // 3)
  want = 1 / (np.std([0, 1, 0], ddof=1) + 1e-6)
  np.testing.assert_allclose(found, [0, want] + [0] * 7, rtol=1e-6)


def test_a_group_of_one_has_nobody_to_lead():
  assert not advantages([5.0, -3.0], [0, 1]).any()


def test_a_shift_of_all_rewards_changes_nothing():
  reward = np.array([-1.0, 2.0, 0.5, 0.0])
  before = advantages(reward, [0, 0, 0, 0])
  after = advantages(reward - 8, [0, 0, 0, 0])
  np.testing.assert_allclose(after, before, rtol=1e-5)


def test_a_negative_epsilon_is_named():
  with pytest.raises(ValueError, match=r"grpo_passk\.epsilon = -1.0 must"):
    grpo_passk(epsilon=-1.0)
