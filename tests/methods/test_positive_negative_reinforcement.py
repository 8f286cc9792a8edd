"""PSR, NSR and W-REINFORCE: signs, denominators and what they do to entropy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax.methods.positive_negative_reinforcement import (
  positive_negative_reinforcement,
)

pytestmark = pytest.mark.usefixtures("quick_compile")

MASK = np.array([[1, 1, 0], [1, 1, 1], [1, 0, 0], [1, 1, 1]])
REWARD = [1, 0, 1, 0]
LOGP = np.array([[-0.5, -1, 0], [-2, -1, -0.3], [-1, 0, 0], [-0.2, -3, -1]])


def prepared(reward=REWARD, **choice):
  rollout = common.batch(LOGP, None, MASK, reward=reward)
  return common.prepared(positive_negative_reinforcement(**choice), rollout)


def loss(rollout):
  method = positive_negative_reinforcement()
  return common.loss_and_grad(method, rollout, LOGP)[:2]


def test_right_rows_get_the_small_weight_and_wrong_rows_minus_one():
  found = prepared(positive_weight=0.25)
  want = np.array([[0.25], [-1], [0.25], [-1]]) * MASK
  np.testing.assert_array_equal(found.advantages, want)
  np.testing.assert_array_equal(found.mask, MASK != 0)


def test_rows_of_the_other_kind_leave_the_batch_unless_all_count():
  wrong, right = prepared(mode="negative"), prepared(mode="positive")
  np.testing.assert_array_equal(wrong.mask.any(axis=1), [0, 1, 0, 1])
  np.testing.assert_array_equal(right.mask.any(axis=1), [1, 0, 1, 0])
  every = prepared(mode="negative", denominator="all")
  np.testing.assert_array_equal(every.mask, MASK != 0)
  # 6 tokens of wrong rows, 3 of right ones.
  np.testing.assert_allclose(loss(wrong)[0], 1.0, rtol=1e-6)
  np.testing.assert_allclose(loss(every)[0], 6 / 9, rtol=1e-6)
  name = "positive_negative_reinforcement/kept_fraction"
  assert wrong.metrics[name] == 0.5 and every.metrics[name] == 0.5


def test_psr_and_nsr_over_all_tokens_add_up_to_reinforce():
  total = sum(
    loss(prepared(mode=mode, denominator="all"))[1]
    for mode in ("positive", "negative")
  )
  reinforce = loss(prepared(positive_weight=1.0))[1]
  np.testing.assert_allclose(total, reinforce, rtol=1e-6)


def test_the_discount_reaches_right_rows_only():
  found = prepared(gamma=0.5, positive_weight=1.0)
  want = [[0.5, 1, 0], [-1, -1, -1], [1, 0, 0], [-1, -1, -1]]
  np.testing.assert_allclose(found.advantages, want)


def test_without_a_wrong_answer_nsr_learns_nothing():
  found = prepared(reward=[1, 1, 1, 1], mode="negative")
  value, gradient = loss(found)
  assert value == 0 and not gradient.any()


def test_replayed_rows_keep_their_advantages_and_their_tokens():
  rollout = common.batch(LOGP, 3.0 * np.ones(MASK.shape), MASK, reward=REWARD)
  rollout = rollout.replace(group=jnp.array([0, 0, 0, -1]))
  found = common.prepared(
    positive_negative_reinforcement(mode="positive"), rollout
  )
  np.testing.assert_array_equal(found.advantages[3], [3.0, 3.0, 3.0])
  np.testing.assert_array_equal(found.mask.any(axis=1), [1, 0, 1, 1])


@pytest.mark.parametrize(
  ("token", "slope"), [(0, 0.0807), (1, -0.0569), (2, -0.0238)]
)
def test_only_pushing_down_the_likeliest_token_raises_the_entropy(token, slope):
  p = np.array([0.6, 0.3, 0.1])
  entropy = lambda z: -(jax.nn.softmax(z) * jax.nn.log_softmax(z)).sum()
  logits = jnp.log(jnp.asarray(p, jnp.float32))
  rollout = common.batch([[np.log(p[token])]], None, [[1]], reward=[0])
  found = common.prepared(
    positive_negative_reinforcement(mode="negative"), rollout
  )
  by_logp = loss_at(found, np.log(p[token]))
  _, pull = jax.vjp(lambda z: jax.nn.log_softmax(z)[token], logits)
  step = -pull(jnp.float32(by_logp))[0]
  found = jnp.vdot(jax.grad(entropy)(logits), step)
  # The numbers of the paper are of the likelihood, that is times pi.
  np.testing.assert_allclose(found * p[token], slope, atol=6e-5)


def loss_at(rollout, logp):
  method = positive_negative_reinforcement(mode="negative")
  return common.loss_and_grad(method, rollout, [[logp]])[1][0, 0]


@pytest.mark.parametrize(
  "wrong",
  [
    {"mode": "both"},
    {"positive_weight": -1.0},
    {"gamma": 0.0},
    {"denominator": "some"},
  ],
)
def test_a_parameter_out_of_range_is_named(wrong):
  ((name, _),) = wrong.items()
  with pytest.raises(ValueError, match=rf"reinforcement\.{name} = .* must"):
    positive_negative_reinforcement(**wrong)
