"""The first-order entropy change of a step on one sampled token."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr_jax.analysis import entropy_dynamics as dynamics
from rlvr_jax.analysis import entropy_law

fixed = settings(derandomize=True, max_examples=50, deadline=None)


def entropy_of(p):
  return -(p * np.log(p)).sum(axis=-1)


def policy(seed, size=7):
  return np.random.default_rng(seed).dirichlet(np.full(size, 1.5))


def moved(p, logit_change):
  z = np.log(p) + logit_change
  return np.exp(z) / np.exp(z).sum()


def s_of(p):
  return dynamics.discriminator(np.log(p), entropy_of(p))


@fixed
@given(st.integers(0, 2**31))
def test_the_discriminators_of_a_vocabulary_add_up_to_nothing(seed):
  p = policy(seed)
  assert s_of(p).sum() == pytest.approx(0, abs=1e-14)
  # Corollary 3.4: so do their deviations under the policy itself.
  n = dynamics.mean_discriminator(p)
  assert (p * (s_of(p) - n)).sum() == pytest.approx(0, abs=1e-14)
  assert n > 0


def test_a_uniform_and_a_certain_policy_have_no_discriminator():
  np.testing.assert_allclose(s_of(np.full(4, 0.25)), 0, atol=1e-15)
  on_its_support = np.array([0.5, 0.5, 0.0])
  assert dynamics.mean_discriminator(on_its_support) == pytest.approx(0)
  certain = np.array([1 - 2e-9, 1e-9, 1e-9])
  np.testing.assert_allclose(s_of(certain), 0, atol=1e-6)
  assert dynamics.discriminator(-np.inf, 0.7) == 0


@fixed
@given(st.integers(0, 2**31), st.integers(0, 6))
def test_the_sign_tells_probable_tokens_from_rare_ones(seed, k):
  p = policy(seed)
  assert np.sign(s_of(p)[k]) == np.sign(p[k] - np.exp(-entropy_of(p)))


@fixed
@given(st.integers(0, 2**31), st.integers(0, 6))
def test_one_logit_moves_the_entropy_by_its_discriminator(seed, k):
  # Theorem 3.2, and that its error is of second order.
  p, bump = policy(seed), np.eye(7)[k]
  error = lambda size: (
    entropy_of(moved(p, size * bump)) - entropy_of(p) + size * s_of(p)[k]
  )
  assert error(2e-3) == pytest.approx(4 * error(1e-3), rel=0.05, abs=1e-9)


@fixed
@given(st.integers(0, 2**31), st.integers(0, 6))
def test_a_sampled_token_moves_the_entropy_as_predicted(seed, k):
  # Theorem 3.3, and that its error is of second order.
  p, toward = policy(seed), np.eye(7)[k] - policy(seed)

  def predicted(size):
    return dynamics.entropy_change(
      np.log(p[k]),
      entropy_of(p),
      dynamics.mean_discriminator(p),
      advantages=-2.0,
      step_size=size / 4,
      ratio=2.0,
    )

  error = lambda size: (
    entropy_of(moved(p, -size * toward)) - entropy_of(p) - predicted(size)
  )
  assert error(2e-3) == pytest.approx(4 * error(1e-3), rel=0.05, abs=1e-9)
  covariance = entropy_law.entropy_change(p, -1e-3 * toward)
  assert predicted(1e-3) == pytest.approx(covariance, abs=1e-15)


def batch(count=4000):
  dice = np.random.default_rng(0)
  p = dice.dirichlet(np.full(9, 0.6), size=count)
  tokens = (dice.random((count, 1)) > p.cumsum(axis=1)).sum(axis=1)
  tokens = np.minimum(tokens, 8)
  p = np.maximum(p, 1e-300)
  logp = np.log(p[np.arange(count), tokens])
  return logp, entropy_of(p), dynamics.mean_discriminator(p)


def test_over_sampled_tokens_the_deviations_average_out():
  # Corollary 3.5.
  logp, entropy, n = batch()
  figures = dynamics.summarise(logp, entropy, n, 1.0, logp < 0, 1.0)
  assert figures.mean_discriminator > 0.02
  spread = np.std(dynamics.discriminator(logp, entropy) - n)
  assert abs(figures.mean_centred) < 3 * spread / np.sqrt(len(logp))
  assert abs(figures.mean_centred) < 0.1 * figures.mean_discriminator


def test_the_figures_of_a_batch_are_means_over_its_counted_tokens():
  p = np.array([0.7, 0.2, 0.1])
  s, n, entropy = s_of(p), dynamics.mean_discriminator(p), entropy_of(p)
  gain = np.array([1.0, 1.0, -1.0, -1.0, 5.0])
  logp = np.log(p)[[0, 2, 0, 2, 0]]
  mask = np.array([1, 1, 1, 1, 0])
  found = dynamics.summarise(logp, entropy, n, gain, mask, step_size=0.1)
  assert found.mean_discriminator == pytest.approx((s[0] + s[2]) / 2)
  assert found.mean_centred == pytest.approx((s[0] + s[2]) / 2 - n)
  assert found.change == pytest.approx(0.0, abs=1e-15)
  assert found[3:] == (0.25, 0.25, 0.25, 0.25)
  only = dynamics.summarise(logp, entropy, n, gain, gain == 5, step_size=0.1)
  assert only.change == pytest.approx(-0.5 * (s[0] - n))
  nothing = dynamics.summarise(logp, entropy, n, gain, 0 * mask, step_size=0.1)
  assert nothing == dynamics.Dynamics(*[0.0] * 7)


def test_dropping_tokens_by_sign_and_discriminator_steers_the_entropy():
  # Four arms: one quadrant of the tokens at a time.
  logp, entropy, n = batch()
  s = dynamics.discriminator(logp, entropy)

  def change(gain, kept):
    arm = dynamics.summarise(logp, entropy, n, gain, kept, step_size=1.0)
    return arm.change

  assert change(1.0, s > 0) < 0 < change(1.0, s < 0)
  assert change(-1.0, s < 0) < 0 < change(-1.0, s > 0)
