"""REINFORCE: the plain policy gradient."""

import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax import transform
from rlvr_jax.methods.reinforce import reinforce

pytestmark = pytest.mark.usefixtures("quick_compile")

OLD = np.float32([[-1.0, -2.0, -3.0, -0.5]])
NOW = np.float32([[-0.1, -4.0, -2.5, -0.5]])
ADVANTAGES = np.array([[1.0, -1.0, 2.0, -2.0]])


def run(method):
  rollout = common.batch(OLD, ADVANTAGES, np.ones_like(OLD))
  return common.loss_and_grad(method, rollout, NOW)


def test_every_token_pulls_by_its_advantage_however_far_the_policy_moved():
  loss, gradient, metrics = run(reinforce())
  np.testing.assert_allclose(gradient, -ADVANTAGES / 4, rtol=1e-6)
  np.testing.assert_allclose(loss, -(ADVANTAGES * NOW).mean(), rtol=1e-6)
  assert metrics["loss/clipped_fraction"] == 0


def test_weights_of_a_correction_multiply_the_loss():
  weights = np.array([[0.0, 1.0, 2.0, 3.0]])
  weigh = transform.reweight("weights", lambda o, c: weights)
  _, gradient, _ = run(transform.chain(reinforce(), weigh))
  np.testing.assert_allclose(gradient, -ADVANTAGES * weights / 4, rtol=1e-6)
