"""A table of bigrams learns by the same steps as a model."""

import jax.numpy as jnp
import numpy as np
import pytest

import rlvr_jax
from rlvr_jax import bigram

pytestmark = pytest.mark.usefixtures("quick_compile")

SMALL = dict(steps=60, prompts=4, per_prompt=8, length=4, vocabulary=6)
GRPO = rlvr_jax.make("grpo")
BONUS = rlvr_jax.make("aer", shape="linear", rate=0.1, target_ratio=0.95)


@pytest.fixture(scope="module")
def held():
  return bigram.train(rlvr_jax.chain(GRPO, BONUS), **SMALL)


def numbers(history, name):
  return np.asarray(history.metrics[name])


def test_the_task_is_learnt_and_the_method_keeps_its_state(held):
  reward, entropy = (
    numbers(held, k) for k in ("reward/mean", "policy/entropy")
  )
  assert len(reward) == 60
  assert reward[-10:].mean() > reward[:5].mean() + 0.3
  np.testing.assert_allclose(held.state["aer"].initial, entropy[0], rtol=1e-6)
  assert numbers(held, "aer/coef").max() > 0


@pytest.mark.long
def test_a_bonus_holds_entropy_that_grpo_alone_spends(held):
  alone = bigram.train(GRPO, **SMALL)
  first, last = numbers(alone, "policy/entropy")[[0, -1]]
  assert first == numbers(held, "policy/entropy")[0]
  assert numbers(alone, "reward/mean")[-10:].mean() > 0.9
  assert last < first - 0.3
  assert numbers(held, "policy/entropy")[-1] > last + 0.2


def test_three_even_tokens_in_four_are_right():
  said = jnp.array([[2, 4, 0, 1], [2, 4, 1, 1], [2, 2, 2, 2]])
  assert bigram.mostly_even(said).tolist() == [1, 0, 1]


@pytest.mark.parametrize(
  ("name", "lacks"),
  [
    ("seed_grpo", "Answer"),
    ("remax", "the draws of 'remax'"),
    ("prime", "the learner of 'prime'"),
  ],
)
def test_a_method_that_needs_a_real_run_is_refused(name, lacks):
  with pytest.raises(ValueError, match="experiments.train") as told:
    bigram.train(rlvr_jax.make(name), steps=1)
  assert lacks in str(told.value)
