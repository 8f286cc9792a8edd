"""T1: which of many responses train, and what they are compared with."""

import functools

import jax
import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax import testing, transform
from rlvr_jax.methods.entropy_bonus import entropy_bonus
from rlvr_jax.methods.kl_penalty import EMA_LOGP, kl_penalty
from rlvr_jax.methods.rloo import rloo
from rlvr_jax.methods.t1 import t1

pytestmark = pytest.mark.usefixtures("quick_compile")

REWARD = np.array([0.1, 0.9, 0.5, 0.3, 0.7, 0.2, 0.0, 1.0])
GROUP = np.array([0, 0, 0, 0, 0, 0, 1, 1])


def rollout(reward=REWARD, group=GROUP, mask=None):
  shape = (len(reward), 2)
  mask = np.ones(shape) if mask is None else mask
  return common.batch(np.zeros(shape), None, mask, reward=reward, group=group)


@functools.cache
def compiled(train, select):
  method = transform.chain(rloo(), t1(train, select))
  return jax.jit(lambda batch, seed: common.prepared(method, batch, seed))


def selected(batch, train, select, seed=0):
  found = compiled(train, select)(batch, seed)
  return found, np.asarray(found.mask[:, 0]).astype(int)


def test_the_best_and_the_worst_train_and_an_odd_one_is_of_the_best():
  _, four = selected(rollout(), 4, "balanced")
  np.testing.assert_array_equal(four, [1, 1, 0, 0, 1, 1, 1, 1])
  _, three = selected(rollout(), 3, "balanced")
  np.testing.assert_array_equal(three, [1, 1, 0, 0, 1, 0, 1, 1])


def test_all_samples_stay_in_the_baseline_and_in_their_group():
  batch = rollout()
  found, kept = selected(batch, 4, "balanced")
  plain = jax.jit(lambda b: common.prepared(rloo(), b))(batch)
  np.testing.assert_array_equal(
    found.advantages, plain.advantages * kept[:, None]
  )
  np.testing.assert_array_equal(found.group, batch.group)
  np.testing.assert_array_equal(found.reward, batch.reward)
  assert kept.sum() == 6


@pytest.mark.parametrize("select", ["random", "balanced"])
def test_equals_are_chosen_at_random_and_each_in_its_turn(select):
  batch = rollout(reward=np.ones(8))
  seen = np.array([selected(batch, 3, select, s)[1] for s in range(60)])
  np.testing.assert_array_equal(seen[:, :6].sum(axis=1), 3)
  np.testing.assert_array_equal(seen[:, 6:], 1)
  # Three of six: thirty times of sixty, give or take five deviations.
  assert (np.abs(seen[:, :6].sum(axis=0) - 30) < 20).all()


def test_ties_at_the_edge_alone_are_left_to_chance():
  batch = rollout([0, 0, 0, 0, 1, 0, 0, 1])
  seen = np.array([selected(batch, 2, "balanced", s)[1] for s in range(20)])
  assert seen[:, 4].all() and (seen[:, :6].sum(axis=1) == 2).all()
  assert len(np.unique(seen, axis=0)) > 1


def test_the_order_of_rows_does_not_matter_where_nothing_ties():
  order = np.random.default_rng(0).permutation(8)
  _, kept = selected(rollout(), 4, "balanced")
  _, moved = selected(rollout(REWARD[order], GROUP[order]), 4, "balanced")
  np.testing.assert_array_equal(moved, kept[order])


def test_rows_that_count_nowhere_take_no_place():
  mask = np.ones((8, 2))
  mask[1] = 0  # the best one
  found, kept = selected(rollout(mask=mask), 4, "balanced")
  np.testing.assert_array_equal(kept, [1, 0, 1, 0, 1, 1, 1, 1])
  np.testing.assert_allclose(found.metrics["t1/trained_fraction"], 6 / 7)


def test_replayed_rows_stay():
  batch = rollout()
  batch = batch.replace(group=batch.group.at[:3].set(-1))
  _, kept = selected(batch, 1, "balanced")
  np.testing.assert_array_equal(kept[:3], 1)
  np.testing.assert_array_equal(kept[3:], [0, 1, 0, 0, 1])


def test_the_balanced_half_has_the_larger_spread():
  found, _ = selected(rollout(), 2, "balanced")
  want = (REWARD[:6].std() + REWARD[6:].std()) / 2
  np.testing.assert_allclose(found.metrics["t1/sampled_spread"], want, 1e-6)
  wide = (np.std([0.1, 0.9]) + 0.5) / 2
  np.testing.assert_allclose(found.metrics["t1/spread"], wide, 1e-6)


def test_without_selection_and_terms_it_is_rloo_to_the_bit():
  whole = transform.chain(
    rloo(), t1(), entropy_bonus(coef=0.0), kl_penalty(0.0, anchor="ema")
  )
  plain, found = testing.step(rloo()), testing.step(whole)
  assert found.loss == plain.loss
  np.testing.assert_array_equal(found.gradient, plain.gradient)


def test_the_bonus_raises_the_entropy():
  example = testing.tiny()
  found = testing.step(transform.chain(t1(), entropy_bonus(coef=1.0)), example)
  before = np.asarray(example.batch.tokens[:, 2:-1])
  counts = np.asarray(example.batch.mask)

  def entropy(table):
    logp = np.asarray(jax.nn.log_softmax(table))
    return -(np.exp(logp) * logp).sum(axis=1)[before][counts].mean()

  policy = example.params["policy"]
  assert entropy(policy - found.gradient) > entropy(policy)


def test_the_anchor_of_the_penalty_is_the_slow_copy_at_each_update():
  mask = [[1, 1]]
  batch = common.batch([[-1.0, -1.0]], None, mask)
  now = {EMA_LOGP.key: np.array([[-1.0, -3.0]], np.float32)}
  method = kl_penalty(2.0, anchor="ema")
  _, gradient, metrics = common.loss_and_grad(
    method, batch, [[-1.0, -1.0]], stats=now
  )
  # x = 0 and 2: exp(-x) - 1 + x, and its slope 1 - exp(-x).
  kl, slope = (np.exp(-2) + 1) / 2, 1 - np.exp(-2)
  np.testing.assert_allclose(metrics["kl_penalty/kl"], kl, rtol=1e-6)
  np.testing.assert_allclose(gradient, [[0, 2 * slope / 2]], rtol=1e-6)


@pytest.mark.parametrize(
  ("values", "told"),
  [
    (dict(select="best"), r"t1\.select = 'best' must be in"),
    (dict(select="random"), r"t1\.train = None does not go with"),
    (dict(train=4), r"t1\.train = 4 does not go with t1\.select = 'all'"),
    (dict(train=0, select="random"), r"t1\.train = 0 must be None or >= 1"),
  ],
)
def test_a_selection_that_makes_no_sense_is_named(values, told):
  with pytest.raises(ValueError, match=told):
    t1(**values)
