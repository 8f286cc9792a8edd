"""DisCO: the contrast of right and wrong answers, and its trust region."""

import jax.numpy as jnp
import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax.methods.disco import disco

pytestmark = pytest.mark.usefixtures("quick_compile")

# Two questions of three answers, and one that nobody gets right.
REWARD = np.array([1, 0, 0, 1, 1, 0, 0, 0])
GROUP = np.array([0, 0, 0, 1, 1, 1, 2, 2])
LENGTHS = np.array([2, 3, 1, 1, 2, 4, 3, 1])
MASK = np.arange(4) < LENGTHS[:, None]
QUESTIONS = 3


def arrays(seed=0):
  dice = np.random.default_rng(seed)
  old = -dice.exponential(size=MASK.shape).astype(np.float32)
  return old, np.float32(old + 0.1 * dice.normal(size=MASK.shape))


def outcome(logp, old, **parameters):
  rollout = common.batch(old, None, MASK, reward=REWARD, group=GROUP)
  return common.loss_and_grad(disco(**parameters), rollout, logp)


FREE = {"beta": 0.0}


def test_the_loss_is_the_stated_contrast():
  old, logp = arrays()
  loss, _, metrics = outcome(logp, old, tau=0.5, **FREE)
  s = (logp * MASK).sum(axis=1) / LENGTHS
  soft = lambda x: 0.5 * np.log(np.mean(np.exp(x / 0.5)))
  earned = s[0] - soft(s[1:3]) + s[3:5].mean() - s[5]
  np.testing.assert_allclose(loss, -earned / QUESTIONS, rtol=1e-5)
  np.testing.assert_allclose(
    metrics["disco/contrast"], earned / QUESTIONS, rtol=1e-5
  )
  np.testing.assert_allclose(metrics["disco/used_fraction"], 2 / 3, rtol=1e-6)


def test_on_the_rollout_itself_each_token_has_its_share_of_the_slope():
  old, _ = arrays()
  _, gradient, metrics = outcome(old, old, tau=0.5)
  s = (old * MASK).sum(axis=1) / LENGTHS
  soft = np.exp(s[1:3] / 0.5) / np.exp(s[1:3] / 0.5).sum()
  by_score = np.array([-1, *soft, -0.5, -0.5, 1, 0, 0])
  want = (by_score / LENGTHS / QUESTIONS)[:, None] * MASK
  np.testing.assert_allclose(gradient, want, rtol=1e-5, atol=1e-7)
  assert metrics["disco/kl"] == 0 and metrics["disco/over_delta"] == 0
  assert metrics["loss/clipped_fraction"] == 0


def test_all_ratios_are_one_on_the_rollout_itself():
  old, _ = arrays()
  loss, _, _ = outcome(old, old, score="ratio", tau=1.0)
  np.testing.assert_allclose(loss, 0.0, atol=1e-6)


def test_a_shift_of_all_log_probs_leaves_the_loss():
  old, logp = arrays()
  before, _, _ = outcome(logp, old, tau=2.0)
  after, _, _ = outcome(logp - 5, old - 5, tau=2.0)
  np.testing.assert_allclose(after, before, rtol=1e-5)


def test_one_wrong_answer_or_a_hot_maximum_is_the_mean_over_wrong_ones():
  old, logp = arrays()
  _, soft, _ = outcome(logp, old, tau=1e4, **FREE)
  _, sharp, _ = outcome(logp, old, tau=0.1, **FREE)
  _, plain, _ = outcome(logp, old, form="disco_b", **FREE)
  # At a finite tau the two differ by the order of s / tau.
  np.testing.assert_allclose(soft, plain, rtol=1e-3, atol=1e-7)
  np.testing.assert_allclose(sharp[3:], plain[3:], rtol=1e-6)
  assert (np.abs(np.asarray(sharp - plain)[1:3, 0]) > 0.01).all()


@pytest.mark.parametrize("estimator", ["k1", "k3"])
def test_the_constraint_is_a_square_above_delta(estimator):
  old, _ = arrays()
  logp = np.float32(old - 0.1)
  kl = {"k1": 0.1, "k3": np.exp(-0.1) - 1 + 0.1}[estimator]
  parameters = {"beta": 50.0, "delta": kl / 2, "estimator": estimator}
  bound, pulled, metrics = outcome(logp, old, **parameters)
  free, unbound, _ = outcome(logp, old, **FREE)
  np.testing.assert_allclose(metrics["disco/kl"], kl, rtol=1e-4)
  assert metrics["disco/over_delta"] == 1
  want = 50 / 2 * (kl / 2) ** 2
  # Differences of nearly equal float32 numbers, here and below.
  np.testing.assert_allclose(bound - free, want, rtol=1e-3)
  slope = {"k1": -1.0, "k3": np.exp(-0.1) - 1}[estimator]
  want = 50 * kl / 2 * slope / LENGTHS.sum()
  pull = np.asarray(pulled - unbound)[MASK]
  np.testing.assert_allclose(pull, want, rtol=2e-3)


def test_within_delta_nothing_is_constrained():
  old, _ = arrays()
  parameters = {"delta": 0.2, "beta": 1e3}
  got = outcome(np.float32(old - 0.1), old, **parameters)
  free = outcome(np.float32(old - 0.1), old, **FREE)
  assert got[0] == free[0] and (got[1] == free[1]).all()


def test_the_value_of_the_code_has_the_same_slope():
  old, _ = arrays()
  logp = np.float32(old - 0.1)
  true, slope, metrics = outcome(logp, old)
  code, same, _ = outcome(logp, old, value="code")
  assert metrics["disco/over_delta"] == 1
  np.testing.assert_allclose(same, slope, rtol=1e-5)
  assert abs(code - true) > 1


def test_replayed_rows_only_count_in_the_divergence():
  old, logp = arrays()
  rollout = common.batch(old, None, MASK, reward=REWARD, group=GROUP)
  group = rollout.group.at[:3].set(-1)
  replayed = rollout.replace(group=group)
  _, gradient, metrics = common.loss_and_grad(disco(beta=0.0), replayed, logp)
  assert not gradient[:3].any() and gradient[3:6].any()
  np.testing.assert_allclose(metrics["disco/used_fraction"], 1 / 2)
  drift = np.where(MASK, old - logp, 0).sum() / MASK.sum()
  np.testing.assert_allclose(metrics["disco/kl"], drift, rtol=1e-4)


def test_an_answer_without_tokens_is_neither_right_nor_wrong():
  old, logp = arrays()
  rollout = common.batch(old, None, MASK, reward=REWARD, group=GROUP)
  empty = rollout.replace(mask=rollout.mask.at[0].set(False))
  _, gradient, metrics = common.loss_and_grad(disco(beta=0.0), empty, logp)
  np.testing.assert_allclose(metrics["disco/used_fraction"], 1 / 3, rtol=1e-6)
  assert not gradient[:3].any() and jnp.isfinite(gradient).all()


@pytest.mark.parametrize(
  "wrong",
  [
    {"form": "b"},
    {"score": "logits"},
    {"tau": 0.0},
    {"beta": -1.0},
    {"delta": -1.0},
    {"estimator": "k2"},
    {"value": "false"},
  ],
)
def test_a_parameter_out_of_range_is_named(wrong):
  ((name, _),) = wrong.items()
  with pytest.raises(ValueError, match=rf"disco\.{name} = .* must"):
    disco(**wrong)
