"""Annealed regularisation: its schedule and its three forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rlvr_jax
from golden_adapters import common
from rlvr_jax.methods.entropy_annealing import (
  ENTROPY,
  REF_LOGP,
  entropy_annealing,
)
from rlvr_jax.stats import LOGP
from rlvr_jax.types import Clock

pytestmark = pytest.mark.usefixtures("quick_compile")

OLD = np.float32([[-1.0, -0.5], [-2.0, -0.3], [-0.7, -0.2], [-1.5, -0.9]])
REF = np.float32([[-1.2, -0.1], [-1.0, -0.3], [-0.6, -1.2], [-0.5, -0.8]])
REWARD = np.float32([1, 0, 1, 0])
GROUP = [0, 0, 1, 1]


def run(method, logp=OLD, step=0, mask=None, group=GROUP):
  """Loss, its gradient by the log-probs, and metrics."""
  mask = np.ones_like(OLD) if mask is None else mask
  ref = {REF_LOGP.key: REF}
  rollout = common.batch(
    OLD, REWARD[:, None] * mask, mask, reward=REWARD, group=group, stats=ref
  )
  loss_fn = rlvr_jax.loss(method)
  state = rlvr_jax.chain(method).init(rollout)
  clock = Clock(step, 0, jax.random.key(0))

  def total(logp):
    stats = {LOGP.key: logp, ENTROPY.key: 2 * jnp.ones_like(logp)}
    value, (_, metrics) = loss_fn(stats, rollout, state, clock)
    return value, metrics

  value, slope = jax.value_and_grad(total, has_aux=True)(jnp.asarray(logp))
  return value[0], np.asarray(slope), value[1]


@pytest.mark.parametrize(
  ("power", "want"), [(1.0, 0.25), (0.5, 0.5), (0.0, 1.0)]
)
def test_the_strength_falls_with_the_steps(power, want):
  method = entropy_annealing(coef=1.0, period=100, power=power)
  first, later = (
    run(method, step=step)[2]["entropy_annealing/coef"] for step in (0, 300)
  )
  assert first == 1.0
  np.testing.assert_allclose(later, want, rtol=1e-6)


def test_the_strength_falls_no_lower_than_its_floor():
  method = entropy_annealing(coef=1.0, period=1, coef_min=0.125)
  metrics = run(method, step=10**6)[2]
  assert metrics["entropy_annealing/coef"] == 0.125


def test_the_bonus_is_the_mean_entropy_times_the_strength():
  metrics = run(entropy_annealing(coef=0.5, period=1), step=1)[2]
  assert metrics["loss/added"] == -0.25 * 2.0


def test_the_divergence_is_the_mean_of_k3_times_the_strength():
  metrics = run(entropy_annealing("kl", coef=0.5))[2]
  k3 = (np.exp(REF - OLD) - 1 - (REF - OLD)).mean()
  np.testing.assert_allclose(metrics["entropy_annealing/kl"], k3, rtol=1e-5)
  np.testing.assert_allclose(metrics["loss/added"], 0.5 * k3, rtol=1e-5)


@pytest.mark.parametrize("signal", ["advantage", "reward"])
def test_at_the_old_policy_it_is_a_policy_gradient_with_a_shaped_reward(signal):
  tau = 0.2
  how = dict(coef=tau, step_size=0.5, signal=signal)
  _, slope, _ = run(entropy_annealing("sequence", **how))
  gain = REWARD - tau * (OLD - REF).sum(axis=1)
  centred = gain - gain.reshape(2, 2).mean(axis=1).repeat(2)
  want = np.repeat(-centred[:, None] / 4, 2, axis=1)
  np.testing.assert_allclose(slope, want, atol=1e-6)


def test_there_is_no_policy_loss_besides_the_sequence_loss():
  metrics = run(entropy_annealing("sequence", coef=0.1), logp=OLD + 0.1)[2]
  assert metrics["loss/policy"] == 0
  assert metrics["loss/extra"] > 0


def test_the_sequence_loss_vanishes_at_its_target_up_to_the_normaliser():
  tau, eta = 0.2, 0.5
  target = (1 - eta * tau) * OLD + eta * tau * REF
  target += eta * REWARD[:, None] / 2 + 0.3  # any constant is normalised away
  how = dict(coef=tau, step_size=eta, signal="reward")
  loss, slope, _ = run(entropy_annealing("sequence", **how), logp=target)
  np.testing.assert_allclose(loss, 0, atol=1e-10)
  np.testing.assert_allclose(slope, np.zeros_like(slope), atol=1e-6)


def test_by_length_the_sequence_loss_sees_means():
  how = dict(coef=0.0, signal="reward")
  mask = np.array([[1, 1], [1, 0], [1, 1], [1, 0]])
  logp = OLD + np.float32([[0.4, 0.2], [0.8, 9], [0, 0], [0, 9]])
  found = [
    run(entropy_annealing("sequence", length_mean=by, **how), logp, mask=mask)[
      0
    ]
    for by in (False, True)
  ]
  # Residuals l - l_old - R less their mean over the group.
  square = lambda first: (2 * ((first - 1 - 0.8) / 2) ** 2 + 2 * 0.25) / 4
  np.testing.assert_allclose(
    found, [square(0.6) / 2, square(0.3) / 2], rtol=1e-5
  )


def test_a_step_too_large_for_the_strength_is_refused():
  with pytest.raises(ValueError, match="entropy_annealing.step_size = 3.0"):
    entropy_annealing("sequence", coef=0.5, step_size=3.0)
  entropy_annealing("bonus", coef=0.5, step_size=3.0)


@pytest.mark.parametrize(
  "wrong",
  [
    {"form": "other"},
    {"coef": -1.0},
    {"period": 0.0},
    {"power": -1.0},
    {"coef_min": 1.0},
    {"step_size": 0.0},
    {"signal": "other"},
  ],
)
def test_a_parameter_out_of_range_is_named(wrong):
  (name,) = wrong
  with pytest.raises(ValueError, match=rf"entropy_annealing\.{name} = "):
    entropy_annealing(**wrong)
