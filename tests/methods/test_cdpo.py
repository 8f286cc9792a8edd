"""Where complexity vanishes, where it peaks, and which way it pushes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden_adapters.siren import of_logits, total
from rlvr_jax.methods.cdpo import Complexity, cdpo
from rlvr_jax.types import Need

pytestmark = pytest.mark.usefixtures("quick_compile")

PLAIN = Need(Complexity())


@jax.jit
def value_and_gradient(logits):
  """Complexity f32[N] of logits f32[N, V], and its gradient by them."""
  fn = lambda z: of_logits((PLAIN,), z)[PLAIN.key]
  value, pull = jax.vjp(fn, logits)
  return value, pull(jnp.ones_like(value))[0]


def test_uniform_and_deterministic_distributions_have_no_complexity():
  logits = jnp.array([[1.0, 1, 1, 1], [0, 0, 0, 200], [0, 50, 0, 0]])
  value, gradient = value_and_gradient(logits)
  np.testing.assert_allclose(value, 0, atol=1e-7)
  np.testing.assert_allclose(gradient, 0, atol=1e-7)


def test_of_two_tokens_the_most_complex_split_is_known():
  p = np.linspace(0.5, 0.9999, 5001)
  logits = jnp.log(jnp.float32(np.stack([p, 1 - p], axis=1)))
  value, _ = value_and_gradient(logits)
  best = int(np.argmax(value))
  # The top is flat: float32 values tell splits apart to about 1e-3 only.
  np.testing.assert_allclose(p[best], 0.87755, atol=1e-3)
  np.testing.assert_allclose(value[best], 0.105990, atol=1e-6)
  flipped, _ = value_and_gradient(logits[:, ::-1])
  np.testing.assert_allclose(flipped, value, atol=1e-7)


@given(st.lists(st.floats(-6, 6, width=32), min_size=5, max_size=5))
def test_the_gradient_by_the_logits_is_the_closed_form(logits):
  z = np.float64(logits)
  p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
  entropy = -(p * np.log(p)).sum()
  off = p - 1 / 5
  distance = (off**2).sum()
  value, gradient = value_and_gradient(jnp.float32(z)[None])
  np.testing.assert_allclose(value[0], entropy * distance, atol=1e-6)
  assert -1e-6 <= value[0] <= np.log(5) * (1 - 1 / 5)
  want = -distance * p * (np.log(p) + entropy)
  want += entropy * 2 * p * (off - (p * off).sum())
  np.testing.assert_allclose(gradient[0], want, atol=1e-5)
  np.testing.assert_allclose(gradient.sum(), 0, atol=1e-5)


def test_it_spreads_a_peaked_distribution_and_sharpens_a_flat_one():
  logits = jnp.array([[4.0, 0, 0, 0], [0.1, 0, 0, 0]])
  _, gradient = value_and_gradient(logits)
  # Up the gradient the first token loses where it leads by far.
  assert gradient[0, 0] < 0 < gradient[1, 0]


def test_normalised_factors_lie_between_0_and_1():
  need = Need(Complexity(normalize=True))
  logits = jnp.log(jnp.array([[0.875, 0.125], [0.5, 0.5]]))
  found = of_logits((need,), logits)[need.key]
  # D V / (V - 1) of two tokens is 2 * 2 * 0.375².
  entropy = -(0.875 * np.log(0.875) + 0.125 * np.log(0.125))
  want = [entropy / np.log(2) * 4 * 0.375**2, 0.0]
  np.testing.assert_allclose(found, want, atol=1e-6)


def test_the_bonus_is_the_mean_complexity_times_the_coefficient():
  mask = np.array([[1, 1], [1, 0]])
  method = cdpo(0.5)
  stats = {method.needs[0].key: jnp.array([[1.0, 2.0], [3.0, 40.0]])}
  loss, metrics = total(method, stats, mask)
  assert loss == -0.5 * 2.0  # (1 + 2 + 3) / 3
  assert metrics["cdpo/complexity"] == 2.0


def test_a_parameter_out_of_range_is_named():
  with pytest.raises(ValueError, match=r"cdpo\.coef = -1.0 must"):
    cdpo(coef=-1.0)
