"""HAPO: the score of a token and what each of its four parts does with it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rlvr_jax
from golden_adapters import common
from golden_adapters.clip_cov import edited
from rlvr_jax.methods.hapo import ENTROPY, ROLLOUT_ENTROPY, hapo
from rlvr_jax.methods.ppo_clip import ppo_clip
from rlvr_jax.types import Clock, Draw

pytestmark = pytest.mark.usefixtures("quick_compile")

# Eleven tokens of log entropy -8 ... 2; at 0.8 the pivot is e^0.
LOGS = np.arange(-8.0, 3.0)
ENTROPIES = np.append(np.exp(LOGS), 9.0).reshape(3, 4).astype(np.float32)
MASK = np.array([[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 0]])
SCORES = np.append(np.where(LOGS > 0, LOGS / 2, LOGS / 8), 0).reshape(3, 4)
ONES = np.ones(MASK.shape, np.float32)
OFF = dict(temperature=False, average=False, redistribution=False, bounds=False)


def record_of(entropy=ENTROPIES, ratio=ONES, mask=MASK, **given):
  """The objective after `apply`, on advantages of 1."""
  rollout = common.batch(0 * ONES, ONES, mask)
  method = hapo(**OFF | given)
  return edited(method, rollout, np.log(ratio), stats={ENTROPY.key: entropy})


def scores(**given):
  """Read off the bounds: only one of the two moves with a token."""
  found = record_of(bounds=True, low=0.1, high=0.1, **given)
  above, below = found.clip_high / 0.1 - 11, found.clip_low / 0.1 - 9
  return np.asarray(above + below)


def test_the_score_is_the_distance_from_the_pivot_in_log_entropy():
  np.testing.assert_allclose(scores(), SCORES * MASK, atol=1e-5)
  found = scores()
  assert found.max() == pytest.approx(1.0, abs=1e-5)
  assert found.min() == pytest.approx(-1.0, abs=1e-5)
  # A power of the entropies, times a constant, is as good.
  np.testing.assert_allclose(
    scores(entropy=3 * ENTROPIES**0.5), SCORES * MASK, atol=1e-5
  )


def test_the_pivot_leaves_its_share_of_the_tokens_below():
  for pivot, rank in ((0.0, 0), (0.5, 5), (0.8, 8), (1.0, 10)):
    found = record_of(bounds=True, pivot=pivot)
    share = found.metrics["hapo/above_fraction"]
    assert share == pytest.approx((10 - rank) / 11)


def test_as_released_no_token_has_a_negative_score():
  # Both bounds of a token below the pivot: the upper one widens instead.
  found = record_of(bounds=True, sign="code", low=0.1, high=0.1)
  np.testing.assert_allclose(found.clip_low, 0.9, rtol=1e-6)
  expected = 1 + 0.1 * (1 + np.abs(SCORES))
  np.testing.assert_allclose(
    np.where(MASK, found.clip_high, 1.1), np.where(MASK, expected, 1.1),
    rtol=1e-5,
  )  # fmt: skip


def test_uncertain_tokens_may_rise_further_and_certain_ones_fall_further():
  found = record_of(bounds=True, alpha=0.5, low=0.2, high=0.28)
  upper = 0.28 * (1 + 0.5 * np.maximum(SCORES, 0))
  lower = 0.2 * (1 - 0.5 * np.minimum(SCORES, 0))
  counts = MASK > 0
  np.testing.assert_allclose(
    found.clip_high[counts], 1 + upper[counts], rtol=1e-5
  )
  np.testing.assert_allclose(
    found.clip_low[counts], 1 - lower[counts], rtol=1e-5
  )


def test_the_loss_is_scaled_outside_above_and_inside_below_the_pivot():
  scale = 1 + 0.5 * SCORES
  given = dict(redistribution=True, beta=0.5)
  # The bounds of the objective at hand are 0.8 and 1.2, so inside is
  # (0.9, 1.1).
  for ratio, moves in (
    (1.0, SCORES <= 0),
    (1.15, SCORES > 0),
    (0.85, SCORES > 0),
  ):
    found = record_of(ratio=ratio * ONES, **given).weights
    expected = np.where((MASK > 0) & moves, scale, 1.0)
    np.testing.assert_allclose(found[MASK > 0], expected[MASK > 0], rtol=1e-5)
  wide = record_of(ratio=1.12 * ONES, bounds=True, high=0.28, **given)
  # Half of the upper bound is 1.14 or more now, so 1.12 is inside.
  expected = np.where(SCORES <= 0, scale, 1.0)
  np.testing.assert_allclose(
    wide.weights[MASK > 0], expected[MASK > 0], rtol=1e-5
  )


def advantages(reward, lengths, group=None, **given):
  mask = np.arange(max(lengths)) < np.array(lengths)[:, None]
  rollout = common.batch(0.0 * mask, None, mask, reward=reward, group=group)
  method = hapo(**OFF | {"average": True} | given)
  batch = common.prepared(method, rollout)
  return np.asarray(batch.advantages), mask, batch.metrics


def test_the_average_is_over_the_tokens_of_the_group():
  found, mask, _ = advantages(
    [1, 0, 1, 0, 1], [5, 2, 1, 4, 3], group=[0, 0, 0, 1, 1]
  )
  for rows in (slice(0, 3), slice(3, 5)):
    tokens = found[rows][mask[rows]]
    np.testing.assert_allclose(tokens.mean(), 0, atol=1e-6)
    np.testing.assert_allclose(tokens.std(), 1, rtol=1e-5)
  assert not found[~mask].any()
  centred, _, _ = advantages([1, 0, 1], [5, 2, 1], normalize=False)
  np.testing.assert_allclose(centred[:, 0], [1 / 4, -3 / 4, 1 / 4], rtol=1e-6)


def test_with_responses_of_equal_length_the_average_is_grpos():
  reward = np.array([1.0, 0.0, 0.0, 1.0, 0.0])
  found, _, _ = advantages(reward, [3] * 5)
  expected = (reward - reward.mean()) / reward.std()
  np.testing.assert_allclose(found[:, 0], expected, rtol=1e-5)


def test_equal_rewards_have_no_advantage():
  found, _, metrics = advantages([1, 1, 1], [3, 1, 2])
  np.testing.assert_array_equal(found, 0)
  assert metrics["hapo/fallback_fraction"] == 0


def test_a_group_with_a_huge_advantage_falls_back_on_grpo():
  # One short success: 1 token of 46, so A = 6.7; the other group has A = 1.
  reward = np.array([1.0] + [0.0] * 5 + [1.0, 0.0])
  lengths, group = [1] + [9] * 5 + [2, 2], [0] * 6 + [1] * 2
  found, _, metrics = advantages(reward, lengths, group)
  mean, deviation = 1 / 6, np.sqrt((5 / 36 + 25 / 36) / 5)
  np.testing.assert_allclose(found[0, 0], (1 - mean) / deviation, rtol=1e-5)
  np.testing.assert_allclose(found[1, 0], -mean / deviation, rtol=1e-5)
  np.testing.assert_allclose(found[6:, 0], [1, -1], rtol=1e-5)
  assert metrics["hapo/fallback_fraction"] == 6 / 8
  never, _, _ = advantages(reward, lengths, group, fallback=None)
  np.testing.assert_allclose(never[0, 0], np.sqrt(45), rtol=1e-5)


def state_after(entropy):
  method = rlvr_jax.chain(hapo())
  stats = {ROLLOUT_ENTROPY.key: entropy}
  rollout = common.batch(0 * ONES, None, MASK, stats=stats)
  clock = Clock(0, 0, jax.random.key(0))
  start = method.init(rollout)
  return start, rlvr_jax.prepare(method)(rollout, start, clock)[1]


def test_sampling_is_hotter_where_the_last_rollout_was_uncertain():
  start, after = state_after(ENTROPIES)
  method = rlvr_jax.chain(hapo(tau=0.1))
  draws = (Draw("main", 4, temperature=0.8), Draw("other", 2))
  nats = jnp.exp(jnp.asarray([-20.0, -4.0, 0.0, 1.0, 2.0, 20.0]))
  first, other = method.plan(draws, start)
  np.testing.assert_allclose(first.temperature_at(nats), 0.8, rtol=1e-6)
  second, _ = method.plan(draws, after)
  score = np.array([-1, -0.5, 0, 0.5, 1, 1])
  np.testing.assert_allclose(
    second.temperature_at(nats), 0.8 * (1 + 0.1 * score), rtol=1e-5
  )
  assert other == draws[1]
  # A temperature that is a function of the entropy already is composed with.
  hotter = Draw("main", 4, temperature=lambda entropy: 1 + 0 * entropy)
  (composed,) = method.plan((hotter,), after)
  np.testing.assert_allclose(
    composed.temperature_at(nats), 1 + 0.1 * score, rtol=1e-5
  )


def test_with_every_strength_at_zero_it_is_ppo_with_a_dual_clip():
  dice = np.random.default_rng(0)
  logp = np.float32(0.5 * dice.normal(size=MASK.shape))
  logp[0, 0] = 3.0
  gains = np.float32(dice.normal(size=MASK.shape))
  gains[0, 0] = -1.0
  rollout = common.batch(0 * ONES, gains, MASK)
  run = lambda method: common.loss_and_grad(
    method, rollout, logp, stats={ENTROPY.key: ENTROPIES}
  )
  nothing = hapo(alpha=0.0, beta=0.0, temperature=False, average=False)
  found, expected = run(nothing), run(ppo_clip(0.2, 0.28, dual=10.0))
  np.testing.assert_array_equal(found[0], expected[0])
  np.testing.assert_array_equal(found[1], expected[1])
  assert found[1][0, 0] == 0  # its ratio is 20


def test_each_part_asks_for_what_it_needs_and_owns_what_it_sets():
  parts = {
    "temperature": ((ROLLOUT_ENTROPY,), ()),
    "average": ((), ("advantages",)),
    "redistribution": ((ENTROPY,), ()),
    "bounds": ((ENTROPY,), ("clip_low", "clip_high")),
  }
  for name, (needs, owns) in parts.items():
    method = hapo(**OFF | {name: True}, dual=None)
    assert (method.needs, method.owns) == (needs, owns)
  assert hapo(**OFF).owns == ("surrogate",)


def test_blocks_of_rows_have_scores_of_their_own():
  # 8 tokens, log entropies -8 ... -1: index round(0.8 * 7) = 6 is -2.
  first = np.where(LOGS[:8] > -2, LOGS[:8] + 2, (LOGS[:8] + 2) / 6)
  # 3 tokens, 0 ... 2: index round(0.8 * 2) = 2 is the largest.
  last = (LOGS[8:] - 2) / 2
  expected = np.append(np.concatenate([first, last]), 0)
  found = scores(scope_rows=2).ravel()
  np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
  "wrong",
  [
    {"sign": "both"},
    {"pivot": 1.5},
    {"tau": 1.0},
    {"alpha": -1.0},
    {"beta": 1.5},
    {"low": 0.6},
    {"high": -0.1},
    {"fallback": 0.0},
    {"dual": 1.0},
    {"scope_rows": 0},
  ],
)
def test_a_parameter_out_of_range_is_named(wrong):
  ((name, value),) = wrong.items()
  with pytest.raises(ValueError, match=rf"hapo\.{name} = {value!r} must"):
    hapo(**wrong)
