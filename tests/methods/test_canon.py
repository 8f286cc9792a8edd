"""CANON: advantages against both halves of a group."""

import jax
import numpy as np
import pytest

import rlvr_jax
from golden_adapters import common
from rlvr_jax.methods.canon import ENTROPY, canon
from rlvr_jax.methods.dr_grpo import dr_grpo
from rlvr_jax.types import Clock

pytestmark = pytest.mark.usefixtures("quick_compile")

MASK = np.array([[1, 1, 1], [1, 0, 0], [1, 1, 0], [1, 1, 1]])
# Means of the rows over their tokens: 0.1, 0.2, 0.3, 0.4.
NATS = np.array([[0.1] * 3, [0.2] * 3, [0.3] * 3, [0.4] * 3])


def prepared(method, reward, group=(0, 0, 0, 0), step=0, mask=MASK, nats=NATS):
  batch = common.batch(
    np.zeros(mask.shape),
    None,
    mask,
    reward=reward,
    group=group,
    stats={ENTROPY.key: np.float32(nats)},
  )
  clock = Clock(step, 0, jax.random.key(0))
  run = jax.jit(lambda b: rlvr_jax.prepare(method)(b, {method.name: ()}, clock))
  return run(batch)[0]


def advantages(method, *args, **kwargs):
  return np.asarray(prepared(method, *args, **kwargs).advantages)[:, 0]


def test_equal_shares_of_equal_halves_are_dr_grpo():
  reward = [1.0, 0.0, 0.0, 0.5]
  want = advantages(dr_grpo(), reward)
  np.testing.assert_allclose(advantages(canon(), reward), want, atol=1e-7)


def test_a_metric_that_tells_right_from_wrong_leaves_only_the_inter_part():
  reward = [0.0, 0.0, 1.0, 1.0]  # the uncertain half is right
  inter = advantages(canon(mix=1.0), reward)
  np.testing.assert_array_equal(inter, [-1, -1, 1, 1])
  np.testing.assert_array_equal(advantages(canon(mix=0.0), reward), 0)


def test_the_longer_half_pays_for_its_length():
  # Lengths 3, 1, 2, 3: the first 3 comes before the last, low half {1, 2}.
  reward = [1.0, 1.0, 0.0, 0.5]
  found = advantages(canon("length", mix=1.0, scale=0.9), reward)
  # High rows: 0.9 R - 0.5; low ones: R - 0.9 * 0.75.
  np.testing.assert_allclose(found, [0.4, 0.325, -0.675, -0.05], atol=1e-6)
  found = advantages(canon("length", mix=1.0, offset=0.1), reward)
  np.testing.assert_allclose(found, [0.6, 0.15, -0.85, 0.1], atol=1e-6)


def test_the_side_that_is_scaled_can_be_chosen():
  reward = [1.0, 1.0, 0.0, 0.5]
  code = advantages(canon(mix=1.0, scale=0.9), reward)
  low = advantages(canon(mix=1.0, scale=0.9, scale_side="low"), reward)
  high = advantages(canon(mix=1.0, scale=0.9, scale_side="high"), reward)
  np.testing.assert_array_equal(code, low)
  # Low rows 0.9 R - 0.25 and R - 0.9 * 0.25, high ones mirrored.
  np.testing.assert_allclose(low, [0.65, 0.65, -0.9, -0.4], atol=1e-6)
  np.testing.assert_allclose(high, [0.775, 0.775, -1.0, -0.55], atol=1e-6)


def test_the_intra_part_of_an_odd_group_sums_to_zero_with_one_more_high():
  reward, group = [1.0, 0.0, 0.0, 7.0], [0, 0, 0, 1]
  found = advantages(canon(mix=0.0), reward, group)
  # Low half {1}, high half {0, 0}; a group of one has means of 0.
  np.testing.assert_array_equal(found, [0, 0, 0, 7])
  inter = advantages(canon(mix=1.0), reward, group)
  np.testing.assert_array_equal(inter, [1, -1, -1, 7])


def test_of_equal_metrics_the_earlier_rows_are_low():
  reward, flat = [1.0, 0.0, 0.0, 0.0], np.ones_like(NATS)
  found = advantages(canon(mix=1.0), reward, nats=flat)
  np.testing.assert_array_equal(found, [1, 0, -0.5, -0.5])
  placed = advantages(canon("random", mix=1.0), reward)
  np.testing.assert_array_equal(placed, found)


def test_annealing_mixes_by_the_mean_reward_of_the_rollout():
  reward = [1.0, 1.0, 1.0, 0.0]
  found = prepared(canon(schedule="anneal"), reward)
  assert found.metrics["canon/mix"] == 0.75
  want = advantages(canon(mix=0.75), reward)
  np.testing.assert_allclose(found.advantages[:, 0], want, atol=1e-7)


@pytest.mark.parametrize(
  ("schedule", "step", "mix"),
  [
    ("cosine", 0, 1 - 0.6 / 30),
    ("cosine", 30, 0.4),
    ("cosine", 50, 0.7),  # half of a cycle of 40
    ("cosine", 70, 0.4),  # restart
    ("cosine_r", 14, 0.5),
    ("cosine_r", 50, 0.7),
  ],
)
def test_the_cosine_warms_up_and_falls_in_cycles(schedule, step, mix):
  found = prepared(canon(schedule=schedule), [1.0, 0, 0, 1], step=step)
  np.testing.assert_allclose(found.metrics["canon/mix"], mix, atol=1e-6)


def test_the_gaps_say_which_half_earns_more():
  found = prepared(canon(), [0.0, 0.0, 1.0, 0.5]).metrics
  np.testing.assert_allclose(found["canon/reward_gap"], 0.75)
  np.testing.assert_allclose(found["canon/entropy_gap"], 0.2, rtol=1e-5)


@pytest.mark.parametrize("metric", ["length", "random"])
def test_the_entropy_is_only_needed_where_it_splits(metric):
  method = canon(metric)
  assert not method.needs and canon().needs == (ENTROPY,)
  found = prepared(method, [0.0, 0.0, 1.0, 0.5]).metrics
  assert found.keys() == {"canon/mix", "canon/reward_gap"}


def test_rows_without_a_group_keep_their_advantages():
  batch = common.batch(
    np.zeros((2, 1)),
    [[3.0], [4.0]],
    np.ones((2, 1)),
    reward=[1.0, 1.0],
    stats={ENTROPY.key: np.ones((2, 1), np.float32)},
  ).replace(group=np.array([0, -1]))
  found = jax.jit(lambda b: common.prepared(canon(), b))(batch).advantages
  np.testing.assert_array_equal(found[:, 0], [1, 4])


@pytest.mark.parametrize(
  ("name", "value"),
  [
    ("metric", "time"),
    ("schedule", "linear"),
    ("scale_side", "left"),
    ("mix", 1.5),
    ("scale", -1.0),
    ("warmup", 150),
    ("cycles", 0),
  ],
)
def test_a_parameter_out_of_range_is_named(name, value):
  with pytest.raises(ValueError, match=rf"canon\.{name} = "):
    canon(**{name: value})
