"""Exploration bonuses: who is paid, in which episode and over all training."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rlvr_jax
from golden_adapters import common
from rlvr_jax.methods.exploration_bonuses import exploration_bonuses
from rlvr_jax.notes import Hashed
from rlvr_jax.stats import Features
from rlvr_jax.types import Clock

pytestmark = pytest.mark.usefixtures("quick_compile")

X, Y = (1.0, 0.0), (0.0, 1.0)
PLAIN = dict(coef=1.0, norm="none", gate="all", scaling="raw", size=2)
COUNTS = dict(coef=1.0, norm="none", gate="all", slots=16)


def run(rollouts, **parameters):
  """The batches after the method, one of the dicts of `batch_of` a step."""
  method = exploration_bonuses(**parameters)
  prepare = jax.jit(rlvr_jax.prepare(method))
  state, found = rlvr_jax.chain(method).init(None), []
  for step, given in enumerate(rollouts):
    clock = Clock(step, 0, jax.random.key(0))
    batch, state = prepare(batch_of(method, **given), state, clock)
    found.append(batch)
  return found, state[method.name]


def batch_of(
  method, states=None, keys=None, group=None, reward=None, mask=None, old=None
):
  rows = len(keys if states is None else states)
  stats, notes = {}, {}
  for need in method.needs:
    if isinstance(need.stat, Features):
      states = np.asarray(states, np.float32)
      if states.ndim == 2:
        states = states[:, None]
      stats[need.key] = states
    if isinstance(need.stat, Hashed):
      notes[need.key] = np.zeros(rows) if keys is None else np.array(keys)
  length = 1 if states is None else states.shape[1]
  flat = np.zeros((rows, length))
  batch = common.batch(
    flat,
    old,
    flat + 1 if mask is None else mask,
    reward=np.zeros(rows) if reward is None else reward,
    group=group,
    stats=stats,
    notes={k: v.astype(np.int32) for k, v in notes.items()},
  )
  if group is not None:
    batch = batch.replace(group=jnp.asarray(group, jnp.int32))
  return batch


def paid(given, **parameters):
  ((batch,), _) = run([given], **parameters)
  return np.asarray(batch.reward)


def test_a_copy_is_paid_less_than_one_without_likeness():
  found = paid(dict(states=[X, X, Y]), **PLAIN, global_bonus="none")
  # Against one copy, and against two states without a share in it.
  np.testing.assert_allclose(found, [1 / 1.1, 1 / 1.1, 10], rtol=1e-5)


def test_in_sequence_the_first_of_a_group_gets_nothing_and_then_each_its_due():
  how = PLAIN | dict(global_bonus="none", order="sequential")
  given = dict(states=[X, Y, X, Y, X], group=[0, 3, 0, 0, 3])
  np.testing.assert_allclose(
    paid(given, **how), [0, 0, 1 / 1.1, 10, 10], rtol=1e-5
  )
  found = paid(given, **how, first_zero=False)
  np.testing.assert_allclose(found, [10, 10, 1 / 1.1, 10, 10], rtol=1e-5)


def test_with_itself_included_the_bonus_is_its_share():
  how = PLAIN | dict(global_bonus="none", covariance="including")
  found = paid(dict(states=[X, X, Y]), **how)
  np.testing.assert_allclose(found, [1 / 2.1, 1 / 2.1, 10 / 11], rtol=1e-5)


def test_going_in_circles_within_a_response_is_paid_less():
  how = PLAIN | dict(
    global_bonus="none", episode="response", every=1, first_zero=False
  )
  states = [[X, X, X], [X, Y, X], [X, Y, Y]]
  found = paid(dict(states=states, mask=[[1, 1, 1]] * 2 + [[1, 1, 0]]), **how)
  circle = [10, 1 / 1.1, 1 / 2.1]
  want = [np.mean(circle), (10 + 10 + 1 / 1.1) / 3, 10]
  np.testing.assert_allclose(found, want, rtol=1e-5)


def test_states_are_taken_every_so_many_counted_tokens():
  how = PLAIN | dict(
    global_bonus="none", episode="response", every=2, first_zero=False
  )
  # The places of the counted tokens are 0, 2, 3, 4: states of 0 and 3.
  states = [[X, Y, Y, X, Y]]
  found = paid(dict(states=states, mask=[[1, 0, 1, 1, 1]]), **how)
  np.testing.assert_allclose(found, [(10 + 1 / 1.1) / 2], rtol=1e-5)


def test_a_state_without_scale_or_centre_in_common_is_paid_the_same():
  dice = np.random.default_rng(0)
  states = dice.normal(size=(6, 3))
  how = dict(coef=1.0, norm="none", gate="all", size=3, global_bonus="none")
  turn = np.linalg.qr(dice.normal(size=(3, 3)))[0]
  np.testing.assert_allclose(
    paid(dict(states=5 * states @ turn + 2), **how),
    paid(dict(states=states), **how),
    rtol=1e-5,
  )


def test_rows_in_another_order_are_paid_the_same():
  dice = np.random.default_rng(1)
  states, order = dice.normal(size=(7, 2)), dice.permutation(7)
  keys, group = np.array([0, 1, 1, 2, 3, 3, 3]), np.array([0, 0, 0, 1, 1, 1, 1])
  first = paid(dict(states=states, keys=keys, group=group), **PLAIN)
  again = paid(
    dict(states=states[order], keys=keys[order], group=group[order]), **PLAIN
  )
  np.testing.assert_allclose(again, first[order], rtol=1e-5)


def test_a_key_is_counted_over_all_steps_and_its_first_visit_is_worth_one():
  how = COUNTS | dict(episodic_bonus="none")
  given = dict(keys=[3, 3, 5, -1])
  batches, state = run([given, given], **how)
  np.testing.assert_array_equal(batches[0].reward, [1, 1, 1, 0])
  roots = np.sqrt([1 / 3, 1 / 3, 1 / 2])
  np.testing.assert_allclose(batches[1].reward, [*roots, 0], rtol=1e-6)
  np.testing.assert_array_equal(state.visits[np.array([3, 5, 0])], [4, 2, 0])
  news = [b.metrics["exploration_bonuses/new_fraction"] for b in batches]
  assert news == [1, 0]


def test_in_sequence_equal_keys_of_a_step_are_counted_one_after_the_other():
  how = COUNTS | dict(episodic_bonus="none", order="sequential")
  found = paid(dict(keys=[3, 5, 3], group=[0, 0, 1]), **how)
  np.testing.assert_allclose(found, [1, 1, np.sqrt(1 / 2)], rtol=1e-6)


def test_the_product_is_nothing_for_what_the_group_has_twice():
  how = COUNTS | dict(episodic_bonus="indicator")
  given = dict(keys=[1, 1, 2, 1], group=[0, 0, 0, 1])
  batches, _ = run([given, given], **how)
  np.testing.assert_array_equal(batches[0].reward, [0, 0, 1, 1])
  np.testing.assert_allclose(
    batches[1].reward, [0, 0, np.sqrt(1 / 2), 1 / 2], rtol=1e-6
  )


def test_a_count_in_the_group_is_divided_among_all_who_give_the_answer():
  how = COUNTS | dict(episodic_bonus="count", global_bonus="none")
  found = paid(dict(keys=[7, 7, 7, 2, -1, -1]), **how)
  want = [*np.sqrt([1 / 3] * 3), 1, 0, 0]
  np.testing.assert_allclose(found, want, rtol=1e-6)


def test_two_keys_of_one_slot_are_paid_as_one():
  apart, together = (
    paid(dict(keys=keys), **COUNTS | dict(episodic_bonus="indicator"))
    for keys in ([1, 2], [1, 1])
  )
  assert (together <= apart).all() and together.sum() < apart.sum()


def test_both_bonuses_may_be_added():
  how = COUNTS | dict(episodic_bonus="indicator", combine="add")
  found = paid(dict(keys=[1, 1, 2]), **how, global_coef=0.5)
  np.testing.assert_allclose(found, [0.5, 0.5, 1.5], rtol=1e-6)


def test_a_predictor_that_learns_finds_what_it_saw_less_new():
  how = dict(
    coef=1.0, norm="none", gate="all", size=2, episodic_bonus="none",
    global_bonus="noveld", noveld_scale=0.0, scaling="raw", rate=0.03,
  )  # fmt: skip
  often, last = dict(states=[X, X]), dict(states=[X, Y])
  batches, _ = run([last] + [often] * 40 + [last], **how)
  first, then = np.asarray(batches[0].reward), np.asarray(batches[-1].reward)
  assert then[0] < 0.2 * first[0]
  assert then[1] > 2 * then[0]
  errors = [b.metrics["exploration_bonuses/prediction_error"] for b in batches]
  assert errors[-2] < errors[0]


def test_noveld_counts_what_the_response_adds_to_the_prompt():
  how = dict(
    coef=1.0, norm="none", gate="all", size=2, episodic_bonus="none",
    global_bonus="noveld", noveld_scale=1.0, scaling="raw", pool="last",
  )  # fmt: skip
  # The second response ends where it began.
  found = paid(dict(states=[[X, Y], [X, X], [Y, X]]), **how)
  assert found[1] == 0 and (found >= 0).all()
  assert found[0] > 0 or found[2] > 0


def test_bonuses_are_divided_by_their_running_deviation():
  how = COUNTS | dict(episodic_bonus="indicator", norm="elements")
  given = dict(keys=[1, 1, 2, 3])
  batches, state = run([given], **how)
  std = np.std([0, 0, 1, 1])
  np.testing.assert_allclose(batches[0].reward, [0, 0, 1 / std, 1 / std])
  np.testing.assert_allclose(state.moments.std, std, rtol=1e-6)


def test_over_steps_the_deviation_is_that_of_the_released_code():
  how = COUNTS | dict(episodic_bonus="indicator", norm="steps")
  given = dict(keys=[1, 1, 2, 3], group=[0, 0, 1, 1])
  _, state = run([given], **how)
  # The sum over two episodes, divided by the two steps of one.
  want = np.sqrt(((np.array([0, 0, 1, 1]) - 1) ** 2).sum() / 2)
  np.testing.assert_allclose(state.moments.std, want, rtol=1e-6)


def test_equal_bonuses_are_not_blown_up_by_their_rounding():
  states = np.random.default_rng(0).normal(size=(6, 8))
  how = dict(coef=1.0, gate="all", size=8, global_bonus="none")
  # Each alone in its group: all are 1 / ridge but for rounding.
  found = paid(dict(states=states, group=np.arange(6)), **how)
  np.testing.assert_allclose(found, 10, rtol=1e-4)


def test_the_gate_pays_right_responses_only():
  reward = np.float32([1, 0, -1])
  how = COUNTS | dict(gate="correct", episodic_bonus="none")
  found = paid(dict(keys=[1, 2, 3], reward=reward), **how)
  np.testing.assert_array_equal(found, [2, 0, -1])


def test_an_advantage_grows_by_a_share_of_its_size_and_turns_no_sign():
  how = COUNTS | dict(coef=0.5, target="advantage", episodic_bonus="none")
  old = [[-4.0], [-0.5], [0.0], [3.0]]
  ((batch,), _) = run([dict(keys=[1, 2, 3, 4], old=old)], **how)
  np.testing.assert_allclose(batch.advantages, [[-3.5], [-0.25], [0.0], [3.5]])
  assert not np.asarray(batch.reward).any()


def test_tokens_get_the_bonus_of_the_latest_state():
  how = PLAIN | dict(
    coef=1.0, global_bonus="none", episode="response", every=2,
    target="advantage", covariance="including",
  )  # fmt: skip
  states = [[X, X, X, Y, Y]]
  given = dict(states=states, old=[[9.0] * 5], mask=[[1, 1, 1, 0, 1]])
  ((batch,), _) = run([given], **how)
  again = 1 / 2.1  # of the state before the third token
  np.testing.assert_allclose(
    batch.advantages, [[9, 9, 9 + again, 0, 9 + again]], rtol=1e-5
  )


def test_rows_without_a_group_neither_pay_nor_count():
  given = dict(states=[X, X, Y], keys=[1, 1, 2], group=[0, -1, 0])
  batches, state = run([given], **PLAIN)
  np.testing.assert_allclose(batches[0].reward, [10, 0, 10], rtol=1e-5)
  np.testing.assert_array_equal(state.visits[:3], [0, 1, 1])


@pytest.mark.parametrize(
  ("name", "wrong"),
  [
    ("episodic_bonus", {"episodic_bonus": "rnd"}),
    ("episodic_bonus", {"episodic_bonus": "count", "episode": "response"}),
    ("global_bonus", {"global_bonus": "e3b"}),
    ("global_bonus", {"global_bonus": "none", "episodic_bonus": "none"}),
    ("global_bonus", {"global_bonus": "none", "combine": "add"}),
    ("combine", {"combine": "max"}),
    ("episode", {"episode": "batch"}),
    ("order", {"order": "random"}),
    ("covariance", {"covariance": "after"}),
    ("key", {"key": "prompt"}),
    ("pool", {"pool": "first"}),
    ("scaling", {"scaling": "std"}),
    ("error", {"error": "abs"}),
    ("norm", {"norm": "std"}),
    ("gate", {"gate": "wrong"}),
    ("target", {"target": "loss"}),
    ("coef", {"coef": -1.0}),
    ("coef", {"coef": 2.0, "target": "advantage"}),
    ("global_coef", {"global_coef": -1.0, "combine": "add"}),
    ("ridge", {"ridge": 0.0}),
    ("size", {"size": 0}),
    ("every", {"every": 0}),
    ("decay", {"decay": 1.0}),
    ("slots", {"slots": 0}),
    ("noveld_scale", {"noveld_scale": -0.1}),
    ("rate", {"rate": 0.0}),
  ],
)
def test_what_is_out_of_range_is_named(name, wrong):
  with pytest.raises(ValueError, match=rf"exploration_bonuses\.{name} = "):
    exploration_bonuses(**wrong)
