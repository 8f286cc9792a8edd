"""DCPO: the mixture of an advantage with a tempered pull."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rlvr_jax
from golden_adapters import common
from rlvr_jax.methods.dcpo import dcpo
from rlvr_jax.methods.grpo import grpo

pytestmark = pytest.mark.usefixtures("quick_compile")

REWARD = np.array([1.0, 0.0, 1.0, 0.0])
OLD = np.float32([[-1.0, -2.0], [-0.5, -0.5], [-3.0, -1.0], [-1.0, -1.0]])


def advantages(method, reward=REWARD, hotter=OLD, colder=OLD):
  stats = {n.key: x for n, x in zip(method.needs, (colder, hotter))}
  rollout = common.batch(
    OLD, None, np.ones(OLD.shape), reward=reward, stats=stats
  )
  chain = rlvr_jax.chain(grpo(), method)
  after = jax.jit(functools.partial(common.prepared, chain))(rollout)
  return np.asarray(after.advantages), after.metrics


def of_grpo(reward=REWARD):
  rollout = common.batch(OLD, None, np.ones(OLD.shape), reward=reward)
  after = jax.jit(functools.partial(common.prepared, grpo()))(rollout)
  return np.asarray(after.advantages)


def test_an_entropy_on_target_leaves_grpo_as_it_is():
  method = dcpo(0.5, initial_entropy=0.5)
  got, metrics = advantages(method, hotter=OLD + 1)
  np.testing.assert_array_equal(got, of_grpo())
  assert metrics["dcpo/strength"] == 0


def test_cap_zero_leaves_grpo_as_it_is():
  got, _ = advantages(dcpo(0.5, cap=0.0), hotter=OLD + 1)
  np.testing.assert_array_equal(got, of_grpo())


def test_at_temperature_one_right_rows_gain_a_constant():
  method = dcpo(0.5, temperature_low=1.0, temperature_high=1.0)
  assert len(method.needs) == 1
  got, metrics = advantages(method)
  # min(|0.5 - 0|, 0.1) / (2 of 4 right) = 0.2 and 0.2 / 1.2 = 1/6.
  np.testing.assert_allclose(metrics["dcpo/strength"], 1 / 6, rtol=1e-6)
  expected = of_grpo() * 5 / 6 + REWARD[:, None] / 6
  np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_the_ratio_is_that_of_the_temperature_the_entropy_asks_for():
  below, _ = advantages(dcpo(0.5), hotter=OLD + np.log(2), colder=OLD)
  above, _ = advantages(
    dcpo(0.5, initial_entropy=0.9), hotter=OLD, colder=OLD + np.log(4)
  )
  pull = lambda got: (got - of_grpo() * 5 / 6)[0, 0] * 6
  np.testing.assert_allclose([pull(below), pull(above)], [2, 4], rtol=1e-5)


def test_without_right_rows_nothing_changes():
  got, metrics = advantages(dcpo(0.5), reward=np.zeros(4), hotter=OLD + 1)
  np.testing.assert_array_equal(got, of_grpo(np.zeros(4)))
  assert jnp.isfinite(metrics["dcpo/strength"])


@pytest.mark.parametrize(
  "wrong",
  [
    {"target_entropy": -1.0},
    {"temperature_low": 0.0},
    {"temperature_high": 0.5},
    {"cap": -0.1},
  ],
)
def test_a_parameter_out_of_range_is_named(wrong):
  (name,) = wrong
  with pytest.raises(ValueError, match=rf"dcpo\.{name} = "):
    dcpo(**({"target_entropy": 0.5} | wrong))
