"""DRPO: which right answers weigh how much."""

import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax import methods
from rlvr_jax.methods.drpo import drpo

pytestmark = pytest.mark.usefixtures("quick_compile")

REWARD = np.array([1, 1, 0, 1, 0, 1, 0, 0])
GROUP = np.array([0, 0, 0, 0, 0, 1, 1, 1])
LENGTHS = np.array([1, 2, 3, 4, 1, 2, 2, 3])
MASK = np.arange(4) < LENGTHS[:, None]


def arrays(seed=0):
  dice = np.random.default_rng(seed)
  old = -dice.exponential(size=MASK.shape).astype(np.float32)
  return old, np.float32(old + 0.1 * dice.normal(size=MASK.shape))


def outcome(method, logp, old, mask=MASK):
  rollout = common.batch(old, None, mask, reward=REWARD, group=GROUP)
  return common.loss_and_grad(method, rollout, logp)


@pytest.mark.parametrize("max_length", [0, 10])
def test_right_answers_weigh_by_the_softmax_of_their_shortness(max_length):
  old, logp = arrays()
  method = drpo(length_scale=0.5, max_length=max_length, beta=0.0)
  _, gradient, metrics = outcome(method, logp, old)
  weight = np.exp(-LENGTHS / ((max_length or 4) * 0.5)) * (REWARD == 1)
  weight[:5] /= weight[:5].sum()
  weight[5:] /= weight[5:].sum()
  want = (-weight / LENGTHS / 2)[:, None] * MASK
  right = REWARD == 1
  np.testing.assert_allclose(
    np.asarray(gradient)[right], want[right], rtol=1e-5
  )
  np.testing.assert_allclose(
    metrics["drpo/largest_weight"], (weight[0] + 1) / 2, rtol=1e-5
  )
  assert metrics["drpo/used_fraction"] == 1


@pytest.mark.parametrize("score", ["logp", "ratio"])
@pytest.mark.parametrize("value", ["true", "code"])
def test_without_a_preference_for_length_it_is_disco(score, value):
  old, logp = arrays()
  shared = {"score": score, "tau": 2.0, "estimator": "k3", "value": value}
  got = outcome(drpo(length_scale=float("inf"), **shared), logp, old)
  want = outcome(methods.make("disco", **shared), logp, old)
  np.testing.assert_allclose(got[0], want[0], rtol=1e-5)
  np.testing.assert_allclose(got[1], want[1], rtol=1e-5, atol=1e-7)
  assert got[2]["drpo/kl"] == want[2]["disco/kl"]
  assert got[2]["drpo/over_delta"] == want[2]["disco/over_delta"]


def test_equal_lengths_weigh_alike():
  old, logp = arrays()
  got = outcome(drpo(length_scale=0.01), logp, old, np.ones(MASK.shape))
  want = outcome(methods.make("disco"), logp, old, np.ones(MASK.shape))
  np.testing.assert_allclose(got[1], want[1], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("length_scale", [0.01, 0.1, 1.0])
def test_length_never_pushes_a_right_answer_down(length_scale):
  old, logp = arrays(1)
  method = drpo(length_scale=length_scale, beta=0.0)
  gradient = np.asarray(outcome(method, logp, old)[1])
  assert (gradient[REWARD == 1] <= 0).all()
  assert (gradient[REWARD == 0] >= 0).all()
  # The reward of GRPO that falls with length does: the longest right answer
  # of the first question, although right, is below the mean.
  reward = REWARD * (2 - LENGTHS / 2)
  rollout = common.batch(old, None, MASK, reward=reward, group=GROUP)
  relative = common.prepared(methods.make("grpo"), rollout).advantages
  assert relative[3, 0] < 0


def test_a_question_without_wrong_answers_earns_nothing_but_counts():
  old, logp = arrays()
  rollout = common.batch(
    old, None, MASK, reward=np.where(GROUP == 1, 1, REWARD), group=GROUP
  )
  method = drpo(beta=0.0)
  _, gradient, metrics = common.loss_and_grad(method, rollout, logp)
  assert not gradient[5:].any()
  assert metrics["drpo/used_fraction"] == 0.5
  _, before, _ = outcome(method, logp, old)
  np.testing.assert_array_equal(gradient[:5], before[:5])


@pytest.mark.parametrize(
  "wrong",
  [
    {"length_scale": 0.0},
    {"max_length": -1},
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
  with pytest.raises(ValueError, match=rf"drpo\.{name} = .* must"):
    drpo(**wrong)
