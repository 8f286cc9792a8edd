"""BAPO: where the walk of the clip bounds ends."""

import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax.methods.bapo import bapo
from rlvr_jax.methods.ppo_clip import ppo_clip

pytestmark = pytest.mark.usefixtures("quick_compile")

# Ratios: positives 2 and 1, negatives 1, 1 and 0.5.
RATIO = np.array([[2.0, 1.0, 1.0], [1.0, 0.5, 9.0]], np.float32)
ADVANTAGES = np.array([[1.0, 1.0, -1.0], [-1.0, -1.0, 9.0]], np.float32)
MASK = np.array([[1, 1, 1], [1, 1, 0]])


def run(method, ratio=RATIO, advantages=ADVANTAGES):
  rollout = common.batch(np.zeros(MASK.shape), advantages, MASK)
  return common.loss_and_grad(method, rollout, np.log(ratio))


def bounds(method, **arrays):
  found = run(method, **arrays)[2]
  return float(found["bapo/clip_low"]), float(found["bapo/clip_high"])


def test_a_target_met_at_the_start_is_ppo_with_the_starting_bounds():
  # P = 1.2 + 1, N = 1 + 1 + 0.8: a share of 0.44.
  met = bapo(0.4, low_start=0.8, high_start=1.2)
  loss, gradient, metrics = run(met)
  expected_loss, expected_gradient, _ = run(ppo_clip(0.2, 0.2))
  np.testing.assert_array_equal(loss, expected_loss)
  np.testing.assert_array_equal(gradient, expected_gradient)
  share = metrics["bapo/positive_share"]
  np.testing.assert_allclose(share, 2.2 / 5.0, rtol=1e-6)


def test_the_dual_clip_is_that_of_ppo():
  ratio = RATIO.copy()
  ratio[1, 0] = 5.0
  given_bounds = dict(low_start=0.8, high_start=1.2)
  loss, gradient, metrics = run(bapo(0.0, **given_bounds, dual=3.0), ratio)
  expected = run(ppo_clip(0.2, 0.2, dual=3.0), ratio)
  np.testing.assert_array_equal(loss, expected[0])
  np.testing.assert_array_equal(gradient, expected[1])
  np.testing.assert_allclose(metrics["bapo/dual_fraction"], 1 / 5)


def test_the_walk_stops_at_the_first_upper_bound_that_meets_the_target():
  # (1 + h) / (1 + h + 2.6) = 0.48 at h = 1.4.
  assert bounds(bapo(0.479)) == pytest.approx((0.6, 1.4))
  assert bounds(bapo(0.481)) == pytest.approx((0.6, 1.45))


def test_the_lower_bound_moves_only_after_the_last_upper_one():
  # From h = 2 on the positives weigh 3 of 5.6, which no lower bound betters.
  assert bounds(bapo(0.53)) == pytest.approx((0.6, 1.95))
  assert bounds(bapo(0.54)) == pytest.approx((0.9, 3.0))


def test_the_order_of_the_code_spends_the_lower_bound_first():
  # At low = 0.9 the negatives weigh 2.9, so 0.47 needs h >= 1.572.
  code = bapo(0.47, order="low_first")
  assert bounds(code) == pytest.approx((0.9, 1.6))
  # As a ratio of P / N, 0.47 / 0.53 is the same target.
  ratio = bapo(0.47 / 0.53, order="low_first", statistic="ratio")
  assert bounds(ratio) == bounds(code)


@pytest.mark.parametrize("statistic", ["share", "ratio", "active"])
def test_without_negative_tokens_no_bound_moves(statistic):
  method = bapo(0.9, statistic=statistic)
  assert bounds(method, advantages=np.abs(ADVANTAGES)) == pytest.approx(
    (0.6, 1.2)
  )
  assert bounds(method, advantages=0 * ADVANTAGES) == pytest.approx((0.6, 1.2))


def test_on_the_policy_itself_an_unmet_target_spends_both_bounds():
  method = bapo(0.9, order="low_first")
  assert bounds(method, ratio=np.ones_like(RATIO)) == pytest.approx((0.9, 3.0))


def test_the_active_share_answers_to_the_lower_bound():
  # Active are the positive of ratio 1 and the negatives 1, 1 and, up to the
  # lower bound 0.5, the last; the positive of ratio 2 is from h = 2 on.
  share = lambda **start: float(
    run(bapo(0.0, statistic="active", **start))[2]["bapo/positive_share"]
  )
  np.testing.assert_allclose(share(low_start=0.4), 1 / 3.5, rtol=1e-6)
  np.testing.assert_allclose(share(low_start=0.6), 1 / 3, rtol=1e-6)
  np.testing.assert_allclose(share(high_start=2.1), 3 / 5, rtol=1e-6)
  # Where the paper's share cannot be met, this one can, by `low` alone.
  reach = dict(low_start=0.4, low_step=0.2, high_start=2.1, high_max=2.1)
  method = bapo(0.58, statistic="active", **reach)
  assert bounds(method) == pytest.approx((0.6, 2.1))


def test_a_step_past_the_maximum_is_cut_or_not_taken():
  uneven = dict(high_max=1.5, high_step=0.2, low_max=0.65, low_step=0.1)
  assert bounds(bapo(0.9, **uneven)) == pytest.approx((0.65, 1.5))
  stop = bapo(0.9, **uneven, at_limit="stop")
  assert bounds(stop) == pytest.approx((0.6, 1.4))


def test_the_share_rises_with_the_upper_and_falls_with_the_lower_bound():
  share = lambda **start: float(
    run(bapo(0.0, **start))[2]["bapo/positive_share"]
  )
  by_high = [share(high_start=high) for high in (1.0, 1.5, 2.0, 3.0)]
  # Positives 1 and min(2, high), negatives 1, 1 and max(0.5, low).
  expected = [2 / 4.6, 2.5 / 5.1, 3 / 5.6, 3 / 5.6]
  np.testing.assert_allclose(by_high, expected, rtol=1e-6)
  by_low = [share(low_start=low) for low in (0.2, 0.5, 0.7, 0.9)]
  expected = [2.2 / 4.7, 2.2 / 4.7, 2.2 / 4.9, 2.2 / 5.1]
  np.testing.assert_allclose(by_low, expected, rtol=1e-6)


@pytest.mark.parametrize(
  "wrong",
  [
    {"order": "both"},
    {"statistic": "mean"},
    {"at_limit": "wrap"},
    {"target": -0.1},
    {"target": 1.0},
    {"low_start": 0.95},
    {"low_max": 1.2},
    {"high_start": 0.9},
    {"high_max": float("inf")},
    {"low_step": 0.0},
    {"high_step": -1.0},
    {"dual": 1.0},
  ],
)
def test_a_parameter_out_of_range_is_named(wrong):
  ((name, value),) = wrong.items()
  with pytest.raises(ValueError, match=rf"bapo\.{name} = {value!r} must"):
    bapo(**wrong)


def test_a_target_that_no_share_reaches_is_one_of_the_ratio():
  with pytest.raises(ValueError, match=r'target = 1\.5 .* "ratio" may'):
    bapo(1.5, statistic="active")
  # (1 + h) / 2.5 = 1 at h = 1.5.
  ratio = bapo(0.99, statistic="ratio", low_start=0.5)
  assert bounds(ratio) == pytest.approx((0.5, 1.5))
  assert bounds(bapo(1.1, statistic="ratio")) == pytest.approx((0.6, 1.9))
