"""The entropy of actions and of what they lead to."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr_jax.analysis import redundancy

fixed = settings(derandomize=True, max_examples=30, deadline=None)


@pytest.fixture(autouse=True)
def float64():
  with jax.enable_x64(True):
    yield


def entropy_of(p):
  p = np.asarray(p)[np.asarray(p) > 0]
  return -(p * np.log(p)).sum()


def random_case(seed):
  dice = np.random.default_rng(seed)
  actions, outcomes = dice.integers(2, 6, 2)
  policy = dice.dirichlet(np.ones(actions))
  return policy, dice.dirichlet(np.ones(outcomes), size=actions)


@pytest.mark.long
@fixed
@given(st.integers(0, 2**31))
def test_the_entropy_of_the_outcome_splits_as_the_identity_says(seed):
  policy, outcomes = random_case(seed)
  found = redundancy.decompose(jnp.asarray(policy), jnp.asarray(outcomes))
  joint = policy[:, None] * outcomes
  reached = joint.sum(axis=0)
  posterior = joint / reached
  model = sum(p * entropy_of(q) for p, q in zip(policy, outcomes))
  left = sum(p * entropy_of(q) for p, q in zip(reached, posterior.T))
  assert found.action == pytest.approx(entropy_of(policy), abs=1e-12)
  assert found.outcome == pytest.approx(entropy_of(reached), abs=1e-12)
  assert found.model == pytest.approx(model, abs=1e-12)
  assert found.redundancy == pytest.approx(left, abs=1e-12)
  assert found.outcome == pytest.approx(
    model + entropy_of(policy) - left, abs=1e-12
  )
  assert -1e-12 <= found.information
  assert found.information <= min(found.action, found.outcome) + 1e-12


def test_actions_of_one_outcome_are_all_redundant():
  policy = jnp.asarray([0.5, 0.3, 0.2])
  same = jnp.tile(jnp.asarray([0.6, 0.4]), (3, 1))
  found = redundancy.decompose(policy, same)
  assert found.information == pytest.approx(0, abs=1e-12)
  assert found.redundancy == pytest.approx(float(found.action))
  np.testing.assert_allclose(
    redundancy.outcome_divergence(policy, same), 0, atol=1e-12
  )
  assert redundancy.effective_share(policy, same) == pytest.approx(0, abs=1e-12)


def test_actions_of_different_outcomes_have_no_redundancy():
  policy = jnp.asarray([0.5, 0.3, 0.2])
  found = redundancy.decompose(policy, jnp.eye(3))
  assert found.information == pytest.approx(entropy_of(policy), abs=1e-12)
  assert found.model == 0
  assert redundancy.effective_share(policy, jnp.eye(3)) == pytest.approx(1)


def test_two_actions_of_one_outcome_count_as_one():
  # The worked example: actions 2 and 3 lead to the same state.
  policy = jnp.asarray([0.5, 0.25, 0.25])
  outcomes = jnp.asarray([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
  found = redundancy.decompose(policy, outcomes)
  assert found.action == pytest.approx(1.0397, abs=1e-4)
  assert found.outcome == pytest.approx(np.log(2), abs=1e-12)
  assert found.redundancy == pytest.approx(0.3466, abs=1e-4)
  merged = redundancy.decompose(jnp.asarray([0.5, 0.5]), jnp.eye(2))
  assert merged.outcome == pytest.approx(float(found.outcome), abs=1e-12)
  assert merged.action < found.action
  label = jnp.asarray([0, 1, 1])
  by_class = redundancy.class_entropy(policy, label, 2)
  assert by_class == pytest.approx(float(found.outcome), abs=1e-12)


def test_classes_of_one_action_give_its_entropy_and_one_class_gives_none():
  logits = jnp.asarray([1.0, 0.0, -1.0])
  of = lambda z, label: redundancy.class_entropy(
    jax.nn.softmax(z), jnp.asarray(label), 3
  )
  singles = of(logits, [2, 0, 1])
  assert singles == pytest.approx(entropy_of(jax.nn.softmax(logits)), abs=1e-12)
  assert of(logits, [1, 1, 1]) == pytest.approx(0, abs=1e-12)
  # Classes that nobody is in leave the gradient finite, and one class has
  # none.
  pull = jax.grad(of)(logits, [1, 1, 1])
  np.testing.assert_allclose(pull, 0, atol=1e-12)
  step = 1e-5 * np.eye(3)[0]
  slope = (of(logits + step, [0, 0, 1]) - of(logits - step, [0, 0, 1])) / 2e-5
  assert jax.grad(of)(logits, [0, 0, 1])[0] == pytest.approx(
    float(slope), abs=1e-8
  )


def test_an_action_never_taken_with_outcomes_of_its_own_is_infinitely_far():
  policy = jnp.asarray([1.0, 0.0])
  outcomes = jnp.asarray([[1.0, 0.0, 0.0], [0.0, 0.5, 0.5]])
  found = redundancy.outcome_divergence(policy, outcomes)
  np.testing.assert_array_equal(found, [0, np.inf])
  shared = outcomes.at[1].set(jnp.asarray([1.0, 0.0, 0.0]))
  near = redundancy.outcome_divergence(policy, shared)
  np.testing.assert_allclose(near, 0, atol=1e-12)
  np.testing.assert_array_equal(redundancy.decompose(policy, outcomes)[2:4], 0)
  pull = jax.grad(redundancy.effective_entropy, (0, 1))(policy, outcomes)
  assert all(np.isfinite(x).all() for x in pull)


def test_impossible_actions_and_outcomes_give_no_nan():
  policy = jnp.asarray([1.0, 0.0])
  outcomes = jnp.asarray([[1.0, 0.0], [0.0, 1.0]])
  found = redundancy.decompose(policy, outcomes)
  np.testing.assert_allclose(found, 0, atol=1e-12)
  assert redundancy.effective_share(policy, outcomes) == 0
