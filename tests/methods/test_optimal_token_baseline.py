"""The optimal token baseline: weights of paths and their closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax.methods.optimal_token_baseline import (
  ENERGY,
  optimal_token_baseline,
)
from rlvr_jax.stats import Energy, from_logits
from rlvr_jax.types import Need

pytestmark = pytest.mark.usefixtures("quick_compile")

MASK = np.array([[1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]])
ENERGIES = np.array(
  [[0.4, 0.9, 0.05, 0], [0.8, 0.5, 0, 0], [0.1, 1.1, 0.3, 0.2], [0.4, 0, 0, 0]]
)
REWARD = np.array([1.0, 0.0, 2.0, 5.0])
GROUP = np.array([0, 0, 0, 1])


def advantages(
  reward=REWARD, energies=ENERGIES, mask=MASK, group=GROUP, **parameters
):
  batch = common.batch(
    0 * mask,
    None,
    mask,
    reward=reward,
    group=group,
    stats={ENERGY.key: np.float32(energies)},
  )
  method = optimal_token_baseline(**parameters)
  return np.asarray(common.prepared(method, batch).advantages)


def test_rewards_are_weighed_by_the_energy_of_their_paths():
  energy = np.cumsum(ENERGIES * MASK, axis=1) * MASK
  want = np.zeros((4, 4))
  for t in range(4):
    weight = energy[:3, t]
    want[:3, t] = REWARD[:3] - (weight * REWARD[:3]).sum() / weight.sum()
  want[3, 0] = 5.0  # a group of one keeps its reward
  np.testing.assert_allclose(advantages(), want * MASK, rtol=1e-5, atol=1e-6)


def test_equal_rewards_have_no_advantage():
  found = advantages(np.ones(4))
  np.testing.assert_allclose(found[:3], 0, atol=1e-6)


def test_equal_paths_have_the_mean_of_those_still_going_as_baseline():
  found = advantages(energies=np.full((4, 4), 0.5))
  want = [[0, 0, -0.5, 0], [-1, -1, 0, 0], [1, 1, 0.5, 0], [5, 0, 0, 0]]
  np.testing.assert_allclose(found, want, atol=1e-6)


def test_the_tail_of_the_longest_response_may_keep_its_reward():
  assert advantages()[2, 3] == pytest.approx(0.0, abs=1e-6)
  kept = advantages(zero_tail=True)
  assert kept[2, 3] == 2.0
  np.testing.assert_array_equal(kept[:, :3], advantages()[:, :3])


def test_without_any_energy_the_baseline_is_the_plain_mean():
  found = advantages(energies=np.zeros((4, 4)))
  want = [[0, 0, -0.5, 0], [-1, -1, 0, 0], [1, 1, 0.5, 0], [5, 0, 0, 0]]
  np.testing.assert_allclose(found, want, atol=1e-6)


def energies(logits, targets):
  ones = np.ones(len(targets), np.float32)
  needs = ENERGY, Need(Energy())
  found = from_logits(needs, {"policy": jnp.asarray(logits)}, targets, ones)
  first, second = found.values()
  np.testing.assert_array_equal(first, second)
  return np.asarray(first)


def test_a_group_that_is_sure_of_its_tokens_still_has_a_baseline():
  # 999 other tokens share 2.4e-5; 1 - 2 pi + sum p^2 is 0 in float32.
  others = -jnp.log(999 / 2.4e-5)
  logits = jnp.full((1, 1000), others, jnp.float32).at[0, 3].set(0.0)
  (energy,) = energies(logits, jnp.array([3]))
  rest = 2.4e-5 / (1 + 2.4e-5)
  np.testing.assert_allclose(energy, rest**2 * (1 + 1 / 999), rtol=1e-4)
  full = np.ones((4, 12))
  sure = dict(energies=energy * full, mask=full, group=np.zeros(4))
  np.testing.assert_allclose(advantages(np.ones(4), **sure), 0, atol=1e-6)
  found = advantages(np.array([1.0, 0, 0, 1]), **sure)
  want = np.array([0.5, -0.5, -0.5, 0.5])[:, None] * full
  np.testing.assert_allclose(found, want, rtol=1e-5)


def test_the_energy_is_the_squared_gradient_of_the_log_prob():
  logits = jnp.array([[0.3, -1.0, 2.0], [0.0, 0.0, 0.0]])
  targets = jnp.array([1, 2])
  logp = lambda z, y: jax.nn.log_softmax(z)[y]
  slope = jax.vmap(jax.grad(logp))(logits, targets)
  want = (slope**2).sum(axis=1)
  np.testing.assert_allclose(energies(logits, targets), want, rtol=1e-6)
