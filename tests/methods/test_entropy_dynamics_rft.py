"""Clip_B and Clip_V: which tokens leave the loss."""

import jax
import numpy as np
import pytest

import rlvr_jax
from golden_adapters import common
from rlvr_jax.methods.entropy_dynamics_rft import (
  ENTROPY,
  KEEP,
  MEAN_DISCRIMINATOR,
  entropy_dynamics_rft,
)

pytestmark = pytest.mark.usefixtures("quick_compile")

# Probabilities of ten sampled tokens, at positions of entropy 0.8 and N 0.05.
P = np.array([[0.5, 0.6, 0.01, 0.5, 0.75], [0.55, 0.1, 0.5, 0.6, 0.4]])
LOGP = np.float32(np.log(P))
S = P * (0.8 + LOGP)  # smallest: token (1, 1), -0.15; largest: (0, 4), 0.38
MINUS = -np.ones(P.shape, np.float32)
MASK = np.ones(P.shape)


def prepared(advantages=MINUS, mask=MASK, old=LOGP, **given):
  flat = np.ones(P.shape, np.float32)
  rollout = common.batch(
    old,
    advantages,
    mask,
    sample_logp=LOGP,
    stats={ENTROPY.key: 0.8 * flat, MEAN_DISCRIMINATOR.key: 0.05 * flat},
  )
  return common.prepared(entropy_dynamics_rft(**given), rollout)


def dropped(**given):
  return np.argwhere(np.asarray(prepared(**given).notes[KEEP]) == 0).tolist()


def test_a_rare_negative_token_is_left_out():
  # Deviations of mean S - S over the ten tokens, in standard deviations.
  deviation = (S.mean() - S) / S.std()
  assert deviation[1, 1] > 1.6 and np.sort(deviation.ravel())[-2] < 0.9
  assert dropped(mu=1.4) == [[1, 1]]
  assert dropped(mu=2.5) == []


def test_the_threshold_is_in_standard_deviations_of_the_whole_rollout():
  deviation = (S.mean() - S) / S.std()
  for mu in (0.05, 0.5, 1.0):
    assert dropped(mu=mu) == np.argwhere(deviation > mu).tolist()
  found = prepared(mu=1.0).metrics
  name = "entropy_dynamics_rft/"
  np.testing.assert_allclose(found[name + "discriminator"], S.mean(), rtol=1e-5)
  np.testing.assert_allclose(found[name + "spread"], S.std(), rtol=1e-5)
  np.testing.assert_allclose(
    found[name + "dropped_fraction"], (deviation > 1.0).mean(), rtol=1e-6
  )


@pytest.mark.parametrize("variant", ["clip_b", "clip_v"])
def test_positive_advantages_lose_no_token(variant):
  assert dropped(variant=variant, advantages=-MINUS, mu=0.0) == []


def test_clip_v_compares_with_the_vocabulary_and_does_not_centre():
  deviation = 0.05 - S
  bound = 0.1 * deviation.std()
  assert dropped(variant="clip_v", mu=0.1, max_fraction=1.0) == (
    np.argwhere(deviation > bound).tolist()
  )
  # Centred by their mean, more would be outliers.
  assert (deviation - deviation.mean() > bound).sum() > (
    deviation > bound
  ).sum()


def test_clip_v_leaves_out_at_most_its_share_the_largest_first():
  largest = lambda k: sorted(
    [int(i), int(j)]
    for i, j in zip(*np.unravel_index(np.argsort(S.ravel())[:k], S.shape))
  )
  given = dict(variant="clip_v", mu=0.0)
  assert dropped(**given) == largest(1)  # at least one
  assert dropped(**given, max_fraction=0.2) == largest(2)
  outliers = (0.05 - S > 0).sum()
  assert outliers >= 3
  assert dropped(**given, max_fraction=1.0) == largest(outliers)


def test_without_a_bound_on_their_share_the_tokens_are_not_sorted():
  program = lambda **given: str(jax.make_jaxpr(lambda: prepared(**given))())
  assert "sort" not in program()
  assert "sort" in program(max_fraction=0.5)


def test_clip_v_leaves_out_tokens_of_no_advantage_beside_its_share():
  advantages = MINUS.copy()
  advantages[0, 2] = 0.0  # the token of probability 0.01, S = -0.04
  given = dict(variant="clip_v", mu=0.0, advantages=advantages)
  assert dropped(**given) == [[0, 2], [1, 1]]
  assert dropped(**given, skip_zero_advantage=True) == [[1, 1]]
  assert [0, 2] not in dropped(mu=0.0, advantages=advantages)


def test_with_both_signs_the_test_of_positive_tokens_turns_around():
  advantages = np.where(P > 0.58, 1.0, -1.0).astype(np.float32)
  deviation = (S.mean() - S) / S.std()
  facing = np.where(advantages > 0, -deviation, deviation)
  given = dict(advantages=advantages, mu=1.0)
  assert dropped(**given, sign="all") == np.argwhere(facing > 1).tolist()
  assert [0, 4] in dropped(**given, sign="all")
  assert [0, 4] not in dropped(**given)


def test_two_sides_leave_out_what_would_raise_the_entropy_too():
  both = dropped(mu=1.4, two_sided=True)
  assert both == [[0, 4], [1, 1]]


def test_positions_that_do_not_count_are_in_no_statistic():
  mask = MASK.copy()
  mask[1, 1] = 0
  kept = S[mask > 0]
  deviation = np.where(mask > 0, (kept.mean() - S) / kept.std(), 0)
  found = np.asarray(prepared(mask=mask, mu=0.5).notes[KEEP])
  np.testing.assert_array_equal(found, (mask > 0) & (deviation <= 0.5))


def test_tokens_that_are_all_alike_stay():
  alike = np.full(P.shape, -1.0, np.float32)
  assert dropped(old=alike, mu=0.0) == []
  assert dropped(old=alike, variant="clip_v", mu=0.0) == []


def test_the_log_probs_may_be_those_of_the_sampled_distribution():
  other = np.full(P.shape, -1.0, np.float32)
  assert dropped(old=other, mu=1.4, logp="sample") == [[1, 1]]


def test_what_is_left_out_leaves_the_denominator_too():
  method = entropy_dynamics_rft(mu=1.4)
  loss, gradient, _ = common.loss_and_grad(method, prepared(mu=1.4), LOGP)
  # Nine tokens of ratio 1 and advantage -1.
  np.testing.assert_allclose(loss, 1.0, rtol=1e-6)
  expected = np.full(P.shape, 1 / 9)
  expected[1, 1] = 0
  np.testing.assert_allclose(gradient, expected, rtol=1e-6)


def test_the_mean_over_the_vocabulary_is_only_asked_for_where_it_is_read():
  assert rlvr_jax.make("entropy_dynamics_rft").needs == (ENTROPY,)


@pytest.mark.parametrize(
  "wrong",
  [
    {"variant": "clip_c"},
    {"sign": "positive"},
    {"logp": "new"},
    {"mu": -1.0},
    {"max_fraction": 0.0},
    {"max_fraction": 1.5},
  ],
)
def test_a_parameter_out_of_range_is_named(wrong):
  ((name, value),) = wrong.items()
  with pytest.raises(
    ValueError, match=rf"entropy_dynamics_rft\.{name} = {value!r} must"
  ):
    entropy_dynamics_rft(**wrong)
