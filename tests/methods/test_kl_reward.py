"""Divergence and entropy as parts of the reward."""

import jax
import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax import methods, transform
from rlvr_jax.methods.entropy_reward import ENTROPY, entropy_reward
from rlvr_jax.methods.kl_reward import kl_reward
from rlvr_jax.methods.rloo import rloo

pytestmark = pytest.mark.usefixtures("quick_compile")

MASK = np.array([[1, 1, 1], [1, 0, 0], [1, 1, 0]])
LOGP = np.array([[-1.0, -2.0, -3.0], [-1.0, 9.0, 9.0], [-2.0, -2.0, 9.0]])
OTHER = np.array([[-2.0, -2.0, -5.0], [-0.5, 0.0, 0.0], [-2.0, -2.0, 0.0]])
REWARD = np.array([1.0, 0.0, 1.0])


def edited(method, need, values):
  stats = {need.key: np.float32(values)}
  batch = common.batch(LOGP, None, MASK, reward=REWARD, stats=stats)
  return jax.jit(lambda b: common.prepared(method, b))(batch)


@pytest.mark.parametrize("anchor", ["ref", "ema"])
def test_a_response_pays_for_all_its_tokens_together(anchor):
  method = kl_reward(0.5, anchor)
  (need,) = method.needs
  assert need.params == (anchor,) and need.when == "rollout"
  found = edited(method, need, OTHER)
  kl = np.array([3.0, -0.5, 0.0])
  np.testing.assert_allclose(found.reward, REWARD - 0.5 * kl, rtol=1e-6)
  np.testing.assert_allclose(found.metrics["kl_reward/kl"], kl.mean(), 1e-6)


def test_what_all_responses_pay_alike_leaves_the_baseline_nothing_to_say():
  method = transform.chain(kl_reward(0.5), rloo())
  (need,) = method.needs
  # Each response has the same divergence, whatever its length.
  length = MASK.sum(axis=1, keepdims=True)
  found = edited(method, need, LOGP - 1.0 / length)
  plain = edited(rloo(), need, OTHER)
  np.testing.assert_allclose(found.advantages, plain.advantages, atol=1e-6)


def test_a_response_earns_its_mean_entropy_whatever_its_length():
  entropy = np.array([[1.0, 2.0, 3.0], [4.0, 9.0, 9.0], [0.0, 1.0, 9.0]])
  found = edited(entropy_reward(0.5), ENTROPY, entropy)
  mean = np.array([2.0, 4.0, 0.5])
  np.testing.assert_allclose(found.reward, REWARD + 0.5 * mean, rtol=1e-6)
  told = found.metrics["entropy_reward/entropy"]
  np.testing.assert_allclose(told, mean.mean(), rtol=1e-6)


@pytest.mark.parametrize(
  ("name", "values"),
  [
    ("kl_reward", dict(coef=-1.0)),
    ("kl_reward", dict(anchor="policy")),
    ("kl_penalty", dict(anchor="policy")),
    ("entropy_reward", dict(coef=-1.0)),
  ],
)
def test_a_parameter_out_of_range_is_named(name, values):
  ((key, value),) = values.items()
  with pytest.raises(ValueError, match=rf"{name}\.{key} = {value!r} must"):
    methods.make(name, **values)
