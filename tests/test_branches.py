"""Laws of branches: rows that continue others after some of their tokens."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlvr_jax import stats
from rlvr_jax.models import DecoderConfig, Transformer
from rlvr_jax.sampling import sampler
from rlvr_jax.types import Draw, Need

pytestmark = pytest.mark.usefixtures("quick_compile")

MODEL = Transformer(
  DecoderConfig(
    vocabulary=12, width=16, layers=2, heads=2, kv_heads=1, head_dim=8,
    hidden=24,
  )
)  # fmt: skip
PROMPTS = jax.random.randint(jax.random.key(2), (3, 3), 2, 12)
VALID = jnp.arange(3) >= jnp.array([0, 1, 2])[:, None]
LENGTH, EACH, BRANCHES = 10, 4, 3
ENTROPY = sampler.ENTROPY.key


def at_most_uncertain(parent, n):
  """The positions of largest entropy, one behind the end where too few are."""
  entropy = jnp.where(parent.mask, parent.stats[ENTROPY], -1.0)
  return jax.lax.top_k(entropy, n)[1]


@functools.cache
def params():
  made = MODEL.init(jax.random.key(0))
  return made | {"embedding": 2.0 * made["embedding"]}


@functools.cache
def sample(rows=0, cut=at_most_uncertain, count=True, block=4):
  draws = (
    Draw("main", EACH),
    Draw("other", 2, prompt_fraction=0.5),
    Draw("branch", EACH * BRANCHES, parent="main", cut=cut, copies_count=count),
  )
  run = functools.partial(
    sampler.rollout, draws=draws, model=MODEL, length=LENGTH, rows=rows,
    ends=sampler.Ends((1,), 0), block=block,
  )  # fmt: skip
  return jax.jit(run)(params(), PROMPTS, VALID, key=jax.random.key(0))


def branches(batch):
  return np.flatnonzero(np.asarray(batch.parent) >= 0)


def test_a_branch_begins_as_its_parent_and_goes_on_by_itself():
  batch = jax.tree.map(np.asarray, sample())
  rows = branches(batch)
  assert len(rows) == 3 * EACH * BRANCHES
  differ = 0
  for row in rows:
    parent, copied = batch.parent[row], batch.copied[row]
    assert batch.parent[parent] == -1 and batch.source[parent] == 0
    assert 0 <= copied < batch.mask[parent].sum() < LENGTH + 1
    assert batch.mask[row].sum() > copied
    for x in (batch.response, batch.sample_logp, batch.old_logp):
      np.testing.assert_array_equal(x[row, :copied], x[parent, :copied])
    differ += (batch.response[row] != batch.response[parent]).any()
  assert differ > 0


def test_branches_belong_to_the_prompt_and_the_group_of_their_parents():
  batch = sample()
  rows, parent = branches(batch), np.asarray(batch.parent)
  for x in (batch.group, batch.prompt, batch.prompt_mask):
    np.testing.assert_array_equal(x[rows], x[parent[rows]])
  counts = np.bincount(parent[rows], minlength=3 * EACH)
  np.testing.assert_array_equal(counts[: 3 * EACH], BRANCHES)


def test_what_branches_record_is_what_a_full_pass_says():
  batch = sample()
  needs = (stats.LOGP, Need(stats.Entropy()))
  bare = batch.replace(stats={}, parent=None, copied=None)
  found = stats.score(needs, {"policy": params()}, bare, model=MODEL)
  got = batch.old_logp, batch.stats[ENTROPY]
  for need, x in zip(needs, got):
    gap = jnp.where(batch.mask, x - found[need.key], 0)
    assert jnp.abs(gap).max() < 1e-5


@pytest.mark.parametrize("rows", [2, 3, 5, 16])
def test_rows_change_no_sample(rows):
  whole, few = sample(), sample(rows)
  for name in ("tokens", "mask", "parent", "copied", "sample_logp", "old_logp"):
    x, y = getattr(whole, name), getattr(few, name)
    np.testing.assert_array_equal(x, y)


def test_branches_change_nothing_of_the_other_draws():
  alone = functools.partial(
    sampler.rollout, draws=(Draw("main", EACH),), model=MODEL, length=LENGTH,
    ends=sampler.Ends((1,), 0), block=4,
  )  # fmt: skip
  want = jax.jit(alone)(params(), PROMPTS, VALID, key=jax.random.key(0))
  got = sample()
  np.testing.assert_array_equal(want.tokens, got.tokens[: 3 * EACH])
  assert want.parent is None


def test_copies_that_do_not_count_are_not_in_the_mask():
  batch, masked = sample(), sample(count=False)
  np.testing.assert_array_equal(batch.tokens, masked.tokens)
  place = np.arange(LENGTH)
  copies = place < np.asarray(masked.copied)[:, None]
  np.testing.assert_array_equal(batch.mask & ~copies, masked.mask)
  assert (np.asarray(masked.mask).sum(axis=1) > 0).all()


def test_a_branch_after_nothing_is_a_new_response():
  batch = sample(cut=lambda parent, n: jnp.zeros(n, jnp.int32))
  rows = branches(batch)
  np.testing.assert_array_equal(batch.copied[rows], 0)
  first = np.asarray(batch.response)[rows, 0]
  assert len(set(first)) > 3


def test_who_cuts_sees_the_parent_and_dice_of_its_own():
  seen = lambda parent, n: jnp.full(n, parent.mask.sum() - 1)
  batch = sample(cut=seen)
  rows = branches(batch)
  length = np.asarray(batch.mask).sum(axis=1)
  last = length[np.asarray(batch.parent)[rows]] - 1
  np.testing.assert_array_equal(np.asarray(batch.copied)[rows], last)
  drawn = lambda parent, n: jax.random.randint(parent.key, (n,), 0, LENGTH)
  thrown = sample(cut=lambda parent, n: drawn(parent, n) % parent.mask.sum())
  assert len(set(np.asarray(thrown.copied)[rows])) > 4


@pytest.mark.parametrize(
  ("parent", "rows"), [("nobody", 4), ("branch", 12), ("main", 6)]
)
def test_branches_that_fit_no_parent_are_refused(parent, rows):
  draws = (
    Draw("main", 4),
    Draw("branch", 4, parent="main", cut=at_most_uncertain),
    Draw("wrong", rows, parent=parent, cut=at_most_uncertain),
  )
  with pytest.raises(ValueError, match="'wrong' branches off"):
    jax.eval_shape(
      functools.partial(
        sampler.rollout, draws=draws, model=MODEL, length=LENGTH,
        ends=sampler.Ends((1,), 0),
      ),
      params(), PROMPTS, VALID, key=jax.random.key(0),
    )  # fmt: skip
