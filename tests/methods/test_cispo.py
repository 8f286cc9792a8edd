"""CISPO: clipped weights, unclipped gradients."""

import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax.methods.cispo import cispo

pytestmark = pytest.mark.usefixtures("quick_compile")

OLD = np.float32([[-1.0, -2.0, -3.0, -0.5]])
ADVANTAGES = np.array([[1.0, -1.0, 2.0, -2.0]])
RATIO = np.array([[1.5, 1.5, 0.5, 0.5]])


def run(method, ratio=RATIO):
  rollout = common.batch(OLD, ADVANTAGES, np.ones_like(OLD))
  now = np.float32(OLD + np.log(ratio))
  return now, *common.loss_and_grad(method, rollout, now)


@pytest.mark.parametrize(
  "bounds, weight",
  [
    ((0.2, 0.2), [1.2, 1.2, 0.8, 0.8]),
    ((1.0, 0.2), [1.2, 1.2, 0.5, 0.5]),
    ((10.0, 4.0), [1.5, 1.5, 0.5, 0.5]),
  ],
)
def test_every_token_pulls_by_its_advantage_times_its_clipped_ratio(
  bounds, weight
):
  now, loss, gradient, metrics = run(cispo(*bounds))
  want = -np.array([weight]) * ADVANTAGES / 4
  np.testing.assert_allclose(gradient, want, rtol=1e-5)
  np.testing.assert_allclose(loss, (want * now).sum(), rtol=1e-5)
  outside = (np.abs(np.array([weight]) - RATIO) > 0.1).mean()
  assert metrics["cispo/clipped_fraction"] == outside
  assert metrics["loss/clipped_fraction"] == 0


def test_on_the_policy_that_sampled_the_gradient_is_the_advantage():
  _, _, gradient, _ = run(cispo(), np.ones((1, 4)))
  np.testing.assert_allclose(gradient, -ADVANTAGES / 4, rtol=1e-6)


@pytest.mark.parametrize("wrong", [{"low": -0.1}, {"high": float("nan")}])
def test_a_parameter_out_of_range_is_named(wrong):
  with pytest.raises(ValueError, match=rf"cispo\.{list(wrong)[0]} = "):
    cispo(**wrong)
