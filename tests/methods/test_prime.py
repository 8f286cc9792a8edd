"""PRIME: advantages of outcomes and of token rewards that are learned."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax import objective, transform
from rlvr_jax.methods import prime as prime_lib
from rlvr_jax.methods.prime import prime
from rlvr_jax.types import Clock

pytestmark = pytest.mark.usefixtures("quick_compile")

MASK = np.array([[1, 1, 1], [1, 1, 0], [1, 0, 0], [1, 1, 1], [1, 1, 1]])
Q = np.float32(
  [[0.3, -0.1, 0.2], [0.1, 0.4, 9], [-0.5, 9, 9], [0.2, 0.2, 0], [0, -0.3, 0.1]]
)
REWARD = [1.0, 0.0, 0.0, 1.0, 0.0]
GROUP = [0, 0, 0, 1, 1]


def rollout(q=Q, reward=REWARD, group=GROUP, mask=MASK, ref=-1.0):
  # Of the exact sum only q is left, whatever the reference says.
  stats = {
    prime_lib.SCORE.key: np.float32(q + ref),
    prime_lib.REF.key: np.full(np.shape(q), ref, np.float32),
  }
  shape = np.full(np.shape(q), ref, np.float32)
  return common.batch(
    shape, None, mask, reward=reward, group=group, stats=stats
  )


def advantages(method, batch):
  return np.asarray(
    jax.jit(lambda b: common.prepared(method, b))(batch).advantages
  )


def lesson(method, q, **fields):
  """Loss, gradient by the log-probs, and metrics of the learner."""
  batch = rollout(0 * q, **fields)
  loss_fn = objective.learner_loss(transform.chain(method).learner)

  def run(logp):
    clock = Clock(0, 0, jax.random.key(0))
    value, (_, metrics) = loss_fn({prime_lib.NOW.key: logp}, batch, (), clock)
    return value, metrics

  run = jax.jit(jax.value_and_grad(run, has_aux=True))
  (loss, metrics), gradient = run(jnp.asarray(q - 1.0))
  return float(loss), np.asarray(gradient), metrics


EVERYTHING = dict(accuracy_low=0.0, accuracy_high=1.0)


def test_a_model_that_says_what_the_reference_says_leaves_the_outcomes():
  found = advantages(prime(), rollout(0 * Q))
  without = advantages(prime(process_coef=0.0), rollout())
  np.testing.assert_array_equal(found, without)
  # R less the mean of the others, at every token, then whitened.
  rows = np.array([1.0, -0.5, -0.5, 1.0, -1.0])[:, None]
  centred = np.where(MASK, rows, 0) - (rows * MASK).sum() / MASK.sum()
  spread = np.sqrt((centred**2 * MASK).sum() / (MASK.sum() - 1))
  np.testing.assert_allclose(found, centred * MASK / spread, rtol=1e-5)


def test_rounding_between_two_passes_scores_nothing():
  noise = np.float32(np.where(Q > 0, 4e-6, -4e-6))
  exact = advantages(prime(), rollout(0 * Q, ref=0.0))
  np.testing.assert_array_equal(advantages(prime(), rollout(noise, ref=0.0)),
                                exact)  # fmt: skip


def test_advantages_have_mean_0_and_variance_1_over_the_counted_tokens():
  found = advantages(prime(process_gamma=0.9, outcome_gamma=0.8), rollout())
  counted = found[MASK > 0]
  np.testing.assert_allclose(counted.mean(), 0, atol=1e-6)
  np.testing.assert_allclose(counted.var(ddof=1), 1, rtol=1e-5)
  assert not found[MASK == 0].any()


@pytest.mark.parametrize(
  "other",
  [
    dict(process_coef=5.0, outcome_coef=5.0),
    # But for the 1e-6 that is added to the largest return.
    dict(scale=0.05),
  ],
)
def test_a_common_factor_leaves_the_advantages_as_they_are(other):
  found = advantages(prime(**other), rollout())
  np.testing.assert_allclose(
    found, advantages(prime(), rollout()), rtol=1e-4, atol=1e-4
  )


def test_the_whole_score_gives_every_token_the_sum_of_its_response():
  batch = rollout()
  found = advantages(prime(granularity="whole", outcome_coef=0.0), batch)
  # At the last token the whole sum, before it the baseline once more.
  total = np.where(MASK, Q, 0).sum(1)
  largest = np.abs(total).max() + 1e-6
  length = MASK.sum(1)
  means = total / largest / length
  n = np.array([3, 3, 3, 2, 2])
  of_group = np.array([means[:3].sum()] * 3 + [means[3:].sum()] * 2)
  left = np.cumsum(MASK[:, ::-1], 1)[:, ::-1]
  returns = (n * total / largest)[:, None] - left * of_group[:, None]
  returns = returns / (n - 1)[:, None]
  counted = returns[MASK > 0]
  want = (returns - counted.mean()) / counted.std(ddof=1)
  np.testing.assert_allclose(found[MASK > 0], want[MASK > 0], rtol=1e-4)


def test_the_last_score_is_what_is_missing_to_the_reward_if_so_wished():
  only = dict(outcome_coef=0.0, normalize="none")
  found = advantages(prime(end_at_reward=True, **only), rollout())
  # Then the scores of a response add up to its reward.
  q = np.where(MASK, Q, 0)
  last = MASK.sum(1) - 1
  at = np.arange(len(q))
  q[at, last] += np.array(REWARD) - q.sum(1)
  want = advantages(prime(**only), rollout(q))
  np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-6)


def test_self_reference_compares_with_the_policy_that_sampled():
  old = np.full(Q.shape, -0.7, np.float32)
  batch = rollout().replace(old_logp=jnp.asarray(old))
  moved = rollout(Q - 1.0 + 0.7)
  found = advantages(prime(reference="policy"), batch)
  np.testing.assert_allclose(
    found, advantages(prime(), moved), rtol=1e-4, atol=1e-5
  )
  assert prime(reference="policy").needs == (prime_lib.SCORE,)


def test_rows_without_a_group_keep_their_advantages_and_join_nothing():
  batch = rollout()
  group = batch.group.at[4].set(-1)
  given = jnp.full(Q.shape, 7.0)
  found = advantages(prime(), batch.replace(group=group, advantages=given))
  fewer = jax.tree.map(lambda x: x[:4], batch)
  np.testing.assert_array_equal(found[4], [7, 7, 7])
  np.testing.assert_allclose(
    found[:4], advantages(prime(), fewer), rtol=1e-5, atol=1e-6
  )


def test_cross_entropy_begins_at_log_2_with_its_known_gradient():
  loss, gradient, _ = lesson(prime(beta=0.5, **EVERYTHING), 0 * Q)
  np.testing.assert_allclose(loss, np.log(2), rtol=1e-6)
  slope = 0.5 * (0.5 - np.array(REWARD)) / 5
  np.testing.assert_allclose(gradient, slope[:, None] * MASK, rtol=1e-5)


def test_groups_outside_the_range_of_accuracies_teach_nothing():
  method = prime(accuracy_low=0.4, accuracy_high=0.6)
  # One of three right is too few, one of two is not.
  _, gradient, metrics = lesson(method, Q)
  assert not gradient[:3].any() and gradient[3:].all()
  np.testing.assert_allclose(metrics["prime/trained_fraction"], 2 / 5)
  # Both ends belong to the range.
  _, gradient, _ = lesson(prime(accuracy_low=0.5, accuracy_high=0.5), Q)
  assert gradient[3:].all()


def test_a_range_that_holds_nothing_gives_no_loss_and_no_gradient():
  reward = np.ones(5)
  loss, gradient, metrics = lesson(prime(), Q, reward=reward)
  assert loss == 0 and not gradient.any()
  assert metrics["prime/trained_fraction"] == 0


def test_the_scores_order_pairs_and_have_signs():
  method = prime()
  found = jax.jit(lambda b: common.prepared(method, b))(rollout()).metrics
  # Sums 0.4, 0.5, -0.5 | 0.4, -0.2: of three pairs two are in order, of group 1
  # the only one; signs are right but for the second response.
  np.testing.assert_allclose(found["prime/pair_accuracy"], (1 / 2 + 1) / 2)
  np.testing.assert_allclose(found["prime/sign_accuracy"], 4 / 5)
  counted = np.abs(Q)[MASK > 0]
  np.testing.assert_allclose(
    found["prime/log_ratio"], counted.mean(), rtol=1e-5
  )
  # The largest return is the 0.5 of the second and of the third response.
  np.testing.assert_allclose(found["prime/largest_return"], 0.5, rtol=1e-5)


def test_the_learner_has_the_rate_and_the_order_asked_for():
  learner = prime(rate=0.25, max_gradient_norm=3.0, learn="before").learner
  assert (learner.rate, learner.max_gradient_norm, learner.first) == (
    0.25,
    3.0,
    True,
  )
  assert not prime().learner.first


@pytest.mark.parametrize(
  "wrong",
  [
    {"beta": 0.0},
    {"loss": "mse"},
    {"rate": -1.0},
    {"max_gradient_norm": 0.0},
    {"learn": "reverse"},
    {"reference": "ema"},
    {"accuracy_low": -0.1},
    {"accuracy_high": 0.1},
    {"granularity": "step"},
    {"normalize": "group"},
    {"scale": 0.0},
    {"smoothing": 1.5},
    {"process_coef": -1.0},
    {"outcome_gamma": 2.0},
  ],
)
def test_a_parameter_out_of_range_is_named(wrong):
  ((name, value),) = wrong.items()
  with pytest.raises(ValueError, match=rf"prime\.{name} = {value!r} must"):
    prime(**wrong)
