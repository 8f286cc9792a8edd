"""Soft overlong punishment: where it begins and ends."""

import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax import transform
from rlvr_jax.methods.group_filter import group_filter
from rlvr_jax.methods.overlong_shaping import overlong_shaping

pytestmark = pytest.mark.usefixtures("quick_compile")

LENGTHS = np.array([0, 3, 6, 7, 9, 10])
MASK = np.arange(10) < LENGTHS[:, None]


def shaped(mask=MASK, **parameters):
  rollout = common.batch(0 * mask, None, mask, reward=np.ones(len(mask)))
  return common.prepared(overlong_shaping(**parameters), rollout)


def test_the_reward_falls_along_the_buffer_to_its_end():
  found = shaped(buffer=4, factor=0.5)
  want = 1 - 0.5 * np.array([0, 0, 0, 1, 3, 4]) / 4
  np.testing.assert_allclose(found.reward, want, rtol=1e-6)
  # A row without tokens is no response.
  share = found.metrics["overlong_shaping/punished_fraction"]
  np.testing.assert_allclose(share, 3 / 5, rtol=1e-6)
  punishment = found.metrics["overlong_shaping/punishment"]
  np.testing.assert_allclose(punishment, (1 - want)[1:].mean(), rtol=1e-6)


def test_behind_a_filter_the_figures_are_of_what_is_left():
  reward, group = [1, 0, 1, 1], [0, 0, 1, 1]
  mask = np.arange(10) < np.array([6, 8, 10, 10])[:, None]
  rollout = common.batch(0 * mask, None, mask, reward=reward, group=group)
  method = transform.chain(group_filter(), overlong_shaping(buffer=4))
  metrics = common.prepared(method, rollout).metrics
  assert metrics["overlong_shaping/punished_fraction"] == 0.5
  assert metrics["overlong_shaping/punishment"] == 0.25


def test_responses_at_the_limit_can_stop_counting_instead():
  found = shaped(mode="mask")
  np.testing.assert_array_equal(found.mask, MASK & (LENGTHS < 10)[:, None])
  np.testing.assert_array_equal(found.reward, np.ones(6))
  share = found.metrics["overlong_shaping/punished_fraction"]
  np.testing.assert_allclose(share, 1 / 5, rtol=1e-6)
  found = shaped(mode="mask", max_length=7)
  np.testing.assert_array_equal(found.mask.any(axis=1), [0, 1, 1, 0, 0, 0])


def test_a_buffer_longer_than_the_responses_is_refused():
  with pytest.raises(ValueError, match=r"buffer = 11 must be <= .* 10 tokens"):
    shaped(buffer=11)
  shaped(buffer=10)


@pytest.mark.parametrize(
  "chosen", [dict(max_length=20, buffer=10), dict(max_length=11, mode="mask")]
)
def test_a_limit_that_no_response_comes_near_is_refused(chosen):
  with pytest.raises(ValueError, match="tokens and more .* none is longer th"):
    shaped(**chosen)
  shaped(**chosen | dict(max_length=chosen["max_length"] - 1))


def test_beyond_the_limit_it_falls_no_further():
  found = shaped(max_length=7, buffer=2)
  np.testing.assert_allclose(found.reward, [1, 1, 0.5, 0, 0, 0], atol=1e-6)


def test_only_counted_tokens_have_a_length():
  tools = MASK & (np.arange(10) % 2 == 0)
  found = shaped(tools, max_length=5, buffer=2)
  # 0, 2, 3, 4, 5 and 5 counted tokens.
  np.testing.assert_allclose(found.reward, [1, 1, 1, 0.5, 0, 0], atol=1e-6)


def test_replayed_rows_keep_their_reward():
  rollout = common.batch(0 * MASK, None, MASK, reward=np.ones(6))
  rollout = rollout.replace(group=rollout.group.at[5].set(-1))
  found = common.prepared(overlong_shaping(buffer=4), rollout)
  np.testing.assert_allclose(found.reward[4:], [0.25, 1.0], rtol=1e-6)


@pytest.mark.parametrize(
  "wrong",
  [
    {"max_length": -1},
    {"buffer": 0},
    {"max_length": 8, "buffer": 9},
    {"factor": -1.0},
    {"mode": "hard"},
  ],
)
def test_a_parameter_out_of_range_is_named(wrong):
  name = list(wrong)[-1]
  with pytest.raises(ValueError, match=rf"overlong_shaping\.{name} = .* must"):
    overlong_shaping(**wrong)
