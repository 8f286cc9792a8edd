"""Rollout correction: weights and rejections by the sampler's mismatch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rlvr_jax
from golden_adapters import common
from golden_adapters.clip_cov import edited
from rlvr_jax import methods, transform
from rlvr_jax.methods.rollout_correction import RULES, rollout_correction
from rlvr_jax.types import LOGP_KEY, Clock

pytestmark = pytest.mark.usefixtures("quick_compile")

RATIO = np.array([[0.25, 3.0, 1.0], [1.0, 2.0, 1.0], [0.5, 1.0, 1.0]])
MASK = np.array([[1, 1, 0], [1, 1, 1], [1, 0, 0]])
OLD = np.full((3, 3), -4.0)


def record(ratio=RATIO, mask=MASK, advantages=None, logp=OLD, **parameters):
  """The objective of the first update, with the metrics of both hooks."""
  rollout = common.batch(OLD, advantages, mask, sample_logp=OLD - np.log(ratio))
  method = rollout_correction(**parameters)
  prepared = common.prepared(method, rollout)
  found = edited(method, prepared, logp)
  return found.replace(metrics=prepared.metrics | found.metrics)


def weights(**parameters):
  return np.asarray(record(**parameters).weights)


def test_a_sampler_that_draws_from_the_policy_needs_no_correction():
  same = dict(ratio=np.ones((3, 3)), batch_normalize=True)
  for level in ("token", "sequence"):
    found = record(level=level, **same)
    np.testing.assert_array_equal(found.weights, MASK)
    assert found.metrics["rollout_correction/cut_fraction"] == 0
    assert found.metrics["rollout_correction/kl"] == 0
    assert found.metrics["rollout_correction/chi_squared"] == 0


def test_tokens_weigh_their_ratio_up_to_the_cut():
  found = weights(high=2.0)
  np.testing.assert_allclose(found, np.minimum(RATIO, 2) * MASK, rtol=1e-6)
  found = weights(high=2.0, low=0.5)
  np.testing.assert_allclose(found, np.clip(RATIO, 0.5, 2) * MASK, rtol=1e-6)
  found = weights(high=2.5, low=0.4, mode="mask")
  inside = (RATIO >= 0.4) & (RATIO <= 2.5)
  np.testing.assert_allclose(found, RATIO * inside * MASK, rtol=1e-6)


def test_a_response_weighs_the_product_of_its_counted_ratios():
  found = weights(level="sequence", high=1.5)
  want = np.array([[0.75], [1.5], [0.5]]) * MASK
  np.testing.assert_allclose(found, want, rtol=1e-6)


def test_normalised_weights_have_mean_one():
  found = weights(batch_normalize=True)
  np.testing.assert_allclose(found[MASK > 0].mean(), 1.0, rtol=1e-6)
  found = weights(level="sequence", batch_normalize=True)
  np.testing.assert_allclose(found[:, 0].mean(), 1.0, rtol=1e-6)
  np.testing.assert_allclose(found[0, 0] / found[2, 0], 1.5, rtol=1e-5)


def test_metrics_tell_how_far_sampler_and_policy_are_apart():
  metrics = record(high=2.5).metrics
  counted = RATIO[MASK > 0]
  for name, want in (
    ("kl", -np.log(counted).mean()),
    ("chi_squared", (counted**2).mean() - 1),
    ("weight_mean", np.minimum(counted, 2.5).mean()),
    ("cut_fraction", (counted > 2.5).mean()),
  ):
    found = metrics[f"rollout_correction/{name}"]
    np.testing.assert_allclose(found, want, rtol=1e-5)


def kept(rejection, thresholds):
  found = record(
    level=None, rejection=rejection, rejection_thresholds=thresholds
  )
  np.testing.assert_array_equal(found.weights, np.ones((3, 3)))
  rejected = found.metrics["rollout_correction/rejected_fraction"]
  np.testing.assert_allclose(rejected, 1 - found.mask.sum() / 6, atol=1e-6)
  return np.asarray(found.mask).tolist()


def test_rules_of_tokens_judge_tokens_and_those_of_responses_whole_ones():
  # Of k1 the ratio is the other way round: 4, 1/3; 1, 1/2, 1; 2.
  assert kept("token_k1", "0.4_2.1") == [[0, 0, 0], [1, 1, 1], [1, 0, 0]]
  assert kept("token_k1", "3.5") == [[0, 1, 0], [1, 1, 1], [1, 0, 0]]
  # Products 4/3, 1/2 and 2.
  assert kept("seq_sum_k1", "0.6_2.1") == [[1, 1, 0], [0, 0, 0], [1, 0, 0]]
  # Half squares 0.96, 0.60; 0, 0.24, 0; 0.24.
  assert kept("token_k2", "0.5") == [[0, 0, 0], [1, 1, 1], [1, 0, 0]]
  assert kept("seq_max_k2", "0.7") == [[0, 0, 0], [1, 1, 1], [1, 0, 0]]
  assert kept("seq_mean_k2", "0.1") == [[0, 0, 0], [1, 1, 1], [0, 0, 0]]


def test_all_rules_must_pass_and_one_threshold_serves_all():
  both = kept("seq_sum_k1, token_k2", "0.6_2.1, 0.7")
  assert both == [[0, 1, 0], [0, 0, 0], [1, 0, 0]]
  assert kept(",".join(RULES), "1e9") == MASK.tolist()


def test_rejected_tokens_do_not_count_in_the_denominator():
  rollout = common.batch(
    OLD, np.ones((3, 3)), MASK, sample_logp=OLD - np.log(RATIO)
  )
  method = rollout_correction(
    level=None, rejection="token_k2", rejection_thresholds="0.5"
  )
  rollout = common.prepared(method, rollout)
  _, gradient, _ = common.loss_and_grad(method, rollout, OLD)
  want = -np.array([[0, 0, 0], [1, 1, 1], [1, 0, 0]]) / 4
  np.testing.assert_allclose(gradient, want, rtol=1e-6)


def test_rejected_tokens_do_not_enter_the_advantages():
  rollout = common.batch(
    OLD, None, MASK, reward=[1, 0, 0], sample_logp=OLD - np.log(RATIO)
  )
  method = transform.chain(
    rollout_correction(
      level=None, rejection="seq_mean_k2", rejection_thresholds="0.1"
    ),
    methods.make("reinforce_plus_plus"),
  )
  # The second row alone is left, and its returns are all the same.
  found = common.prepared(method, rollout)
  np.testing.assert_array_equal(found.mask.any(axis=1), [0, 1, 0])
  np.testing.assert_array_equal(found.advantages, np.zeros((3, 3)))


def test_weights_are_normalised_once_over_the_whole_rollout():
  rollout = common.batch(
    OLD, np.ones((3, 3)), MASK, sample_logp=OLD - np.log(RATIO)
  )
  method = transform.chain(rollout_correction(batch_normalize=True))
  prepared = common.prepared(method, rollout)
  state, clock = method.init(prepared), Clock(0, 0, jax.random.key(0))

  def slope(rows):
    part = jax.tree.map(lambda x: x[rows], prepared.replace(metrics={}))
    total = rlvr_jax.loss(method, mode="seq-mean-token-sum-norm", scale=1.0)
    fn = lambda logp: total({LOGP_KEY: logp}, part, state, clock)[0]
    return jax.jit(jax.grad(fn))(jnp.asarray(OLD, jnp.float32)[rows])

  whole = slope(slice(0, 3))
  parts = np.concatenate([slope(slice(0, 2)), slope(slice(2, 3))])
  np.testing.assert_allclose(parts, whole, rtol=1e-6)


def test_responses_left_behind_are_no_longer_pushed_down():
  # Means of log pi_sample - log pi: the policy has moved by 0.3 since.
  gone = np.array([[0.2, 0.4, 9.0], [0.3, 0.3, 0.3], [0.1, 9.0, 9.0]])
  advantages = np.array([[-1, -1, 0], [1, -1, 0], [-1, 0, 0]])
  found = record(
    np.ones((3, 3)),
    advantages=advantages,
    logp=OLD - gone,
    level=None,
    sequence_mask_delta=0.25,
  )
  np.testing.assert_array_equal(
    np.asarray(found.weights)[MASK > 0], [0, 0, 1, 0, 1, 1]
  )
  np.testing.assert_array_equal(found.mask, MASK)
  stale = found.metrics["rollout_correction/stale_fraction"]
  np.testing.assert_allclose(stale, 3 / 6, rtol=1e-6)


def test_an_enormous_mismatch_stays_finite():
  ratio = np.exp(np.full((3, 3), 200.0))
  for bound in (20.0, None):
    for mode in ("truncate", "mask"):
      found = weights(
        ratio=ratio, level="sequence", mode=mode, max_log_ratio=bound
      )
      assert found.max() == {"truncate": 2.0, "mask": 0.0}[mode]


@pytest.mark.parametrize(
  "wrong",
  [
    {"level": "group"},
    {"mode": "drop"},
    {"high": 0.0},
    {"high": 2.0, "low": 3.0},
    {"max_log_ratio": 0.0},
    {"sequence_mask_delta": float("nan")},
    {"rejection": "token_k4"},
    {"rejection_thresholds": "1.0"},
    {"rejection": "token_k2", "rejection_thresholds": ""},
    {"rejection": "token_k2", "rejection_thresholds": "0.5_2"},
    {"rejection": "token_k1", "rejection_thresholds": "2_0.5"},
    {"rejection": "token_k1", "rejection_thresholds": "0"},
    {"rejection": "token_k1,token_k2,token_k3", "rejection_thresholds": "1,2"},
  ],
)
def test_a_parameter_out_of_range_is_named(wrong):
  name = list(wrong)[-1]
  with pytest.raises(ValueError, match=rf"correction\.{name} = .* must"):
    rollout_correction(**wrong)
