"""Agentic AEPO: gradient past the upper bound, and advantages by entropy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rlvr_jax
from golden_adapters import common
from golden_adapters.clip_cov import edited
from rlvr_jax.methods.agentic_aepo import ENTROPY, agentic_aepo
from rlvr_jax.methods.ppo_clip import ppo_clip
from rlvr_jax.types import LOGP_KEY, Clock

pytestmark = pytest.mark.usefixtures("quick_compile")

# Past either bound, past the dual clip and inside, for both signs.
RATIO = np.float32([[5.0, 1.5, 1.1, 0.5], [5.0, 1.5, 1.1, 0.5]])
SIGNED = np.float32([[2.0] * 4, [-2.0] * 4])
NATS = np.float32([[0.1, 1.0, 2.0, 0.3], [0.5, 0.2, 0.1, 3.0]])


def run(method, nats=NATS, advantages=SIGNED, mask=None):
  mask = np.ones(RATIO.shape) if mask is None else mask
  rollout = common.batch(0 * RATIO, advantages, mask)
  stats = {ENTROPY.key: nats}
  return common.loss_and_grad(method, rollout, np.log(RATIO), stats=stats)


def weighed(nats, advantages, **given):
  mask = np.ones(nats.shape)
  rollout = common.batch(0 * nats, advantages, mask)
  method = agentic_aepo(clipping=False, **given)
  return edited(method, rollout, 0 * nats, stats={ENTROPY.key: nats})


def test_the_loss_is_that_of_ppo_bit_for_bit():
  found = run(agentic_aepo(advantages=False))[0]
  np.testing.assert_array_equal(found, run(ppo_clip(dual=3.0))[0])


def test_the_gradient_differs_from_ppo_only_past_the_upper_bound():
  found = run(agentic_aepo(advantages=False, high=0.3))[1]
  expected = np.array(run(ppo_clip(high=0.3, dual=3.0))[1])
  past = (SIGNED > 0) & (RATIO > 1.3)
  np.testing.assert_array_equal(expected[past], 0)
  expected[past] = -1.3 * SIGNED[past] / SIGNED.size
  np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_without_its_clipping_another_owner_sets_the_bounds():
  rest = agentic_aepo(clipping=False)
  with pytest.raises(ValueError, match="ppo_clip"):
    rlvr_jax.chain(ppo_clip(), agentic_aepo())
  alone = run(rlvr_jax.chain(ppo_clip(dual=3.0), rest), nats=0 * NATS + 0.7)
  expected = run(ppo_clip(dual=3.0))
  np.testing.assert_array_equal(alone[0], expected[0])
  np.testing.assert_array_equal(alone[1], expected[1])


def test_the_sign_that_the_dual_clip_sees_is_that_after_the_weighing():
  # z of the one certain token is -7 / sqrt(8): its advantage turns.
  nats = np.ones(RATIO.shape, np.float32)
  nats[0, 0] = 0
  metrics = run(agentic_aepo(coef=1.0), nats)[2]
  before = run(agentic_aepo(coef=0.1), nats)[2]
  share = lambda found, name: float(found[f"agentic_aepo/{name}_fraction"])
  assert share(before, "flipped") == 0
  assert share(metrics, "flipped") == 1 / 8
  # Both tokens of ratio 5, and one token less keeps its gradient.
  assert (share(before, "dual"), share(metrics, "dual")) == (1 / 8, 2 / 8)
  assert (share(before, "kept"), share(metrics, "kept")) == (2 / 8, 1 / 8)


@pytest.mark.parametrize("nats", [0.7, 0.1, 1e-3])
def test_equal_entropies_leave_the_advantages(nats):
  flat = np.full((7, 13), nats, np.float32)
  advantages = np.float32(np.random.default_rng(0).normal(size=flat.shape))
  found = weighed(flat, advantages).advantages
  np.testing.assert_array_equal(found, advantages)


def test_advantages_of_equal_size_keep_their_mean_size():
  found = np.asarray(weighed(NATS, SIGNED, coef=0.2).advantages)
  np.testing.assert_allclose((found / SIGNED).mean(), 1, rtol=1e-6)
  # Ordered as the entropies are, and off by 0.2 times a unit deviation.
  np.testing.assert_array_equal(
    np.argsort((found / SIGNED).ravel()), np.argsort(NATS.ravel())
  )
  np.testing.assert_allclose((found / SIGNED).std(ddof=1), 0.2, rtol=1e-5)


def test_a_limit_bounds_the_score():
  found = np.asarray(weighed(NATS, SIGNED, coef=0.5, limit=0.4).advantages)
  factor = found / SIGNED
  assert factor.max() == pytest.approx(1.2) and factor.min() >= 0.8 - 1e-6


def test_a_block_of_rows_is_scored_by_itself():
  found = weighed(NATS, SIGNED, scope_rows=1, coef=0.2).advantages
  mean = NATS.mean(axis=1, keepdims=True)
  z = (NATS - mean) / NATS.std(axis=1, ddof=1, keepdims=True)
  np.testing.assert_allclose(found, SIGNED * (1 + 0.2 * z), rtol=1e-5)


def test_there_is_no_gradient_through_the_entropy():
  method = rlvr_jax.chain(agentic_aepo())
  rollout = common.batch(0 * RATIO, SIGNED, np.ones(RATIO.shape))
  loss_fn, clock = rlvr_jax.loss(method), Clock(0, 0, jax.random.key(0))

  def loss(nats):
    stats = {LOGP_KEY: jnp.log(RATIO), ENTROPY.key: nats}
    return loss_fn(stats, rollout, method.init(rollout), clock)[0]

  # Not even where the deviation is 0.
  for nats in (NATS, 0 * NATS):
    np.testing.assert_array_equal(jax.grad(loss)(nats), 0)


@pytest.mark.parametrize(
  "wrong",
  [
    {"low": 1.5},
    {"high": -0.1},
    {"high": float("inf")},
    {"dual": 1.0},
    {"coef": -0.1},
    {"coef": float("inf")},
    {"limit": 0.0},
    {"scope_rows": 0},
  ],
)
def test_a_parameter_out_of_range_is_named(wrong):
  ((name, value),) = wrong.items()
  with pytest.raises(
    ValueError, match=rf"agentic_aepo\.{name} = {value!r} must"
  ):
    agentic_aepo(**wrong)
