"""Length reward: what the length makes of right and wrong answers."""

import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax.methods.length_reward import length_reward

pytestmark = pytest.mark.usefixtures("quick_compile")

LENGTHS = np.array([0, 4, 6, 8, 4, 8])
MASK = np.arange(8) < LENGTHS[:, None]
REWARD = np.array([1.0, 1.0, 0.5, 1.0, 0.1, 0.0])


def rewarded(mask=MASK, **parameters):
  rollout = common.batch(0 * mask, None, mask, reward=REWARD)
  return common.prepared(length_reward(**parameters), rollout)


def test_right_answers_gain_with_length_and_wrong_ones_lose():
  found = rewarded()
  # Half of the limit is half of the rise, three quarters 1/2 + sqrt(1/8).
  rise = 0.5 + 8**-0.5
  want = [1.0, 1.0 + 2 * 0.5, 0.5 + 2 * 0.5 * rise, -1.0, 0.1 - 0.5, -2.0]
  np.testing.assert_allclose(found.reward, want, rtol=1e-6)
  metrics = found.metrics
  added = (np.array(want) - REWARD)[1:].mean()
  np.testing.assert_allclose(metrics["length_reward/added"], added, rtol=1e-6)
  share = metrics["length_reward/limit_fraction"]
  np.testing.assert_allclose(share, 2 / 5, rtol=1e-6)


def test_beyond_the_limit_it_falls_no_further():
  found = rewarded(max_length=6, penalty=3.0)
  np.testing.assert_allclose(found.reward[2:4], [-2.5, -2.0], rtol=1e-6)


def test_the_coefficient_scales_all_that_is_added():
  half, whole = rewarded(coef=0.5).reward, rewarded().reward
  np.testing.assert_allclose(half - REWARD, (whole - REWARD) / 2, rtol=1e-5)


def test_replayed_rows_keep_their_reward():
  rollout = common.batch(0 * MASK, None, MASK, reward=REWARD)
  rollout = rollout.replace(group=rollout.group.at[3].set(-1))
  found = common.prepared(length_reward(), rollout)
  assert found.reward[3] == 1.0


@pytest.mark.parametrize("name", ["max_length", "coef", "gain", "penalty"])
def test_a_parameter_out_of_range_is_named(name):
  with pytest.raises(ValueError, match=rf"length_reward\.{name} = .* must"):
    length_reward(**{name: -1})
