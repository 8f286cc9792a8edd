"""Pass@k training: the closed form, its sums, and the sampled variants."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rlvr_jax
from golden_adapters import common
from rlvr_jax.methods.passk_training import passk_training
from rlvr_jax.types import Clock

pytestmark = pytest.mark.usefixtures("quick_compile")


def batch_of(reward, group):
  ones = np.ones((len(reward), 1))
  return common.batch(0 * ones, None, ones, reward=reward, group=group)


def advantages(method, reward, group=None):
  group = np.zeros(len(reward)) if group is None else group
  run = jax.jit(lambda batch: common.prepared(method, batch).advantages)
  return np.asarray(run(batch_of(reward, group)))[:, 0]


def by_enumeration(right, k):
  """Mean normalised advantage over all sets of k that hold a response."""
  sets = list(itertools.combinations(range(len(right)), k))
  best = np.array([max(right[i] for i in s) for s in sets], float)
  scaled = (best - best.mean()) / (best.std() + 1e-6)
  return [
    np.mean([a for a, s in zip(scaled, sets) if i in s])
    for i in range(len(right))
  ]


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_the_closed_form_is_the_mean_over_all_sets(k):
  groups = [[1, 0, 0, 0, 0], [0, 1, 1, 0, 1, 0, 0], [0, 0, 0], [1, 0]]
  label = np.repeat(np.arange(4), [len(g) for g in groups])
  order = np.random.default_rng(0).permutation(len(label))
  want = np.concatenate([by_enumeration(g, min(k, len(g))) for g in groups])
  found = advantages(
    passk_training(k=k), np.concatenate(groups)[order], label[order]
  )
  np.testing.assert_allclose(found, want[order], rtol=2e-5, atol=1e-6)


def test_a_set_of_one_is_grpo_with_the_population_deviation():
  right = np.array([1, 0, 0, 1, 0, 0, 0, 0])
  found = advantages(passk_training(k=1), right)
  want = (right - right.mean()) / (right.std() + 1e-6)
  np.testing.assert_allclose(found, want, rtol=1e-5)


@pytest.mark.parametrize("right", range(9))
def test_the_advantages_of_a_group_add_up_to_nothing(right):
  reward = np.arange(8) < right
  found = advantages(passk_training(k=4), reward)
  assert abs(found.sum()) < 1e-5
  assert (found[:right] >= 0).all() and (found[right:] <= 0).all()
  # Fewer than k wrong answers, or none right: nothing to learn.
  assert found.any() == (0 < right <= 4)


@pytest.mark.parametrize(("k", "count"), [(1, 16), (2, 12), (4, 8), (8, 4)])
def test_harder_problems_weigh_most_the_larger_the_sets(k, count):
  n = 32
  right = np.arange(n) < np.arange(1, n)[:, None]
  label = np.repeat(np.arange(n - 1), n)
  found = advantages(passk_training(k=k), right.reshape(-1), label)
  weight = np.abs(found).reshape(n - 1, n).sum(axis=1)
  assert 1 + np.argmax(weight) == count


def test_disjoint_sets_share_the_advantage_of_their_best():
  # Sets (1, 0), (0, 0) and, too few for three, (0): rewards 1, 0, 0.
  found = advantages(passk_training(k=2, variant="full"), [1, 0, 0, 0, 0])
  lead, behind = (2 / 3) / math.sqrt(2 / 9), (-1 / 3) / math.sqrt(2 / 9)
  want = [lead, lead, behind, behind, behind]
  np.testing.assert_allclose(found, want, rtol=1e-5)


@pytest.mark.parametrize("k", [3, 7])
def test_sets_that_all_earn_the_same_have_no_advantage_at_all(k):
  # Sevenths and thirds do not add up to 1 exactly.
  method = passk_training(k=k, variant="full")
  found = advantages(method, [1, 0, 0, 1, 0, 0, 1] * 3, np.repeat([0, 1, 2], 7))
  assert not found.any()


@pytest.mark.parametrize("variant", ["full", "bootstrap"])
def test_sampled_sets_agree_with_the_formula_on_average(variant):
  k, right = 2, np.array([1, 0, 0, 1, 0, 0])
  # The deviation over a few sets is another one; over many drawn ones it is
  # that of the formula, and pass@k is right on average for both.
  method = passk_training(k=k, variant=variant, draws=4000)
  rollout = batch_of(right, np.zeros(6))
  prepare = rlvr_jax.prepare(rlvr_jax.chain(method))

  def run(seed):
    order = jax.random.permutation(jax.random.key(seed), 6)
    batch = rollout.replace(reward=rollout.reward[order])
    clock = Clock(0, 0, jax.random.key(seed))
    found = prepare(batch, {"passk_training": ()}, clock)[0]
    passed = found.metrics["passk_training/pass_at_k"]
    return passed, jnp.zeros(6).at[order].set(found.advantages[:, 0])

  seeds = 400 if variant == "full" else 1
  passed, found = jax.jit(jax.vmap(run))(jnp.arange(seeds))
  exact = 1 - math.comb(4, k) / math.comb(6, k)
  np.testing.assert_allclose(passed.mean(), exact, atol=0.03)
  if variant == "bootstrap":
    want = by_enumeration(right, k)
    np.testing.assert_allclose(found[0], want, atol=0.1)


def test_drawn_sets_add_up_or_average():
  reward = [1, 0, 0, 0, 1, 0, 0, 0, 0, 0]
  group = np.repeat([0, 1], [4, 6])
  one, all_of = (
    advantages(
      passk_training(k=4, variant="bootstrap", draws=5, combine=combine),
      reward,
      group,
    )
    for combine in ("mean", "sum")
  )
  assert one.any() and not one[:4].any()
  times = all_of[4:] / one[4:]
  np.testing.assert_allclose(times, np.round(times), rtol=1e-5)
  # Five draws of four of the six rows.
  assert times.max() < 5.5 and np.round(times).sum() == 20


def test_metrics_count_groups_alike_and_name_idle_rows():
  reward, label = [1, 0, 0, 0, 1, 1], [0, 0, 0, 0, 1, 1]
  found = common.prepared(passk_training(k=2), batch_of(reward, label))
  passed = found.metrics["passk_training/pass_at_k"]
  np.testing.assert_allclose(passed, (0.5 + 1) / 2, rtol=1e-6)
  idle = found.metrics["passk_training/idle_fraction"]
  np.testing.assert_allclose(idle, 2 / 6, rtol=1e-6)


@pytest.mark.parametrize(
  "wrong",
  [
    {"k": 0},
    {"variant": "all"},
    {"draws": 0},
    {"epsilon": 0.0},
    {"combine": "max"},
  ],
)
def test_a_parameter_out_of_range_is_named(wrong):
  ((name, _),) = wrong.items()
  with pytest.raises(ValueError, match=rf"passk_training\.{name} = .* must"):
    passk_training(**wrong)
