"""The entropy over a clamped vocabulary, and the bonus on it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden_adapters import common
from rlvr_jax.kernels import reference
from rlvr_jax.methods.aent import aent
from rlvr_jax.stats import ClampedEntropy

pytestmark = pytest.mark.usefixtures("quick_compile")

NOBODY = jnp.zeros(1, jnp.int32)


def clamped(logits, share):
  logits = jnp.asarray(logits, jnp.float32)[None]
  return ClampedEntropy(share).from_logits(logits, targets=NOBODY)[0]


def test_the_least_likely_tokens_are_left_out_and_the_rest_normalised():
  # Of p = (.1, .4, .2, .3) a quarter goes: (.4, .2, .3) / .9 remain.
  q = np.array([4, 2, 3]) / 9
  found = clamped(jnp.log(jnp.array([0.1, 0.4, 0.2, 0.3])), 0.25)
  np.testing.assert_allclose(found, -(q * np.log(q)).sum(), rtol=1e-6)


def test_a_share_of_less_than_one_token_removes_none():
  logits = jnp.array([0.3, -1.0, 2.0, 0.0])
  whole = reference.moments(logits[None], NOBODY).entropy[0]
  np.testing.assert_allclose(clamped(logits, 0.24), whole, rtol=1e-6)


@pytest.mark.parametrize("logits", [np.zeros(10), np.array([1.0, 0] * 5)])
def test_tokens_as_likely_as_the_last_one_that_stays_stay(logits):
  found = clamped(logits, 0.3)
  q = np.exp(logits) / np.exp(logits).sum()
  np.testing.assert_allclose(found, -(q * np.log(q)).sum(), rtol=1e-6)


@given(
  st.lists(st.floats(-3, 3, width=32), min_size=6, max_size=6, unique=True)
)
def test_the_gradient_is_that_of_the_kept_tokens_alone(logits):
  found = jax.grad(clamped)(jnp.asarray(logits), 0.4)
  z = np.asarray(logits, np.float64)
  kept = z >= np.sort(z)[2]
  q = np.where(kept, np.exp(z), 0) / np.exp(z)[kept].sum()
  log_q = np.log(np.where(kept, q, 1))
  want = -q * (log_q - (q * log_q).sum())
  np.testing.assert_allclose(found, want, atol=1e-6)
  assert not np.asarray(found)[~kept].any()


def test_the_bonus_is_the_mean_entropy_times_the_coefficient():
  entropy = np.float32([[1.0, 2.0], [3.0, 40.0]])
  mask = np.array([[1, 1], [1, 0]])
  method = aent(coef=0.5)
  rollout = common.batch(np.zeros((2, 2)), None, mask)
  loss, _, metrics = common.loss_and_grad(
    method, rollout, np.zeros((2, 2)), stats={method.needs[0].key: entropy}
  )
  assert loss == -0.5 * 2.0  # (1 + 2 + 3) / 3
  assert metrics["aent/entropy"] == 2.0


@pytest.mark.parametrize("wrong", [{"coef": -1.0}, {"share": 1.0}])
def test_a_parameter_out_of_range_is_named(wrong):
  (name,) = wrong
  with pytest.raises(ValueError, match=rf"aent\.{name} = "):
    aent(**wrong)
