"""COPO: two losses, blended by how much answers agree."""

import jax
import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax import transform
from rlvr_jax.methods.copo import BLEND, GLOBAL, copo
from rlvr_jax.methods.grpo import grpo
from rlvr_jax.methods.ppo_clip import ppo_clip
from rlvr_jax.notes import ANSWER

pytestmark = pytest.mark.usefixtures("quick_compile")

# Groups of four, two and one: unanimous, half and half, alone.
GROUP = [0, 0, 0, 0, 1, 1, 2]
ANSWERS = [5, 5, 5, 5, 0, 1, 3]
REWARD = np.array([1.0, 1, 1, 1, 1, 0, 0])
ONES = np.ones((7, 2))
# How local the pair that splits 1:1 is: a bit over the threshold.
SURE = 1 / (1 + np.exp(-1))


def batch(reward=REWARD, answers=ANSWERS, group=GROUP):
  return common.batch(
    0 * ONES,
    None,
    ONES,
    reward=reward,
    group=group,
    notes={ANSWER.key: np.array(answers)},
  )


def prepared(method, *args, **kwargs):
  return jax.jit(lambda b: common.prepared(method, b))(batch(*args, **kwargs))


def note(method, name, *args, **kwargs):
  return np.asarray(prepared(method, *args, **kwargs).notes[name])


def test_unanimous_prompts_learn_from_others_and_spread_ones_by_themselves():
  found = note(copo(), BLEND)
  sure, spread = 1 / (1 + np.exp(10)), 1 / (1 + np.exp(-10))
  want = [*[sure] * 4, spread, spread, sure]
  np.testing.assert_allclose(found, want, rtol=1e-5)
  metrics = prepared(copo()).metrics
  # Entropies of 0, 1 and 0 bits; only the second prompt has two rewards.
  np.testing.assert_allclose(metrics["copo/entropy"], 1 / 3, atol=1e-6)
  np.testing.assert_allclose(metrics["copo/flat_fraction"], 2 / 3, rtol=1e-6)


def test_prompts_weigh_the_same_whatever_their_rows():
  found = note(copo(), GLOBAL)
  # Mean rewards 1, 1/2 and 0: deviation 1/2 with one degree of freedom lost.
  np.testing.assert_allclose(found, [1, 1, 1, 1, 0, 0, -1], atol=1e-5)
  bare = note(copo(norm="none"), GLOBAL)
  np.testing.assert_allclose(bare, found / 2, atol=1e-5)


def test_equal_prompts_and_a_single_one_have_no_global_advantage():
  assert not note(copo(), GLOBAL, 0 * REWARD).any()
  assert not note(copo(), GLOBAL, group=[0] * 7).any()


@pytest.mark.parametrize(
  ("prompts", "rows", "right"), [(1, 12, 12), (1, 49, 49), (64, 6, 2)]
)
def test_rounding_gives_no_prompt_a_global_advantage(prompts, rows, right):
  group = np.repeat(np.arange(prompts), rows)
  rollout = common.batch(
    np.zeros((len(group), 1)),
    None,
    np.ones((len(group), 1)),
    reward=np.tile(np.arange(rows) < right, prompts),
    group=group,
    notes={ANSWER.key: np.tile(np.arange(rows), prompts)},
  )
  for given in ({}, {"norm": "none"}, {"reward_coef": True}):
    method = copo(**given)
    found = jax.jit(lambda b, m=method: common.prepared(m, b))(rollout)
    assert not np.asarray(found.notes[GLOBAL]).any()


def test_eight_answers_leave_an_eighth_of_the_reward():
  answers, group = np.arange(8), np.zeros(8, int)
  rollout = common.batch(
    np.zeros((8, 1)),
    None,
    np.ones((8, 1)),
    reward=np.arange(8) % 2,
    group=group,
    notes={ANSWER.key: answers},
  )
  for unit, entropy in (("bits", 3.0), ("nats", np.log(8))):
    method = copo(reward_coef=True, unit=unit)
    found = jax.jit(lambda b, m=method: common.prepared(m, b))(rollout).metrics
    np.testing.assert_allclose(found["copo/global_reward"], 0.5 / 8, rtol=1e-5)
    np.testing.assert_allclose(found["copo/entropy"], entropy, rtol=1e-5)


@pytest.mark.parametrize(
  ("mode", "want"),
  [
    # Half and half at the threshold of 0 bits for the unanimous.
    ("only_soft", [0.5, 0.5, 0.5, 0.5, SURE, SURE, 0.5]),
    ("only_soft_with_coef", [0.5, 0.5, 0.5, 0.5, SURE, SURE, 0.5]),
    ("soft_with_forced", [0, 0, 0, 0, SURE, SURE, 0]),
    ("only_forced", [0, 0, 0, 0, 1, 1, 0]),
    ("soft_with_zero", [0.5, 0.5, 0.5, 0.5, SURE, 0, 0]),
    ("only_zero", [1, 1, 1, 1, 1, 0, 0]),
    ("no_global", [1] * 7),
    ("only_global", [0] * 7),
  ],
)
def test_the_modes_are_their_gates(mode, want):
  found = note(copo(mode, slope=1.0, threshold=0.0), BLEND)
  np.testing.assert_allclose(found, want, rtol=1e-5)


def loss_and_grad(method):
  dice = np.random.default_rng(0)
  logp = np.float32(0.8 * dice.normal(size=ONES.shape))
  return common.loss_and_grad(method, prepared(method), logp)[:2]


def test_without_the_global_part_it_is_grpo_with_the_dual_clip():
  found = loss_and_grad(copo("no_global"))
  want = loss_and_grad(transform.chain(grpo(), ppo_clip(dual=3.0)))
  for got, expected in zip(found, want):
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_the_loss_is_linear_in_the_weight_of_the_two():
  half = {"slope": 0.0}  # a weight of 1/2 everywhere
  local, others = (
    loss_and_grad(copo(mode)) for mode in ("no_global", "only_global")
  )
  for factor, method in (
    (1.0, copo(**half)),
    (0.25, copo("only_soft_with_coef", coef=0.25, **half)),
  ):
    for got, a, b in zip(loss_and_grad(method), local, others):
      want = (a + factor * b) / 2
      np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-7)


def test_a_wrong_unanimous_prompt_is_pushed_where_grpo_stands_still():
  reward = [0.0, 0, 0, 0, 1, 0, 1]
  rows = slice(4)
  _, still, _ = common.loss_and_grad(grpo(), prepared(grpo(), reward), 0 * ONES)
  _, found, _ = common.loss_and_grad(copo(), prepared(copo(), reward), 0 * ONES)
  assert not np.asarray(still)[rows].any()
  assert (np.asarray(found)[rows] > 0).all()


def test_the_released_branch_without_deviation_has_no_local_advantages():
  assert not np.asarray(prepared(copo(norm="released")).advantages).any()
  assert np.asarray(prepared(copo(norm="none")).advantages).any()


def test_responses_without_an_answer_share_a_class():
  answers = [5, 5, -1, -1, 0, 1, 3]
  found = note(copo(slope=1.0, threshold=0.0), BLEND, answers=answers)
  np.testing.assert_allclose(found[:4], 1 / (1 + np.exp(-1)), rtol=1e-5)


def test_rows_without_a_prompt_keep_advantage_and_local_loss():
  rollout = batch()
  rollout = rollout.replace(
    group=rollout.group.at[6].set(-1),
    advantages=rollout.advantages.at[6].set(2.0),
  )
  found = jax.jit(lambda b: common.prepared(copo(), b))(rollout)
  assert found.notes[BLEND][6] == 1 and found.notes[GLOBAL][6] == 0
  np.testing.assert_array_equal(found.advantages[6], 2)


@pytest.mark.parametrize(
  "wrong",
  [
    {"mode": "soft"},
    {"norm": "mad"},
    {"unit": "digits"},
    {"slope": -1.0},
    {"coef": -1.0},
    {"dual": 1.0},
    {"epsilon": 0.0},
  ],
)
def test_a_parameter_out_of_range_is_named(wrong):
  with pytest.raises(ValueError, match=rf"copo\.{next(iter(wrong))} = "):
    copo(**wrong)
