"""GPG: scaled group-relative rewards and no ratio."""

import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax.methods.gpg import gpg

pytestmark = pytest.mark.usefixtures("quick_compile")

REWARD = np.array([1.0, 0, 0, 0, 1, 1, 0, 0])
GROUP = np.array([0, 0, 0, 0, 1, 1, 2, 2])


def advantages(reward=REWARD, group=GROUP, **parameters):
  zeros = np.zeros((len(reward), 2))
  batch = common.batch(zeros, None, zeros + 1, reward=reward, group=group)
  found = np.asarray(common.prepared(gpg(**parameters), batch).advantages)
  np.testing.assert_array_equal(found[:, 0], found[:, 1])
  return found[:, 0]


def test_rows_without_a_reward_scale_up_the_others():
  # 8 rows, 3 of them with a reward.
  want = 8 / 3 * np.array([0.75, -0.25, -0.25, -0.25, 0, 0, 0, 0])
  np.testing.assert_allclose(advantages(), want, rtol=1e-6)
  np.testing.assert_allclose(advantages(divisor=4.0), want / 4, rtol=1e-6)


def test_without_any_reward_there_is_no_advantage():
  assert not advantages(0 * REWARD).any()


def test_a_group_of_one_keeps_its_scaled_reward():
  found = advantages([1.0, 0.0, 3.0], [0, 1, 2])
  np.testing.assert_allclose(found, [1.5, 0, 4.5], rtol=1e-6)


def test_every_token_pulls_by_its_advantage_however_far_the_policy_moved():
  old = np.float32([[-1.0, -2.0, -0.5]])
  given = np.array([[1.0, -1.0, 2.0]])
  rollout = common.batch(old, given, np.ones_like(old))
  loss, gradient, _ = common.loss_and_grad(gpg(), rollout, old + 1.5)
  np.testing.assert_allclose(gradient, -given / 3, rtol=1e-6)
  want = -(given * (old + 1.5)).mean()
  np.testing.assert_allclose(loss, want, rtol=1e-6)


def test_a_divisor_that_is_not_positive_is_refused():
  with pytest.raises(ValueError, match=r"gpg\.divisor = 0"):
    gpg(divisor=0.0)
