"""OPO: baselines weighted by length."""

import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax import methods
from rlvr_jax.methods.opo import opo

pytestmark = pytest.mark.usefixtures("quick_compile")


def advantages(method, reward, group, lengths):
  mask = np.arange(4) < np.array(lengths)[:, None]
  batch = common.batch(0 * mask, None, mask, reward=reward, group=group)
  return np.asarray(common.prepared(method, batch).advantages)


def test_the_baseline_counts_each_reward_by_its_length():
  found = advantages(opo(), [1, 0, 2, 5], [0, 0, 0, 1], [1, 3, 4, 2])
  baseline = (1 * 1 + 3 * 0 + 4 * 2) / 8
  want = [1 - baseline, -baseline, 2 - baseline, 5.0]
  np.testing.assert_allclose(found[:, 0], want, rtol=1e-6)
  # Each token of a response has it, padding has none.
  assert ((found != 0).sum(axis=1) == [1, 3, 4, 2]).all()


def test_responses_of_equal_length_have_the_plain_mean_as_baseline():
  case = ([1, 0, 0, 1, 1, 0], [0, 0, 0, 1, 1, 1], [3] * 6)
  plain = advantages(methods.make("dr_grpo"), *case)
  np.testing.assert_allclose(advantages(opo(), *case), plain, rtol=1e-6)


def test_equal_rewards_have_no_advantage():
  assert not advantages(opo(), [1, 1, 1], [0, 0, 0], [1, 2, 4]).any()


def test_a_row_without_tokens_does_not_move_the_baseline():
  found = advantages(opo(), [1, 0, 9], [0, 0, 0], [2, 2, 0])
  np.testing.assert_allclose(found[:2, 0], [0.5, -0.5], rtol=1e-6)
