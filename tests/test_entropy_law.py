"""The law R = -a exp(H) + b and the entropy change of one policy step."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr_jax.analysis import entropy_law

fixed = settings(derandomize=True, max_examples=50, deadline=None)
POLICY = np.array([0.7, 0.2, 0.1])
ADVANTAGES = np.array([0.375, -1.125, -0.375])  # centred: .2625 -.225 -.0375


def entropy_of(p):
  return -(p * np.log(p)).sum()


def true_change(p, logit_change):
  z = np.log(p) + logit_change
  return entropy_of(np.exp(z) / np.exp(z).sum()) - entropy_of(p)


@fixed
@given(st.floats(0.01, 1), st.floats(-1, 2))
def test_a_law_without_noise_is_recovered(a, b):
  entropy = np.linspace(0.05, 1.2, 9)
  law = entropy_law.fit(entropy, b - a * np.exp(entropy))
  assert law.a == pytest.approx(a, abs=1e-9)
  assert law.b == pytest.approx(b, abs=1e-9)
  assert law.rmse < 1e-12


def test_the_ceiling_is_the_reward_at_zero_entropy():
  entropy = np.array([0.9, 0.5, 0.2])
  law = entropy_law.fit(entropy, 0.6 - 0.2 * np.exp(entropy))
  assert entropy_law.ceiling(law) == pytest.approx(0.4)
  assert entropy_law.predict(law, 0.0) == pytest.approx(0.4)


def test_the_first_steps_predict_the_rest():
  rng = np.random.default_rng(0)
  entropy = 0.1 + 0.9 * np.exp(-np.arange(240) / 60)
  reward = 0.6 - 0.2 * np.exp(entropy) + rng.normal(0, 0.005, 240)
  law = entropy_law.fit(entropy[:36], reward[:36])
  assert entropy_law.rmse(law, entropy[36:], reward[36:]) < 0.02


def test_the_fit_is_the_least_squares_one():
  rng = np.random.default_rng(1)
  entropy, reward = rng.random((2, 30))
  law = entropy_law.fit(entropy, reward)
  slope, intercept = np.polyfit(np.exp(entropy), reward, 1)
  assert (law.a, law.b) == pytest.approx((-slope, intercept))
  assert law.rmse == pytest.approx(entropy_law.rmse(law, entropy, reward))


@pytest.mark.parametrize(
  "entropy, reward, message",
  [
    ([0.5], [0.5], "at least 2 points"),
    ([0.5, 0.6], [0.5], "of one length"),
    ([0.5, 0.5, 0.5], [0.1, 0.2, 0.3], "all entropies are 0.5 nats"),
    ([0.5, np.nan], [0.1, 0.2], "point 1 .* is not finite"),
    ([0.5, 800.0], [0.1, 0.2], "point 1 .* is not finite"),
  ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_points_that_determine_no_law_are_refused(entropy, reward, message):
  with pytest.raises(ValueError, match=message):
    entropy_law.fit(np.array(entropy), np.array(reward))


def test_the_three_token_closed_form_holds():
  assert entropy_of(POLICY) == pytest.approx(0.8018185525, abs=1e-10)
  first = entropy_law.entropy_change_policy_gradient(POLICY, ADVANTAGES, 1.0)
  second = entropy_law.entropy_change_natural_gradient(POLICY, ADVANTAGES, 1.0)
  assert first == pytest.approx(-0.1237658838, abs=1e-10)
  assert second == pytest.approx(-0.3548432985, abs=1e-10)


def test_the_true_step_changes_the_entropy_as_published():
  plain = true_change(POLICY, 1e-3 * POLICY * ADVANTAGES)
  natural = true_change(POLICY, 1e-3 * ADVANTAGES)
  assert plain == pytest.approx(-1.2377585e-4, abs=1e-11)
  assert natural == pytest.approx(-3.5493515e-4, abs=1e-11)


@fixed
@given(st.integers(0, 2**31))
def test_halving_the_step_quarters_the_error_of_the_theorem(seed):
  rng = np.random.default_rng(seed)
  p, change = rng.dirichlet(np.full(5, 3.0)), rng.normal(size=5)
  error = lambda eta: (
    true_change(p, eta * change) - entropy_law.entropy_change(p, eta * change)
  )
  large, small = error(2e-3), error(1e-3)
  assert large == pytest.approx(4 * small, rel=0.05, abs=1e-9)


@pytest.mark.parametrize(
  "change",
  [
    entropy_law.entropy_change_policy_gradient,
    entropy_law.entropy_change_natural_gradient,
  ],
)
def test_a_uniform_policy_or_a_constant_advantage_changes_no_entropy(change):
  uniform, gains = np.full(4, 0.25), np.array([1.0, -2.0, 0.5, 0.5])
  assert change(uniform, gains, 0.1) == pytest.approx(0, abs=1e-15)
  assert change(POLICY, np.full(3, 2.0), 0.1) == pytest.approx(0, abs=1e-15)


def test_rewarding_rare_tokens_raises_the_entropy():
  gains = -np.log(POLICY)
  change = entropy_law.entropy_change_natural_gradient(POLICY, gains, 0.1)
  assert change > 0


def test_the_single_sample_surrogate_averages_to_the_theorem():
  s = POLICY * (np.log(POLICY) + entropy_of(POLICY))
  surrogate = -ADVANTAGES * (s - (POLICY * s).sum())
  theorem = entropy_law.entropy_change_policy_gradient(POLICY, ADVANTAGES, 1.0)
  assert (POLICY * surrogate).sum() == pytest.approx(theorem, abs=1e-15)


def test_an_impossible_action_adds_nothing():
  p, gains = np.append(POLICY, 0.0), np.append(ADVANTAGES, 9.0)
  with_zero = entropy_law.entropy_change_natural_gradient(p, gains, 1.0)
  assert with_zero == pytest.approx(-0.3548432985, abs=1e-10)


def test_policies_may_be_stacked_and_must_be_probabilities():
  stacked = np.stack([POLICY, POLICY[::-1]])
  change = entropy_law.entropy_change(stacked, np.ones((2, 3)))
  np.testing.assert_allclose(change, [0, 0], atol=1e-15)
  with pytest.raises(ValueError, match="Apply a softmax first"):
    entropy_law.entropy_change(np.log(POLICY), ADVANTAGES)


GROUPS = np.array([7, 3, 7, 3, 7])
LENGTHS = np.array([1, 2, 3, 2, 1])
MASK = np.arange(3) < LENGTHS[:, None]
LOGP = np.where(MASK, np.array([-0.5, -1.0, -0.2, -0.4, -2.0])[:, None], np.nan)
GAINS = np.array([1.0, -1.0, 0.5, 1.0, -1.5])


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("pi_factor", [True, False])
def test_the_group_covariance_is_numpys_per_group(pi_factor, ddof):
  values = entropy_law.group_covariance(
    LOGP, MASK, GAINS, GROUPS, pi_factor=pi_factor, ddof=ddof
  )
  mean_logp = LOGP[:, 0]
  gains = GAINS * (np.exp(mean_logp) if pi_factor else 1.0)
  expected = [
    np.cov(mean_logp[GROUPS == g], gains[GROUPS == g], ddof=ddof)[0, 1]
    for g in (3, 7)
  ]
  np.testing.assert_allclose(values, expected, rtol=1e-12)


def test_the_group_covariance_ignores_the_order_of_rows():
  order = np.array([4, 1, 0, 3, 2])
  np.testing.assert_allclose(
    entropy_law.group_covariance(LOGP, MASK, GAINS, GROUPS),
    entropy_law.group_covariance(
      LOGP[order], MASK[order], GAINS[order], GROUPS[order]
    ),
  )


def test_a_group_too_small_for_its_degrees_of_freedom_is_refused():
  with pytest.raises(ValueError, match="group 9 has 1 responses"):
    entropy_law.group_covariance(
      LOGP, MASK, GAINS, np.array([7, 3, 7, 3, 9]), ddof=1
    )
