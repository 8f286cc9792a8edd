"""Branches keep naming their parents, whatever becomes of the rows."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import runs
from rlvr_jax import replayed, testing, transform
from rlvr_jax.methods import make
from rlvr_jax.models.mesh import by_row, make_mesh
from rlvr_jax.training import measures
from rlvr_jax.training.merging import Merging
from rlvr_jax.training.minibatch import take
from rlvr_jax.training.plan import Block, Plan
from rlvr_jax.types import Clock

pytestmark = pytest.mark.usefixtures("quick_compile")

TREES = ("ettrl_etmr", "grpo")


@functools.cache
def example(**given):
  """Four prompts with four responses, and branches off them."""
  return testing.tiny(make("ettrl_etmr", **given)).batch


def held(batch):
  """(branch, parent) by the tokens of whole rows; the parent may be gone."""
  tokens = [tuple(row) for row in np.asarray(batch.tokens).tolist()]
  return {
    (tokens[i], tokens[p] if p >= 0 else None)
    for i, p in enumerate(np.asarray(batch.parent))
  }


def check(batch):
  """Rows with a parent begin as it does, in its prompt and its group."""
  batch = jax.tree.map(np.asarray, batch)
  rows = np.flatnonzero(batch.parent >= 0)
  width = batch.prompt_mask.shape[1]
  for row, parent in zip(rows, batch.parent[rows]):
    same = width + batch.copied[row]
    np.testing.assert_array_equal(
      batch.tokens[row, :same], batch.tokens[parent, :same]
    )
    assert batch.prompt[row] == batch.prompt[parent]
    assert batch.group[row] == batch.group[parent]
  return rows


def test_an_example_of_a_method_that_branches_has_branches():
  batch = example()
  assert len(check(batch)) == 16 * 4 and batch.copied.max() > 1
  rows = np.flatnonzero(batch.parent >= 0)
  place, copied = np.arange(batch.mask.shape[1]), np.asarray(batch.copied)
  own = place >= copied[:, None]
  # Every row has a token of its own, and branches those of their parents.
  assert (batch.mask & own).any(axis=1).all()
  assert (batch.mask | own).all()
  for x in (batch.old_logp, *batch.stats.values()):
    x = np.asarray(x)
    theirs = x[np.asarray(batch.parent)[rows]]
    np.testing.assert_array_equal(x[rows][~own[rows]], theirs[~own[rows]])
  once = example(prefix="once")
  np.testing.assert_array_equal(once.tokens, batch.tokens)
  np.testing.assert_array_equal(once.mask, batch.mask & own)


def test_rows_that_are_taken_name_the_places_of_their_parents():
  batch = example()
  order = np.random.default_rng(0).permutation(len(batch.group))
  taken = batch.take(order)
  assert held(taken) == held(batch)
  np.testing.assert_array_equal(taken.copied, batch.copied[order])
  assert len(check(taken)) == 64


def test_where_the_parent_is_left_behind_a_row_has_none():
  batch = example()
  roots = np.flatnonzero(batch.parent < 0)
  rest = np.setdiff1d(np.arange(len(batch.group)), roots[::2])
  taken = batch.take(rest)
  gone = np.isin(np.asarray(batch.parent)[rest], roots[::2])
  np.testing.assert_array_equal(taken.parent[gone], -1)
  np.testing.assert_array_equal(taken.copied, batch.copied[rest])
  assert len(check(taken)) == 32
  # Of a parent that is taken twice the first.
  twice = batch.take(np.append(rest, rest))
  assert twice.parent.max() < len(rest)
  check(twice)


@pytest.fixture(scope="module")
def p():
  return runs.programs(*TREES, updates=4)


@pytest.fixture(scope="module")
def rollout(p):
  return runs.sample(p, *runs.start(p))


@pytest.fixture(scope="module")
def minibatches(p):
  """All of a rollout, shuffled by a seed."""
  updates, where = p.settings.updates, by_row(p.mesh)
  one = jax.jit(lambda batch, clock: take(batch, clock, updates, where))

  def each(batch, seed):
    clocks = (Clock(0, n, jax.random.key(seed)) for n in range(updates))
    return [jax.device_get(one(batch, clock)) for clock in clocks]

  return each


def test_a_minibatch_holds_branches_with_their_parents(minibatches, rollout):
  parts = minibatches(rollout, 0)
  for part in parts:
    assert len(check(part)) == len(part.group) / 2
  assert set.union(*map(held, parts)) == held(rollout)


def test_branches_without_a_group_stay_with_their_prompt(minibatches, rollout):
  """As when only the first rows of a prompt train, and the others voted."""
  lost = np.asarray(rollout.source) > 0
  batch = rollout.replace(group=jnp.where(lost, -1, rollout.group))
  for seed in range(3):
    for part in minibatches(batch, seed):
      assert len(set(np.asarray(part.prompt))) == 2


@pytest.mark.long
def test_slices_change_no_gradient_where_rows_branch():
  """Rows are dealt out of their places to slices of like lengths."""
  found = []
  for more in (dict(), dict(slices=4, widths=2)):
    p = runs.programs(*TREES, updates=1, **more)
    found.append(runs.step(p, *runs.start(p))[1][1])
  for key, want in found[0].items():
    np.testing.assert_allclose(found[1][key], want, rtol=2e-4, atol=1e-6)


def test_what_the_trees_cost_is_measured_of_all_that_was_sampled(p, rollout):
  state, ref = runs.start(p)
  rows = len(rollout.group)
  known = np.arange(rows) % 3 > 0
  reward = np.ones(rows, np.float32)
  _, _, found = p.prepare(state, rollout, reward, known, {})
  copied = int(rollout.copied.sum())
  assert found["rollout/roots"] + found["rollout/branches"] == rows
  assert found["rollout/branches"] == (rollout.copied > 0).sum()
  assert found["rollout/copied_tokens"] == copied > 0
  whole = int(rollout.mask.sum())
  assert found["rollout/sampled_tokens"] == whole - copied
  share = (whole - copied) / whole
  np.testing.assert_allclose(found["rollout/sampled_fraction"], share)
  plain = runs.programs("grpo")
  batch = runs.sample(plain, *runs.start(plain))
  assert not measures.trees(batch)


def test_replayed_rows_have_no_parents_and_the_others_keep_theirs():
  batch = example()
  ring = replayed.Ring.empty(batch, 8)
  ring = ring.with_rows(batch, jnp.arange(len(batch.group)) >= 60, jnp.int32(0))
  again = ring.rows.take(jnp.arange(8))
  wide = replayed.widened(batch, again)
  rows = len(batch.group)
  np.testing.assert_array_equal(wide.parent[:rows], batch.parent)
  np.testing.assert_array_equal(wide.parent[rows:], -1)
  np.testing.assert_array_equal(wide.copied[rows:], 0)


@pytest.mark.long
def test_replay_goes_with_trees():
  chain = transform.chain(*map(make, TREES), make("spear", rows=4))
  example = testing.tiny(chain, prompts=2)
  batch = testing.step(chain, example).batch
  assert held(batch) > held(example.batch) and batch.parent[-4:].max() == -1


# A step wants three prompts with two responses, and of each a branch; of the
# first two prompts there is one response of another draw in between.
PLAN = Plan(
  (Block("main", 3, 2), Block("hot", 2, 1), Block("leaf", 3, 4, "main"))
)
ASKING = PLAN.asking(4)


# Their groups, and the rows that the branches continue.
GROUPS = [0, 0, 1, 1, 2, 2, 3, 4, *np.repeat([0, 1, 2], 4)]
ROOTS = np.repeat(np.arange(6), 2)


def test_a_plan_knows_the_groups_that_the_sampler_makes(p, rollout):
  np.testing.assert_array_equal(p.plan.row_groups(), rollout.group)
  np.testing.assert_array_equal(PLAN.row_groups(), GROUPS)


def asked(name):
  """What is sampled for four prompts; rows tell from where they come."""
  rows = len(ASKING.row_prompts())
  batch = testing.tiny(prompts=rows, per_prompt=1).batch
  told = 100 * name + jnp.arange(rows)
  parent = np.append(np.full(12, -1), np.repeat(np.arange(8), 2))
  return batch.replace(
    reward=told.astype(jnp.float32),
    parent=jnp.asarray(parent, jnp.int32),
    copied=told,
  )


def test_merged_trees_are_those_of_the_batches():
  mesh = make_mesh(devices=jax.devices()[:1])
  shapes = [jax.ShapeDtypeStruct((3, 3), kind) for kind in (jnp.int32, bool)]
  merging = Merging(PLAN, ASKING, shapes, mesh, jax.jit)
  room = merging.begin(asked(1), merging.rows(0, np.array([2])))
  room = merging.fill(room, asked(2), merging.rows(1, np.array([0, 3])))
  found = merging.finish(
    room, jnp.ones((3, 3), jnp.int32), jnp.ones((3, 3), bool)
  )
  np.testing.assert_array_equal(found.parent[:8], -1)
  np.testing.assert_array_equal(found.parent[8:], ROOTS)
  np.testing.assert_array_equal(found.group, GROUPS)
  # Of each prompt the rows of the batch that it was asked in, in their order.
  want = [108, 109, 200, 201, 206, 207]
  np.testing.assert_array_equal(found.reward[:6], [104, 105, *want[2:]])
  leaves = [120, 121, 122, 123, 212, 213, 214, 215, 224, 225, 226, 227]
  np.testing.assert_array_equal(found.copied[8:], leaves)
