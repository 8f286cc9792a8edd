"""TEA-RL: the weights of the bonus and what they do to the entropy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from golden_adapters import common
from golden_adapters.clip_cov import edited
from rlvr_jax.methods.tea_rl import ENTROPY, tea_rl

pytestmark = pytest.mark.usefixtures("quick_compile")

LOGP = np.float32([[-0.1, -2.0, -1.0, -3.0], [-0.5, -0.2, -4.0, 0.0]])
ADVANTAGES = np.float32([[1.0] * 4, [-1.0] * 4])
MASK = np.array([[1, 1, 1, 1], [1, 1, 1, 0]])


def weights(method, logp=LOGP, advantages=ADVANTAGES, mask=MASK):
  """Of the entropy 1 the bonus is the weight itself."""
  rollout = common.batch(logp, advantages, mask)
  ones = {ENTROPY.key: np.ones_like(logp)}
  return -edited(method, rollout, logp, stats=ones).added


def test_equal_advantages_spread_the_bonus_evenly_over_a_row():
  found = weights(tea_rl(alpha=2.0), advantages=np.full_like(LOGP, 0.75))
  np.testing.assert_allclose(found[0], [0.5] * 4, rtol=1e-6)
  np.testing.assert_allclose(found[1], [2 / 3] * 3 + [0], rtol=1e-6)


def test_the_weights_are_a_softmax_of_the_covariance():
  found = weights(tea_rl(alpha=2.0, bound=1.0))
  mean = lambda x: (x * MASK).sum() / 7
  cov = (ADVANTAGES - mean(ADVANTAGES)) * (LOGP - mean(LOGP))
  powers = np.exp(cov) * MASK
  want = np.minimum(2 * powers / powers.sum(1, keepdims=True), 1.0)
  assert (want == 1).any()
  np.testing.assert_allclose(found, want, rtol=1e-5)


def test_a_single_token_takes_all_up_to_the_bound():
  one = np.array([[0, 0, 1, 0], [0, 1, 0, 0]])
  found = weights(tea_rl(), mask=one)
  np.testing.assert_array_equal(found, 5.0 * one)
  found = weights(tea_rl(alpha=3.0), mask=one)
  np.testing.assert_array_equal(found, 3.0 * one)


def test_shifted_advantages_and_log_probs_have_the_same_weights():
  want = weights(tea_rl())
  found = weights(tea_rl(), LOGP + np.float32(2), ADVANTAGES - np.float32(3))
  np.testing.assert_allclose(found, want, rtol=1e-5)


def test_a_response_without_tokens_has_no_bonus():
  found = weights(tea_rl(), mask=MASK * [[1], [0]])
  np.testing.assert_array_equal(found[1], [0] * 4)
  assert found[0].sum() > 0


def test_blocks_of_rows_are_minibatches_of_their_own():
  varied = ADVANTAGES + LOGP
  blocks = weights(tea_rl(scope_rows=1), advantages=varied)
  rows = (slice(0, 1), slice(1, 2))
  alone = [weights(tea_rl(), LOGP[r], varied[r], MASK[r]) for r in rows]
  np.testing.assert_allclose(blocks, np.concatenate(alone), rtol=1e-6)
  assert not np.allclose(blocks, weights(tea_rl(), advantages=varied))


def gradient(method):
  """Of minus the bonus, by the log-probs and by the entropies."""
  rollout = common.batch(LOGP, ADVANTAGES, MASK)
  nats = jnp.asarray(0.5 - 0.1 * LOGP)

  def loss(logp, nats):
    now = {ENTROPY.key: nats}
    return edited(method, rollout, logp, stats=now).added.sum()

  return jax.grad(loss, argnums=(0, 1))(jnp.asarray(LOGP), nats)


def test_detached_weights_leave_the_gradient_to_the_entropy_alone():
  by_logp, by_entropy = gradient(tea_rl(detach_weight=True))
  assert not by_logp.any()
  np.testing.assert_allclose(by_entropy, -weights(tea_rl()), rtol=1e-6)
  assert gradient(tea_rl())[0].any()


def test_a_weight_at_the_bound_pulls_no_log_prob():
  by_logp, by_entropy = gradient(tea_rl(alpha=100.0, bound=0.001))
  assert not by_logp.any()
  np.testing.assert_allclose(by_entropy, -0.001 * MASK, rtol=1e-5)


def test_the_bonus_raises_the_entropy():
  logits = jnp.log(jnp.array([0.7, 0.2, 0.1]))
  entropy = lambda z: -(jax.nn.softmax(z) * jax.nn.log_softmax(z)).sum()
  tokens = np.array([[0, 1, 2, 0], [1, 0, 0, 0]])

  def loss(logits):
    logp = jax.nn.log_softmax(logits)[tokens]
    rollout = common.batch(LOGP, ADVANTAGES, MASK)
    now = {ENTROPY.key: jnp.broadcast_to(entropy(logits), logp.shape)}
    return edited(tea_rl(), rollout, logp, stats=now).added.mean()

  moved = logits - 0.05 * jax.grad(loss)(logits)
  assert entropy(moved) > entropy(logits)


@pytest.mark.parametrize(
  "wrong", [{"alpha": -1.0}, {"bound": -1.0}, {"scope_rows": 0}]
)
def test_a_parameter_out_of_range_is_named(wrong):
  (name,) = wrong
  with pytest.raises(ValueError, match=rf"tea_rl\.{name} = .* must"):
    tea_rl(**wrong)
