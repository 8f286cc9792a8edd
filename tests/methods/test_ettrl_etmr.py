"""ETTRL-ETMR: where responses branch, who votes, and what the trees cost."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax import testing, transform
from rlvr_jax.methods.ettrl_ear import ettrl_ear
from rlvr_jax.methods.ettrl_etmr import SCORES, ettrl_etmr
from rlvr_jax.methods.grpo import grpo
from rlvr_jax.methods.ttrl import ttrl
from rlvr_jax.models import DecoderConfig, Transformer
from rlvr_jax.notes import ANSWER
from rlvr_jax.sampling import sampler
from rlvr_jax.training import measures
from rlvr_jax.types import Draw, Parent

pytestmark = pytest.mark.usefixtures("quick_compile")

NATS = [0.5, 2.0, 0.1, 2.0, 1.0, 9.0, 0.0, 0.0]
LOGP = [-0.5, -3.0, -0.1, -2.0, -4.0, -9.0, 0.0, 0.0]


def leaves(**given):
  """The draw of branches off four responses."""
  main = Draw("main", 4, temperature=0.7, top_k=3)
  return ettrl_etmr(**given).plan((main,), ())[1:]


def cuts(length=6, nats=NATS, **given):
  """Where a response of so many tokens is cut."""
  (draw,) = leaves(**given)
  parent = Parent(
    tokens=jnp.zeros(8, jnp.int32),
    mask=jnp.arange(8) < length,
    stats={
      SCORES["entropy"]: jnp.float32(nats),
      SCORES["surprisal"]: jnp.float32(LOGP),
    },
    key=jax.random.key(0),
    prompt=jnp.int32(3),
    vocabulary=16,
  )
  return draw.cut(parent, draw.per_prompt // 4).tolist()


def test_responses_branch_where_their_entropy_is_largest_but_not_at_the_end():
  assert cuts() == [1, 1, 3, 3]
  assert cuts(forks=3, branches=1) == [1, 3, 4]
  assert cuts(length=4) == [1, 1, 0, 0]
  # Of equal ones the earlier.
  assert cuts(nats=[1.0] * 8, forks=3, branches=1) == [0, 1, 2]


def test_a_response_may_be_judged_by_how_surprising_its_tokens_were():
  assert cuts(score="surprisal") == [4, 4, 1, 1]


def test_positions_keep_their_distance():
  assert cuts(gap=1, branches=1, forks=3) == [1, 3, 0]
  assert cuts(gap=2, branches=1) == [1, 4]


def test_what_a_short_response_lacks_is_begun_anew():
  assert cuts(length=3, forks=4, branches=2) == [1, 1, 0, 0, 0, 0, 0, 0]
  assert cuts(length=1) == [0, 0, 0, 0]


def test_branches_are_sampled_as_the_main_draw_and_are_so_many():
  (draw,) = leaves(forks=3, branches=5)
  assert draw.per_prompt == 4 * 15 and draw.parent == "main"
  assert (draw.temperature, draw.top_k) == (0.7, 3)
  assert draw.copies_count
  (draw,) = leaves(prefix="once")
  assert not draw.copies_count
  assert not leaves(forks=0) and not leaves(branches=0)


def test_all_leaves_of_a_prompt_vote_and_are_compared_together():
  method = transform.chain(ettrl_etmr(), ttrl(), grpo(), ettrl_ear())
  example = testing.tiny(method, prompts=2, per_prompt=3)
  assert len(example.batch.group) == 2 * 3 * 5
  found = testing.step(method, example)
  answer, group = example.batch.notes[ANSWER.key], example.batch.group
  for number in range(2):
    rows = np.asarray(group) == number
    assert rows.sum() == 15
    votes = np.asarray(answer)[rows]
    reward = np.asarray(found.batch.reward)[rows]
    # One answer won, with all the votes that it had.
    (won,) = set(votes[reward > 0])
    np.testing.assert_array_equal(reward, votes == won)
    counts = np.bincount(votes[votes >= 0])
    assert counts[won] == counts.max()


# Two trees of three leaves and one of a single response.
PARENT, COPIED = [-1, 0, 0, -1, 3, 3, 3], [0, 2, 2, 0, 1, 1, 0]


def voted(answers, votes="tree", parent=PARENT, copied=COPIED):
  rows = len(answers)
  batch = common.batch(
    np.zeros((rows, 1)),
    None,
    np.ones((rows, 1)),
    reward=np.zeros(rows),
    notes={ANSWER.key: np.array(answers)},
  ).replace(
    parent=jnp.array(parent, jnp.int32), copied=jnp.array(copied, jnp.int32)
  )
  return jax.jit(lambda b: common.prepared(ttrl(votes=votes), b))(batch)


def test_a_tree_may_have_one_vote_and_a_branch_after_nothing_its_own():
  # Three leaves of one tree against two trees of other mind.
  answers = [5, 5, 5, 2, 2, 5, 2]
  np.testing.assert_array_equal(
    voted(answers, "leaf").reward, [1, 1, 1, 0, 0, 1, 0]
  )
  found = voted(answers)
  np.testing.assert_array_equal(found.reward, [0, 0, 0, 1, 1, 0, 1])
  share = found.metrics["ttrl/tree_majority_fraction"]
  np.testing.assert_allclose(share, (2 / 3 + 1) / 3, rtol=1e-6)
  np.testing.assert_allclose(found.metrics["ttrl/majority_fraction"], 3 / 7)


def test_a_tree_of_many_leaves_ties_with_a_single_response():
  # Twelve times a twelfth are a little less than 1 in float32.
  rows = np.arange(13)
  found = voted(
    [7] * 12 + [3],
    parent=np.where((rows > 0) & (rows < 12), 0, -1),
    copied=(rows > 0) & (rows < 12),
  )
  np.testing.assert_array_equal(found.reward, rows < 12)


def test_leaves_without_an_answer_leave_the_vote_of_their_tree_to_the_others():
  found = voted([-1, 4, -1, 7, 7, 7, -1])
  # The trees tie, the first one wins; the response without answer has a tree.
  np.testing.assert_array_equal(found.reward, [0, 1, 0, 0, 0, 0, 0])
  share = found.metrics["ttrl/tree_majority_fraction"]
  np.testing.assert_allclose(share, 1 / 3, rtol=1e-6)


# What the trees cost, by the sampler itself.

LENGTH, PROMPTS, ROOTS = 40, 8, 6


@functools.cache
def sampled(forks, branches):
  """Trees of responses that all have LENGTH tokens, forked at random.

  The published share takes positions as spread evenly over the response; the
  sampler is told entropies that are.
  """
  model = Transformer(
    DecoderConfig(
      vocabulary=9, width=8, layers=1, heads=1, kv_heads=1, head_dim=8,
      hidden=8,
    )
  )  # fmt: skip
  main = Draw("main", ROOTS)
  (draw,) = ettrl_etmr(forks=forks, branches=branches).plan((main,), ())[1:]

  def even(parent, count):
    nats = jax.random.uniform(parent.key, parent.mask.shape)
    return draw.cut(parent._replace(stats={SCORES["entropy"]: nats}), count)

  run = functools.partial(
    sampler.rollout, draws=(main, draw._replace(cut=even)), model=model,
    length=LENGTH, ends=sampler.Ends((), 0), block=44,
  )  # fmt: skip
  prompts = jnp.ones((PROMPTS, 4), jnp.int32)
  given = model.init(jax.random.key(0)), prompts, prompts > 0
  program = jax.jit(run).lower(*given, key=jax.random.key(1)).compile()
  batch = program(*given, key=jax.random.key(1))
  return jax.device_get(batch), measures.trees(batch), program.as_text()


def published(forks, branches):
  leaves = forks * branches
  return (1 + leaves / 2) / (1 + leaves)


def test_trees_sample_the_published_share_of_as_many_whole_responses():
  batch, found, _ = sampled(2, 2)
  whole = PROMPTS * ROOTS * 5 * LENGTH
  assert found["rollout/sampled_tokens"] + found["rollout/copied_tokens"] == (
    whole
  )
  # Positions lie in 0 ... LENGTH - 2, so the mean branch samples a token more
  # than half; the rest is chance: 96 positions, a branch of 4/5 of the leaves.
  want = published(2, 2) + 4 / 5 / LENGTH
  chance = 4 / 5 / np.sqrt(12 * PROMPTS * ROOTS * 2)
  assert abs(found["rollout/sampled_fraction"] - want) < 3 * chance
  assert published(2, 2) == 0.6 and published(3, 2) == pytest.approx(4 / 7)
  started = int((batch.copied > 0).sum())
  assert found["rollout/branches"] == started > 0.9 * PROMPTS * ROOTS * 4
  assert found["rollout/roots"] + started == PROMPTS * ROOTS * 5


def test_what_is_counted_is_what_the_rows_hold():
  batch, found, _ = sampled(2, 2)
  np.testing.assert_array_equal(batch.mask.sum(axis=1), LENGTH)
  # By origin: every token that a row sampled itself, once.
  own = np.arange(LENGTH) >= batch.copied[:, None]
  assert found["rollout/sampled_tokens"] == own.sum()
  assert measures.tokens(batch) == own.sum()


def test_the_cache_goes_through_no_condition():
  """What a condition hands on is copied: the cache of all rows, for each."""
  batch, _, program = sampled(2, 2)
  rows = len(batch.group)
  # Of keys and of values: layers, rows, heads, then head size and positions.
  cache = [f"f32[1,{rows},1,8,44]", f"f32[1,{rows},1,44,8]"]
  lines = program.splitlines()
  for shape in cache:
    holding = [line for line in lines if shape in line]
    assert any(" while(" in line for line in holding)
    assert not any(" conditional(" in line for line in holding)


def test_with_leaves_as_long_as_their_roots_the_share_is_that_of_the_paper():
  """Roots of random lengths, positions spread evenly over each."""
  dice, forks, branches = np.random.default_rng(0), 3, 2
  roots, each = 400, forks * branches
  length = dice.integers(1000, 3000, roots)
  copied = dice.random((roots, each)) * length[:, None]
  ends = np.concatenate([length, np.repeat(length, each)])
  rows = len(ends)
  batch = common.batch(
    np.zeros((rows, 3000)), None, np.arange(3000) < ends[:, None]
  ).replace(
    parent=jnp.concatenate(
      [jnp.full(roots, -1), jnp.repeat(jnp.arange(roots), each)]
    ),
    copied=jnp.asarray(np.append(np.zeros(roots), copied), jnp.int32),
  )
  share = measures.trees(batch)["rollout/sampled_fraction"]
  chance = 6 / 7 / np.sqrt(12 * roots * each)
  assert abs(share - published(forks, branches)) < 3 * chance


@pytest.mark.parametrize(
  "wrong",
  [
    {"forks": -1},
    {"branches": -1},
    {"gap": -1},
    {"score": "nll"},
    {"prefix": "never"},
  ],
)
def test_a_parameter_out_of_range_is_named(wrong):
  with pytest.raises(ValueError, match=rf"ettrl_etmr\.{next(iter(wrong))} = "):
    ettrl_etmr(**wrong)


def test_unknown_votes_are_refused():
  with pytest.raises(ValueError, match=r"ttrl\.votes = 'root' must be in"):
    ttrl(votes="root")
