"""The reward for calls of tools."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rlvr_jax
from golden_adapters import common
from rlvr_jax import reduce
from rlvr_jax.methods.tool_reward import tool_reward
from rlvr_jax.types import Clock

# Turns of the counted tokens; -1 stands between them, for what a tool says.
TURNS = np.array(
  [
    [0, 0, 0, 0, 0, 0],
    [0, -1, 1, 1, -1, 2],
    [0, 0, -1, 2, -1, -1],
    [-1, -1, -1, -1, -1, -1],
  ]
)
CALLS = np.array([0, 2, 1, 0])


def shaped(method, step, reward):
  batch = common.batch(
    np.zeros(TURNS.shape),
    None,
    TURNS >= 0,
    reward=reward,
    turn=np.where(TURNS < 0, 9, TURNS),
  )
  prepare = rlvr_jax.prepare(method)
  clock = Clock(step, 0, jax.random.key(0))
  found, _ = prepare(batch, rlvr_jax.chain(method).init(batch), clock)
  return np.asarray(found.reward) - reward, found.metrics


def test_turns_are_counted_where_a_token_counts():
  turns = reduce.row_turns(jnp.asarray(TURNS), jnp.asarray(TURNS >= 0))
  np.testing.assert_array_equal(turns, [1, 3, 2, 0])


def test_calls_earn_a_tenth_each_and_less_as_the_steps_go():
  reward = np.float32([1, 0, 1, 0])
  for step, left in ((0, 1.0), (5, 0.5), (10, 0.0), (99, 0.0)):
    earned, metrics = shaped(tool_reward(steps=10), step, reward)
    np.testing.assert_allclose(earned, left * 0.1 * CALLS, atol=1e-6)
    np.testing.assert_allclose(metrics["tool_reward/coef"], left, atol=1e-6)
  assert metrics["tool_reward/calls"] == 0.75


def test_a_constant_reward_is_capped_and_does_not_fade():
  method = tool_reward(per_call=0.4, cap=0.5, schedule="constant")
  earned, _ = shaped(method, 10_000, np.zeros(4, np.float32))
  np.testing.assert_allclose(earned, [0, 0.5, 0.4, 0], atol=1e-6)


def test_right_responses_may_earn_all_for_any_call():
  reward = np.float32([1, 1, 0, 1])
  earned, _ = shaped(tool_reward(right="any"), 0, reward)
  np.testing.assert_allclose(earned, [0, 1, 0.1, 0], atol=1e-6)


def test_turns_may_be_counted_with_the_last_one():
  earned, _ = shaped(tool_reward(count="turns"), 0, np.zeros(4, np.float32))
  np.testing.assert_allclose(earned, [0.1, 0.3, 0.2, 0], atol=1e-6)


@pytest.mark.parametrize(
  "wrong",
  [
    {"count": "words"},
    {"right": "some"},
    {"schedule": "linear"},
    {"per_call": -1.0},
    {"cap": -1.0},
    {"steps": 0},
  ],
)
def test_a_parameter_out_of_range_is_named(wrong):
  ((name, value),) = wrong.items()
  with pytest.raises(
    ValueError, match=rf"tool_reward\.{name} = {value!r} must"
  ):
    tool_reward(**wrong)
