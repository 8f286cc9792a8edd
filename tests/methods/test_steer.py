"""STEER: the estimated entropy change and the weights made of it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden_adapters import common
from rlvr_jax import objective
from rlvr_jax.methods.steer import steer
from rlvr_jax.stats import CovProbLogp, Entropy
from rlvr_jax.types import LOGP_KEY, Context, Need

pytestmark = pytest.mark.usefixtures("quick_compile")

NEEDS = (Need(Entropy(), when="rollout"), Need(Entropy()), Need(CovProbLogp()))
ROWS, LENGTH = 4, 5


def edit(method, logp, entropy, mean_s, advantages, old=None, mask=None):
  """Weights f32[B, T] and metrics; all arrays [B, T], on-policy by default."""
  old = logp if old is None else old
  rollout = common.batch(
    old, advantages, np.ones(logp.shape), stats={NEEDS[0].key: entropy}
  )
  rollout = rollout if mask is None else rollout.replace(mask=mask)
  now = {LOGP_KEY: logp, NEEDS[1].key: entropy, NEEDS[2].key: mean_s}
  context = Context(0, 0, jax.random.key(0), rollout, now, needs=NEEDS)
  record = objective.initial(now, rollout)
  record = method.apply(record, (), context)[0]
  return record.weights, record.metrics


@functools.cache
def omegas(form):
  """Jitted: probabilities f32[V] to |Omega| f32[V] of each token, A = 1."""

  @jax.jit
  def size(p):
    entropy = -(p * jnp.log(p)).sum()
    mean_s = (p * p * (jnp.log(p) + entropy)).sum()
    one = jnp.ones((1, 1))

    def of_token(p):
      numbers = (jnp.log(p) * one, entropy * one, mean_s * one, one)
      return edit(steer(form=form), *numbers)[1]["steer/omega_max"]

    return jax.vmap(of_token)(p)

  return lambda *p: np.asarray(size(jnp.asarray(p, jnp.float32)))


def test_three_tokens_have_the_omega_worked_out_by_hand():
  # p = (.7, .2, .1): H = 0.80181855 and p (1 - p)(ln p + H) is
  by_hand = np.array([0.09348016, -0.1292191, -0.13506899])
  # S = p (ln p + H) and N = sum p S = 0.17080793.
  s_minus_n = np.array([0.31160053, -0.16152387, -0.15007665]) - 0.17080793
  p = 0.7, 0.2, 0.1
  common.assert_close("theorem", omegas("theorem")(*p), abs(by_hand))
  common.assert_close("exact", omegas("exact")(*p), abs(s_minus_n))
  # On-policy the released form is the theorem's over the probability.
  released = abs(by_hand) / np.array(p)
  common.assert_close("released", omegas("released")(*p), released)


@given(st.floats(0.01, 0.99))
def test_exact_is_twice_the_theorem_on_two_tokens(p):
  exact, theorem = omegas("exact")(p, 1 - p), omegas("theorem")(p, 1 - p)
  # N cancels digits where p is near 0 or 1/2.
  common.assert_close("exact", exact, 2 * theorem, rtol=1e-4, atol=1e-6)


@given(st.lists(st.floats(-2, 2), min_size=4, max_size=4))
def test_exact_is_the_entropy_change_up_to_the_square_of_the_step(logits):
  softmax = lambda z: np.exp(z) / np.exp(z).sum()
  entropy = lambda p: -(p * np.log(p)).sum()
  logits, step = np.array(logits), 1e-3
  p = softmax(logits)
  changes = [
    entropy(softmax(logits + step * (e - p))) - entropy(p) for e in np.eye(4)
  ]
  predicted = step * omegas("exact")(*p)
  # The second derivative along the step is below 4 for |logits| <= 2.
  tolerance = 4 * step**2
  np.testing.assert_allclose(np.abs(changes), predicted, atol=tolerance)


def arrays(seed=0, scale=1.0):
  dice = np.random.default_rng(seed)
  shape = ROWS, LENGTH
  # Away from p = 1, where 1 - p keeps few digits.
  logp = np.float32(-0.1 - dice.exponential(size=shape))
  entropy = np.float32(dice.uniform(0, 2, shape))
  mean_s = np.float32(dice.uniform(0, 0.3, shape))
  advantages = np.float32(scale * dice.normal(size=(ROWS, 1)) + 0 * logp)
  # A log-prob is never positive.
  old = np.minimum(np.float32(logp + 0.1 * dice.normal(size=shape)), -0.01)
  lengths = dice.integers(1, LENGTH + 1, (ROWS, 1))
  return logp, entropy, mean_s, advantages, old, np.arange(LENGTH) < lengths


@functools.cache
def weights(**options):
  fn = jax.jit(lambda *numbers: edit(steer(**options), *numbers)[0])
  return lambda *numbers: np.asarray(fn(*numbers))


@given(st.integers(0, 1000), st.floats(0.1, 10))
def test_exponential_weights_reach_the_minimum_and_fall_with_omega(seed, scale):
  numbers = arrays(seed, scale)
  logp, entropy, _, advantages, old, mask = numbers
  p = np.exp(logp)
  omega = abs(advantages / np.exp(old) * p * (1 - p) * (logp + entropy))[mask]
  got = weights()(*numbers)[mask]
  assert ((got >= 0.7) & (got <= 1)).all()
  # Falls as Omega rises; the rounding of two nearly equal ones aside.
  assert (np.diff(got[np.argsort(omega)]) <= 1e-6).all()
  floor = max(omega.max(), 0.02)
  np.testing.assert_allclose(got.min(), 0.7 ** (omega.max() / floor), rtol=1e-5)


@pytest.mark.parametrize("mapping", ["exp", "linear"])
def test_scaled_advantages_have_the_same_weights(mapping):
  scaled = weights(mapping=mapping, w_max=1.2)
  once, thrice = scaled(*arrays(1)), scaled(*arrays(1, scale=3.0))
  np.testing.assert_allclose(once, thrice, rtol=1e-5)


def test_without_advantages_nothing_is_damped():
  numbers = arrays(2, scale=0.0)
  mask = numbers[-1]
  assert (weights()(*numbers)[mask] == 1).all()
  middle = weights(mapping="linear", w_max=1.2)(*numbers)[mask]
  np.testing.assert_allclose(middle, (0.7 + 1.2) / 2, rtol=1e-6)


def test_a_flat_distribution_is_not_damped():
  logp, _, mean_s, advantages, _, mask = arrays(3)
  flat = np.full_like(logp, -np.log(8.0))
  got = weights()(flat, -flat, mean_s, advantages, flat, mask)
  np.testing.assert_allclose(got[mask], 1.0, atol=1e-4)


def test_asymmetric_weights_amplify_what_raises_the_entropy():
  logp, entropy, mean_s, advantages, old, mask = numbers = arrays(4)
  raises = -advantages * (logp + entropy) > 0
  got = weights(mode="asymmetric", w_max=1.2)(*numbers)
  assert (got[mask & raises] >= 1).all() and got[mask].max() > 1
  assert (got[mask & ~raises] <= 1).all() and got[mask].min() < 1


def test_normalizers_agree_on_the_order_and_rank_spreads_evenly():
  numbers = arrays(5)
  mask = numbers[-1]
  by_max, by_quantile, by_rank = (
    weights(normalizer=n)(*numbers)[mask] for n in ("max", "quantile", "rank")
  )
  np.testing.assert_array_equal(np.argsort(by_max), np.argsort(by_rank))
  assert (by_quantile >= np.float32(0.7)).all()
  even = 0.7 ** np.linspace(1, 0, mask.sum())
  np.testing.assert_allclose(np.sort(by_rank), even, rtol=1e-5)


def test_blocks_of_rows_have_a_scale_of_their_own():
  numbers = arrays(6)
  blocks = weights(scope_rows=2)(*numbers)
  halves = [
    weights()(*(x[rows] for x in numbers)) for rows in (slice(2), slice(2, 4))
  ]
  np.testing.assert_array_equal(blocks, np.concatenate(halves))


def test_clipped_tokens_have_no_omega_in_the_theorem():
  logp, old = np.float32([[-0.5, -1.0]]), np.float32([[-1.0, -1.0]])
  ones = np.ones((1, 2), np.float32)  # A = 1 and r = e^0.5 > 1.2: clipped
  got = edit(steer(form="theorem"), logp, 2 * ones, ones, ones, old)[0]
  assert got[0, 0] == 1 and got[0, 1] < 1


@pytest.mark.parametrize(
  "wrong",
  [
    {"w_min": 0.0},
    {"w_max": 0.9},
    {"mapping": "cubic"},
    {"form": "other"},
    {"mode": "other"},
    {"omega_floor": -1.0},
    {"scope_rows": 0},
    {"normalizer": "mean"},
  ],
)
def test_a_parameter_out_of_range_is_named(wrong):
  (name,) = wrong
  with pytest.raises(ValueError, match=rf"steer\.{name} = "):
    steer(**wrong)
