"""Dynamic sampling as a mask: which groups stop counting."""

import jax
import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax import methods, transform
from rlvr_jax.methods.group_filter import group_filter

pytestmark = pytest.mark.usefixtures("quick_compile")

#               mixed    solved   unsolved  alone
REWARD = np.array([1, 0, 1, 1, 1, 1, -1, -1, 1])
GROUP = np.array([0, 0, 0, 1, 1, 1, 2, 2, 3])
MASK = np.array([[1, 1, 0]] * 9)


def filtered(reward=REWARD, group=GROUP, behind=(), **parameters):
  rollout = common.batch(0 * MASK, None, MASK, reward=reward, group=group)
  method = transform.chain(group_filter(**parameters), *behind)
  return jax.jit(lambda batch: common.prepared(method, batch))(rollout)


def test_groups_all_right_or_all_wrong_stop_counting():
  found = filtered()
  kept = np.array([1, 1, 1, 0, 0, 0, 0, 0, 1])
  np.testing.assert_array_equal(found.mask, MASK * kept[:, None])
  assert found.metrics["group_filter/kept_fraction"] == 0.5
  assert found.metrics["group_filter/solved_fraction"] == 0.25


def test_shaped_rewards_differ_where_right_answers_do_not():
  shaped = REWARD - 0.1 * (np.arange(9) % 3)
  right = filtered(shaped).mask.any(axis=1)
  np.testing.assert_array_equal(right, [1, 1, 1, 0, 0, 0, 0, 0, 1])
  every = filtered(shaped, metric="reward")
  np.testing.assert_array_equal(every.mask, MASK != 0)


def test_equal_fractions_are_equal_whatever_the_rounding():
  third = np.full(9, 0.1)
  found = filtered(third, np.zeros(9), metric="reward")
  assert not found.mask.any()


def test_what_is_kept_has_the_advantages_it_had():
  grpo = methods.make("grpo")
  found = filtered(behind=(grpo,))
  rollout = common.batch(0 * MASK, None, MASK, reward=REWARD, group=GROUP)
  plain = jax.jit(lambda batch: common.prepared(grpo, batch))(rollout)
  np.testing.assert_array_equal(found.advantages, plain.advantages)


def test_the_loss_is_a_mean_over_what_is_kept():
  found = filtered(behind=(methods.make("dr_grpo"),))
  logp = np.zeros(MASK.shape)
  _, gradient, _ = common.loss_and_grad(methods.make("dr_grpo"), found, logp)
  want = -np.asarray(found.advantages) / 8  # tokens of the four rows
  np.testing.assert_allclose(gradient, want, rtol=1e-6)


def test_replayed_rows_are_not_filtered():
  rollout = common.batch(0 * MASK, None, MASK, reward=REWARD, group=GROUP)
  rollout = rollout.replace(group=rollout.group.at[4].set(-1))
  found = common.prepared(group_filter(), rollout)
  np.testing.assert_array_equal(
    found.mask.any(axis=1), [1, 1, 1, 0, 1, 0, 0, 0, 1]
  )


def test_an_unknown_metric_is_named():
  with pytest.raises(ValueError, match=r"group_filter\.metric = 'acc' must"):
    group_filter(metric="acc")
