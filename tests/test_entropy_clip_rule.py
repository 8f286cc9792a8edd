"""The entropy change of a clipped step, against the step itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlvr_jax.analysis import entropy_clip_rule, entropy_law

POLICY = np.array([0.7, 0.2, 0.1])
ADVANTAGES = np.array([0.375, -1.125, -0.375])
SIZE = 1e-4


def entropy_of(p):
  return -(p * np.log(p)).sum()


def true_rate(logit_change):
  """Entropy change per unit of step size."""
  p = np.exp(np.log(POLICY) + SIZE * logit_change)
  return (entropy_of(p / p.sum()) - entropy_of(POLICY)) / SIZE


def rule(kept, step):
  return entropy_clip_rule.entropy_change(
    POLICY, ADVANTAGES, kept, 1.0, step=step
  )


@pytest.mark.parametrize(
  "kept", [[True, True, True], [True, False, True], [False, True, False]]
)
def test_the_printed_rule_is_that_of_a_natural_gradient_step(kept):
  true = true_rate(ADVANTAGES * kept)
  assert rule(kept, "npg") == pytest.approx(true, rel=1e-3)


@pytest.mark.parametrize(
  "kept", [[True, True, True], [True, False, True], [False, True, False]]
)
def test_the_rule_of_a_plain_step_needs_the_constant(kept):
  gain = jnp.asarray(POLICY * ADVANTAGES * kept)
  objective = lambda z: (gain * jax.nn.log_softmax(z)).sum()
  with jax.enable_x64(True):
    gradient = np.asarray(jax.grad(objective)(jnp.log(jnp.asarray(POLICY))))
  true = true_rate(gradient)
  assert rule(kept, "pg") == pytest.approx(true, rel=1e-3)
  # Written out: -Cov(ln p, p (A X + C)) with C = -sum p A X.
  kept_gain = ADVANTAGES * kept
  moved = POLICY * (kept_gain - (POLICY * kept_gain).sum())
  written_out = entropy_law.entropy_change(POLICY, moved)
  assert rule(kept, "pg") == pytest.approx(written_out, abs=1e-15)
  assert abs(rule(kept, "pg") - rule(kept, "npg")) > 0.01


def test_rare_positive_tokens_raise_and_rare_negative_ones_lower_entropy():
  gains = np.array([-0.1, -0.1, 0.9])
  change = lambda kept: entropy_clip_rule.entropy_change(
    POLICY, gains, kept, 1.0
  )
  assert change([True, True, True]) > change([True, True, False])
  gains = -gains
  assert change([True, True, True]) < change([True, True, False])


def test_a_token_is_kept_inside_the_bound_of_its_sign():
  ratio = np.array([1.3, 1.3, 0.7, 0.7, 1.0, 1.2])
  gains = np.array([1.0, -1.0, 1.0, -1.0, 0.0, 1.0])
  kept = entropy_clip_rule.unclipped(ratio, gains, low=0.8, high=1.2)
  np.testing.assert_array_equal(kept, [False, True, True, False, False, False])


def test_an_unknown_step_is_refused():
  with pytest.raises(ValueError, match="`step` = 'sgd' must be"):
    rule([True] * 3, "sgd")
