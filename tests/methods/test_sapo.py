"""SAPO: the gate and its slope."""

import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax.methods.sapo import sapo

pytestmark = pytest.mark.usefixtures("quick_compile")

ADVANTAGES = np.array([[1.0, -1.0, 2.0, -2.0]])


def run(method, ratio):
  old = np.full((1, 4), -0.5, np.float32)
  rollout = common.batch(old, ADVANTAGES, np.ones_like(old))
  now = np.float32(old + np.log(ratio))
  return common.loss_and_grad(method, rollout, now)


def test_the_slope_is_the_advantage_where_the_policy_has_not_moved():
  loss, gradient, _ = run(sapo(3.0, 0.5), np.ones((1, 4)))
  np.testing.assert_allclose(gradient, -ADVANTAGES / 4, rtol=1e-6)
  # The gate is 4 / k / 2 there.
  want = -(ADVANTAGES * np.array([2 / 3, 4, 2 / 3, 4])).mean()
  np.testing.assert_allclose(loss, want, rtol=1e-6)


def test_the_slope_falls_with_the_distance_and_faster_where_k_is_larger():
  sizes = []
  for ratio in (1.0, 1.5, 2.0, 4.0):
    _, gradient, _ = run(sapo(1.0, 4.0), np.full((1, 4), ratio))
    sizes.append(np.abs(gradient / ADVANTAGES * 4 / ratio)[0])
  sizes = np.array(sizes)  # the slope of the gate along the ratio
  assert (np.diff(sizes, axis=0) < 0).all()
  assert (sizes[1:, 1] < sizes[1:, 0]).all()
  sigmoid = 1 / (1 + np.exp(-3.0))
  np.testing.assert_allclose(
    sizes[3, 0], 4 * sigmoid * (1 - sigmoid), rtol=1e-5
  )


def test_no_token_loses_all_of_its_gradient_at_a_bound():
  _, gradient, metrics = run(sapo(), np.array([[1.5, 1.5, 0.5, 0.5]]))
  assert (np.asarray(gradient) != 0).all()
  assert metrics["loss/clipped_fraction"] == 0


@pytest.mark.parametrize("name", ["sharpness_positive", "sharpness_negative"])
def test_a_parameter_out_of_range_is_named(name):
  with pytest.raises(ValueError, match=rf"sapo\.{name} = "):
    sapo(**{name: 0.0})
