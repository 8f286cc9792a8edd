"""TECRL: entropy to go, its gradient on a tree, and the coefficient."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rlvr_jax
from golden_adapters import common
from rlvr_jax.methods.tecrl import ENTROPY, ROLLOUT_ENTROPY, tecrl
from rlvr_jax.stats import LOGP
from rlvr_jax.types import Clock

pytestmark = pytest.mark.usefixtures("quick_compile")

CLOCK = Clock(0, 0, jax.random.key(0))
ONE = dict(coef_initial=1.0, coef_max=1.0)  # a coefficient of 1


def term(entropy, mask=None, group=None, logp=None, old=None, **parameters):
  """Loss, its gradient by the log-probs, and metrics, without advantages."""
  entropy = np.asarray(entropy, np.float32)
  mask = np.ones(entropy.shape) if mask is None else np.asarray(mask)
  old = 0 * entropy if old is None else old
  rollout = common.batch(old, None, mask, group=group)
  return common.loss_and_grad(
    tecrl(**ONE | parameters),
    rollout,
    old if logp is None else logp,
    stats={ENTROPY.key: entropy},
  )


def advantages(entropy, mask=None, group=None, **parameters):
  """A of every token: the slope by the log-probs at a ratio of 1."""
  _, slope, _ = term(entropy, mask, group, **parameters)
  count = slope.size if mask is None else np.sum(mask)
  return -np.asarray(slope) * count


def test_constant_entropy_has_the_geometric_sum_to_go():
  h, gamma, length = 0.5, 0.9, 6
  entropy = np.full((2, length), h, np.float32)
  entropy[1] = 0
  # Against a row of zeros the mean is a half of it.
  found = advantages(entropy, group=[0, 0], gamma=gamma)
  left = length - 1 - np.arange(length)
  want = h * gamma * (1 - gamma**left) / (1 - gamma)
  np.testing.assert_allclose(found, [want / 2, -want / 2], atol=1e-6)


def test_nothing_is_to_go_at_the_last_token_whatever_stands_behind_it():
  entropy = [[1.0, 2.0, 50.0], [0.0, 0.0, 0.0]]
  mask = [[1, 1, 0], [1, 1, 0]]
  found = advantages(entropy, mask, [0, 0], gamma=1.0)
  np.testing.assert_allclose(found, [[1, 0, 0], [-1, 0, 0]], atol=1e-6)


def test_without_a_future_it_is_the_plain_entropy_bonus():
  entropy = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
  loss, slope, metrics = term(entropy, gamma=0.0)
  assert loss == -3.5
  assert not np.asarray(slope).any()
  assert metrics["tecrl/entropy_to_go"] == 0


def test_the_mean_is_of_the_group_then_of_the_batch_then_the_value_itself():
  # Entropies to go at the first token: 1, 3, 8; the third row is alone.
  entropy = [[0, 1, 0], [0, 3, 0], [0, 8, 0]]
  mask = [[1, 1, 0], [1, 1, 0], [1, 1, 0]]
  found = advantages(entropy, mask, [0, 0, 1], gamma=1.0)
  np.testing.assert_allclose(found[:, 0], [-1, 1, 8 - 4], atol=1e-6)
  alone = advantages(entropy[:1], mask[:1], [0], gamma=1.0)
  np.testing.assert_allclose(alone, np.zeros((1, 3)), atol=1e-6)


@pytest.mark.parametrize("normalize", [False, True])
def test_rows_without_a_group_have_no_advantage_and_move_no_mean(normalize):
  # Alone in their groups, so that the mean is that of the minibatch.
  entropy = np.float32([[0, 1, 0], [0, 3, 0], [0, 8, 0]])
  mask = np.array([[1, 1, 0]] * 3)

  def slope(rows):
    rollout = common.batch(0 * entropy[:rows], None, mask[:rows])
    group = jnp.array([0, 1, -1])[:rows]
    found = common.loss_and_grad(
      tecrl(gamma=1.0, normalize=normalize, **ONE),
      rollout.replace(group=group),
      0 * entropy[:rows],
      stats={ENTROPY.key: entropy[:rows]},
    )[1]
    return np.asarray(found) * mask[:rows].sum()

  np.testing.assert_allclose(slope(3)[:2], slope(2), atol=1e-6)
  assert slope(2).any() and not slope(3)[2].any()


def test_normalized_entropy_advantages_have_unit_deviation():
  entropy = np.float32([[0, 1, 2, 0], [0, 5, 1, 0], [0, 2, 9, 0]])
  found = advantages(entropy, group=[0, 0, 0], gamma=1.0, normalize=True)
  assert np.std(found) == pytest.approx(1.0, rel=1e-5)


def test_a_clipped_ratio_loses_its_gradient_only_if_asked():
  entropy = np.float32([[0, 2], [0, 0]])
  logp = np.full((2, 2), np.log(1.5), np.float32)
  sizes = {
    clip: np.asarray(
      term(entropy, group=[0, 0], logp=logp, gamma=1.0, clip=clip)[1]
    )
    for clip in (False, True)
  }
  # A is 1 and -1 at the first tokens; the ratio is 1.5.
  np.testing.assert_allclose(sizes[False][:, 0], [-0.375, 0.375], rtol=1e-6)
  np.testing.assert_allclose(sizes[True][:, 0], [0.0, 0.375], rtol=1e-6)


def test_the_advantages_of_the_reward_are_the_same_for_any_coefficient():
  entropy = {ENTROPY.key: np.float32([[1, 2], [0, 3]])}
  reward = np.float32([[1, 1], [-1, -1]])
  rollout = common.batch(0 * reward, reward, np.ones((2, 2)))
  losses = [
    common.loss_and_grad(tecrl(**how), rollout, 0 * reward, stats=entropy)[2]
    for how in (ONE, dict(coef_initial=0.25, coef_max=1.0))
  ]
  assert losses[0]["loss/policy"] == losses[1]["loss/policy"]
  ratio = losses[0]["loss/added"] / losses[1]["loss/added"]
  np.testing.assert_allclose(ratio, 4.0, rtol=1e-6)


def test_on_a_tree_the_gradient_is_that_of_the_trajectory_entropy():
  # Three steps of three tokens; a row per path, weighed by its probability.
  tokens = 3
  nodes = [(), *itertools.product(range(tokens), repeat=1)]
  nodes += list(itertools.product(range(tokens), repeat=2))
  paths = list(itertools.product(range(tokens), repeat=3))
  at = jnp.array([[nodes.index(p[:t]) for t in range(3)] for p in paths])
  taken = jnp.array(paths)
  table = jax.random.normal(jax.random.key(0), (len(nodes), tokens))

  def numbers(table):
    logp = jax.nn.log_softmax(table)
    entropy = -(jnp.exp(logp) * logp).sum(axis=1)
    return logp[at, taken], entropy[at]

  def expected(table):
    logp, entropy = numbers(table)
    return (jnp.exp(logp.sum(axis=1)) * entropy.sum(axis=1)).sum()

  old, _ = numbers(table)
  weight = jnp.exp(old.sum(axis=1))[:, None]
  method = tecrl(gamma=1.0, **ONE)
  rollout = common.batch(np.asarray(old), None, np.ones(old.shape))
  state = method.init(rollout)

  def loss(table):
    logp, entropy = numbers(table)
    stats = {LOGP.key: logp, ENTROPY.key: entropy}
    context = rlvr_jax.types.Context(
      0, 0, CLOCK.key, rollout, stats, needs=method.needs
    )
    record = rlvr_jax.objective.initial(stats, rollout)
    return (weight * method.apply(record, state, context)[0].added).sum()

  # The mean over paths is a constant per position, so it only takes away
  # the same multiple of sum p grad log p = 0.
  want = jax.grad(expected)(table)
  np.testing.assert_allclose(-jax.grad(loss)(table), want, atol=1e-6)


def run(entropies, **parameters):
  """State and metrics after each rollout of one row."""
  method = tecrl(**parameters)
  prepare = jax.jit(rlvr_jax.prepare(method))
  state, found = rlvr_jax.chain(method).init(None), []
  for entropy in entropies:
    nats = np.atleast_2d(np.asarray(entropy, np.float32))
    stats = {ROLLOUT_ENTROPY.key: nats}
    rollout = common.batch(0 * nats, None, np.ones(nats.shape), stats=stats)
    batch, state = prepare(rollout, state, CLOCK)
    found.append((state["tecrl"], batch.metrics))
  return found


def test_below_the_budget_the_coefficient_rises_one_step_later():
  # The budget is half of the first rollout's 2 nats.
  found = run([2.0, 0.5, 0.5, 0.5], rate=1.0, coef_initial=0.01, coef_max=1.0)
  coefs = [float(state.applied) for state, _ in found]
  want = 0.01 * np.exp([0.0, -1.0, -0.5, 0.0])
  np.testing.assert_allclose(coefs, want, rtol=1e-5)
  budgets = [float(metrics["tecrl/budget"]) for _, metrics in found]
  assert budgets == [1.0] * 4


@pytest.mark.parametrize("per_token", [True, False])
def test_the_whole_first_entropy_is_a_budget_that_it_meets(per_token):
  # Rows of different lengths, so that means of tokens and of rows differ.
  nats = np.float32([[1, 2, 4], [3, 0, 0]])
  mask = np.array([[1, 1, 1], [1, 0, 0]])
  rollout = common.batch(
    0 * nats, None, mask, stats={ROLLOUT_ENTROPY.key: nats}
  )
  method = tecrl(gamma=0.5, share=1.0, per_token=per_token)
  metrics = common.prepared(method, rollout).metrics
  assert metrics["tecrl/trajectory_entropy"] > 0
  np.testing.assert_allclose(
    metrics["tecrl/budget"], metrics["tecrl/trajectory_entropy"], rtol=1e-6
  )


def test_the_coefficient_stays_in_its_range():
  bounds = dict(coef_initial=0.25, coef_min=0.125, coef_max=0.5)
  found = run([0.0, 0.0, 9.0, 9.0], target_entropy=2.0, rate=10.0, **bounds)
  coefs = [float(state.applied) for state, _ in found]
  np.testing.assert_allclose(coefs, [0.25, 0.5, 0.5, 0.125], rtol=1e-6)


def test_the_entropy_of_a_trajectory_is_discounted_and_free_of_its_length():
  (_, metrics), *_ = run([[1.0, 2.0, 4.0]], gamma=0.5, target_entropy=1.0)
  want = (1 + 1 + 1) / 1.75
  np.testing.assert_allclose(
    metrics["tecrl/trajectory_entropy"], want, rtol=1e-6
  )
  assert metrics["tecrl/budget"] == 1.0
  (_, metrics), *_ = run(
    [[1.0, 2.0, 4.0]], gamma=0.5, target_entropy=1.0, per_token=False
  )
  assert metrics["tecrl/trajectory_entropy"] == 3.0
  assert metrics["tecrl/budget"] == 1.75


@pytest.mark.parametrize(
  "wrong",
  [
    {"gamma": 1.5},
    {"share": 0.0},
    {"target_entropy": -1.0},
    {"rate": -1.0},
    {"coef_initial": 1.0},
    {"coef_initial": 0.0},
    {"coef_min": 1.0},
  ],
)
def test_a_parameter_out_of_range_is_named(wrong):
  (name,) = wrong
  with pytest.raises(ValueError, match=rf"tecrl\.{name} = "):
    tecrl(**wrong)
