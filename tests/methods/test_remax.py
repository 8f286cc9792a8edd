"""ReMax: which greedy response belongs to which row."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rlvr_jax
from golden_adapters import common
from rlvr_jax import methods, testing
from rlvr_jax.methods.remax import remax
from rlvr_jax.types import Clock, Draw

pytestmark = pytest.mark.usefixtures("quick_compile")

# Three prompts with two responses each, one more draw of the first two
# prompts, and the greedy responses.
GROUP = np.array([0, 0, 1, 1, 2, 2, 3, 4, 5, 6, 7])
PROMPT = np.array([0, 0, 1, 1, 2, 2, 0, 1, 0, 1, 2])
SOURCE = np.array([0] * 6 + [1] * 2 + [2] * 3)
REWARD = np.array([1, 0, 1, 0, 1, 0, 2, 2, 0.25, 0.5, 0.75])
DRAWS = (("main", 6), ("more", 2), ("remax", 3))


def prepared(batch, draws=DRAWS):
  prepare = jax.jit(rlvr_jax.prepare(remax(), draws))
  return prepare(batch, {"remax": ()}, Clock(0, 0, jax.random.key(0)))[0]


def rollout():
  mask = np.array([[1, 1, 0]] * len(GROUP))
  return common.batch(
    0 * mask,
    None,
    mask,
    reward=REWARD,
    group=GROUP,
    prompt=PROMPT,
    source=SOURCE,
  )


def test_the_reward_of_the_greedy_response_is_the_baseline():
  batch = prepared(rollout())
  want = [0.75, -0.25, 0.5, -0.5, 0.25, -0.75, 1.75, 1.5]
  np.testing.assert_allclose(batch.advantages[:, 0], want)
  np.testing.assert_array_equal(
    batch.advantages, batch.advantages[:, :1] * batch.mask
  )
  np.testing.assert_allclose(batch.metrics["remax/baseline"], 0.5)


def test_the_greedy_responses_are_not_trained_on():
  batch = prepared(rollout())
  np.testing.assert_array_equal(batch.source, SOURCE[:8])
  np.testing.assert_array_equal(batch.group, [0, 0, 2, 2, 4, 4, 6, 7])
  np.testing.assert_array_equal(batch.reward, REWARD[:8])


def test_responses_of_unknown_reward_do_not_shift_the_pairs():
  full = rollout()
  # Both responses to the first prompt, its other one, the second greedy one.
  lost = np.isin(np.arange(11), [0, 1, 6, 9])
  batch = prepared(
    full.replace(
      group=jnp.where(lost, -1, full.group),
      mask=full.mask & ~lost[:, None],
      reward=jnp.where(lost, 0.0, full.reward),
    )
  )
  want = [0, 0, 1.0, 0.0, 0.25, -0.75, 0, 2.0]
  np.testing.assert_allclose(batch.advantages[:, 0], want)
  np.testing.assert_array_equal(batch.group, [-1, -1, 2, 2, 4, 4, -1, 7])


def test_the_draw_is_greedy_and_whole():
  main = Draw(
    "main", 4, temperature=0.7, top_k=5, top_p=0.9, score_temperature=0.8
  )
  draws = remax().plan((main,), ())
  want = Draw("remax", 1, temperature=0.0, score_temperature=0.8)
  assert draws == (main, want)


def test_a_step_trains_on_the_rows_of_the_main_draw():
  outcome = testing.step(remax())
  assert outcome.batch.mask.shape[0] == 16
  assert np.abs(outcome.gradient).max() > 0


def test_rows_with_the_reward_of_the_greedy_one_have_no_advantage():
  full = rollout()
  batch = prepared(full.replace(reward=jnp.ones_like(full.reward)))
  assert not np.asarray(batch.advantages).any()


def test_another_source_of_advantages_is_refused():
  with pytest.raises(ValueError, match="'remax' and 'grpo' both set"):
    rlvr_jax.chain(remax(), methods.make("grpo"))
