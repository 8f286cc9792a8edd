"""Entropy-shaped advantages: how large the bonus is, and that it is held."""

import numpy as np
import pytest

from golden_adapters import common
from golden_adapters.clip_cov import edited
from rlvr_jax.methods.entropy_advantage import entropy_advantage

pytestmark = pytest.mark.usefixtures("quick_compile")

ADVANTAGES = np.float32([[1.0, -1.0, 0.0, 0.5]])
ENTROPY = np.float32([[0.5, 0.5, 2.0, 2.0]])


def shaped(nats=ENTROPY, **parameters):
  method = entropy_advantage(**parameters)
  (need,) = method.needs
  at_hand = {need.key: nats}
  then, now = (at_hand, {}) if need.when == "rollout" else ({}, at_hand)
  rollout = common.batch(
    0 * ADVANTAGES, ADVANTAGES, np.ones((1, 4)), stats=then
  )
  return edited(method, rollout, 0 * ADVANTAGES, stats=now)


@pytest.mark.parametrize("entropy", ["current", "old"])
def test_the_bonus_is_the_smaller_of_entropy_and_share_of_the_advantage(
  entropy,
):
  found = shaped(coef=0.4, kappa=2.0, entropy=entropy)
  want = [[1.2, -0.8, 0.0, 0.75]]
  np.testing.assert_allclose(found.advantages, want, rtol=1e-6)


def test_where_every_bonus_is_capped_the_advantages_are_scaled():
  found = shaped(100 * ENTROPY, coef=1.0, kappa=2.0).advantages
  np.testing.assert_allclose(found, [[1.5, -0.5, 0.0, 0.75]], rtol=1e-6)


@pytest.mark.parametrize("kappa", [1.25, 2.0, 8.0])
def test_no_sign_flips_however_large_the_entropy(kappa):
  found = shaped(1e6 * ENTROPY, kappa=kappa).advantages
  np.testing.assert_array_equal(np.sign(found), np.sign(ADVANTAGES))
  assert (found >= ADVANTAGES).all()


def test_with_kappa_one_a_negative_advantage_may_vanish_but_not_flip():
  found = shaped(1e6 * ENTROPY, kappa=1.0).advantages
  np.testing.assert_array_equal(found, [[2.0, 0.0, 0.0, 1.0]])


def test_the_bonus_falls_with_the_entropy():
  bonus = [
    float(shaped(scale * ENTROPY).metrics["entropy_advantage/bonus"])
    for scale in (0.5, 0.1, 0.0)
  ]
  assert bonus[0] > bonus[1] > bonus[2] == 0.0


def test_tokens_without_an_advantage_are_not_called_capped():
  metrics = shaped(coef=0.4, kappa=2.0).metrics
  # Of 1, -1 and 0.5 the last alone has 0.8 > 0.25.
  share = metrics["entropy_advantage/capped_fraction"]
  np.testing.assert_allclose(share, 1 / 3, rtol=1e-6)


def test_the_loss_has_no_gradient_through_the_entropy():
  method = entropy_advantage()
  (need,) = method.needs
  rollout = common.batch(0 * ADVANTAGES, ADVANTAGES, np.ones((1, 4)))

  def gradient(entropy):
    return common.loss_and_grad(
      method, rollout, 0 * ADVANTAGES, stats={need.key: entropy}
    )[1]

  # The ratio is 1: the slope by each log-prob is -A' over four tokens.
  want = -shaped().advantages / 4
  np.testing.assert_allclose(gradient(ENTROPY), want, rtol=1e-6)


@pytest.mark.parametrize(
  "wrong", [{"coef": -0.1}, {"kappa": 0.5}, {"entropy": "mean"}]
)
def test_a_parameter_out_of_range_is_named(wrong):
  (name,) = wrong
  with pytest.raises(ValueError, match=rf"entropy_advantage\.{name} = "):
    entropy_advantage(**wrong)
