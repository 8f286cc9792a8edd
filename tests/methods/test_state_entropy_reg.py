"""State entropy: which responses are paid, and how much."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rlvr_jax
from golden_adapters import common
from rlvr_jax.methods.dr_grpo import dr_grpo
from rlvr_jax.methods.state_entropy_reg import BLOCK, state_entropy_reg
from rlvr_jax.stats import Features
from rlvr_jax.types import Clock, Need

pytestmark = pytest.mark.usefixtures("quick_compile")

# A response with this state everywhere, and one apart from it.
SAME, APART = (1.0, 0.0), (-1.0, 0.5)


def prepared(states, step=0, mask=None, group=None, reward=None, **parameters):
  """The batch after the method; states is [B, T, 2] or [B, 2]."""
  states = jnp.asarray(states, jnp.float32)
  if states.ndim == 2:
    states = jnp.repeat(states[:, None], 2, axis=1)
  size = states.shape[-1]
  how = dict(gate="all", coef_start=1.0, coef_end=1.0, size=size)
  method = state_entropy_reg(**how | parameters)
  rows = states.shape[:2]
  batch = common.batch(
    np.zeros(rows),
    None,
    np.ones(rows) if mask is None else mask,
    group=group,
    reward=np.zeros(rows[0]) if reward is None else reward,
    stats={Need(Features(size), when="rollout").key: states},
  )
  if group is not None:
    batch = batch.replace(group=np.asarray(group, np.int32))
  clock = Clock(step, 0, jax.random.key(0))
  return rlvr_jax.prepare(method)(batch, {method.name: ()}, clock)[0]


def paid(states, **how):
  return np.asarray(prepared(states, **how).reward)


def test_copies_get_no_bonus_and_the_one_apart_gets_all():
  # b = 0, 0, 0, 0, b: the mean is b / 5, the deviation 2 b / 5.
  found = paid([SAME, SAME, APART, SAME, SAME], neighbour=3)
  np.testing.assert_allclose(found, [-0.5, -0.5, 2, -0.5, -0.5], rtol=1e-4)


def test_without_more_particles_than_neighbours_nothing_is_paid():
  found = prepared([SAME, APART, SAME], neighbour=3)
  assert not np.asarray(found.reward).any()
  assert found.metrics["state_entropy_reg/bonus"] == 0


def test_the_bonus_is_the_logarithm_of_one_plus_the_distance():
  # Two opposite points on the circle, once centred and scaled.
  metrics = prepared([SAME, APART], neighbour=1).metrics
  found = metrics["state_entropy_reg/bonus"]
  np.testing.assert_allclose(found, np.log(3), rtol=1e-6)


def test_the_mean_distance_counts_every_neighbour_up_to_the_last():
  states = [SAME, SAME, APART, APART]
  nearest, mean = (
    prepared(states, neighbour=2, mean_distance=by).metrics[
      "state_entropy_reg/bonus"
    ]
    for by in (False, True)
  )
  # The copy is at 0 and the next at 2.
  np.testing.assert_allclose([nearest, mean], np.log([3, 2]), rtol=1e-6)


def test_moving_a_particle_away_raises_its_pay():
  at = lambda angle: (np.cos(angle), np.sin(angle))
  ring = [at(a) for a in (0.0, 2.0, 4.0)]
  near, far = (paid([*ring, at(a)], neighbour=1)[3] for a in (4.1, 4.9))
  assert far > near


def test_pay_does_not_depend_on_rotation_shift_or_order():
  dice = np.random.default_rng(0)
  states = dice.normal(size=(6, 3))
  turn = np.linalg.qr(dice.normal(size=(3, 3)))[0]
  first = paid(states, neighbour=2)
  moved = paid(states @ turn + 3, neighbour=2)
  np.testing.assert_allclose(moved, first, atol=2e-4)
  order = dice.permutation(6)
  shuffled = paid(states[order], neighbour=2)
  np.testing.assert_allclose(shuffled, first[order], atol=2e-4)


def test_only_the_own_group_counts_unless_the_population_is_the_batch():
  states = [SAME, SAME, APART, APART]
  group = [0, 1, 0, 1]
  how = dict(group=group, neighbour=1)
  by = lambda population: prepared(states, population=population, **how)
  found = by("group").metrics["state_entropy_reg/bonus"]
  np.testing.assert_allclose(found, np.log(3), rtol=1e-6)
  assert by("batch").metrics["state_entropy_reg/bonus"] == 0


def test_rows_without_a_group_neither_pay_nor_count():
  states = [SAME, SAME, SAME, APART]
  found = prepared(states, group=[0, 0, 0, -1], neighbour=1)
  assert not np.asarray(found.reward).any()
  assert found.metrics["state_entropy_reg/bonus"] == 0


def test_the_gate_pays_right_answers_only():
  reward = np.float32([1, 0, 1, 0, 1])
  states = [SAME, SAME, APART, SAME, APART]
  change = paid(states, reward=reward, gate="correct", neighbour=2) - reward
  every = paid(states, reward=reward, gate="all", neighbour=2) - reward
  np.testing.assert_allclose(change, reward * every, atol=1e-6)
  assert every[1] != 0


def test_the_coefficient_moves_linearly_and_then_stays():
  how = dict(coef_start=1.0, coef_end=0.5, steps=100)
  found = [
    float(
      prepared([SAME, APART], step=step, neighbour=1, **how).metrics[
        "state_entropy_reg/coef"
      ]
    )
    for step in (0, 50, 100, 1000)
  ]
  assert found == [1.0, 0.75, 0.5, 0.5]


def test_the_last_token_alone_counts_if_asked():
  # Equal last tokens, different means.
  states = np.float32([[APART, SAME], [SAME, SAME], [SAME, (9, 9)]])
  mask = np.array([[1, 1], [1, 1], [1, 0]])
  how = dict(mask=mask, neighbour=1)
  found = prepared(states, granularity="last", **how).metrics
  assert found["state_entropy_reg/bonus"] == 0
  found = prepared(states, granularity="response", **how).metrics
  assert found["state_entropy_reg/bonus"] > 0


def test_chunks_are_paid_on_their_own_tokens():
  # Four chunks of two tokens; the second of row 0 is apart from the others.
  states = np.float32([[SAME, SAME, APART, APART], [SAME] * 4])
  mask = np.array([[1, 1, 1, 0], [1, 1, 1, 1]])
  found = prepared(states, granularity="chunk", chunk=2, neighbour=1, mask=mask)
  assert not np.asarray(found.reward).any()
  # b = ln 3 against three zeros: less the mean of the group.
  high, low = 0.75 * np.log(3), -0.25 * np.log(3)
  want = [[low, low, high, 0], [low] * 4]
  np.testing.assert_allclose(found.advantages, want, rtol=1e-5)


def test_later_chunks_are_discounted():
  states = np.float32([[SAME, APART], [SAME, SAME]])
  how = dict(granularity="chunk", chunk=1, neighbour=1)
  found = prepared(states, discount=0.5, **how).metrics
  whole = prepared(states, **how).metrics
  name = "state_entropy_reg/bonus"
  np.testing.assert_allclose(found[name], whole[name] / 2, rtol=1e-6)


def test_all_right_groups_move_by_the_coefficient_under_dr_grpo():
  states = np.random.default_rng(0).normal(size=(6, 2, 2)).astype(np.float32)
  ones = np.ones((6, 2))
  key = Need(Features(2), when="rollout").key
  batch = common.batch(
    0 * ones, None, ones, reward=np.ones(6), stats={key: states}
  )
  found = [
    np.asarray(
      common.prepared(
        rlvr_jax.chain(
          state_entropy_reg(coef_start=c, coef_end=c, size=2), dr_grpo()
        ),
        batch,
      ).advantages
    )
    for c in (0.125, 1.0)
  ]
  assert np.abs(found[1]).max() > 0.5
  np.testing.assert_allclose(found[0], found[1] / 8, atol=1e-6)


def test_of_many_particles_distances_are_made_in_blocks():
  rows = BLOCK + 44
  dice = np.random.default_rng(0)
  group = dice.integers(0, 3, rows)
  points = dice.normal(size=(rows, 2)).astype(np.float32)
  how = dict(group=group, neighbour=3)
  found = prepared(points, **how).metrics["state_entropy_reg/bonus"]
  unit = points - points.mean(axis=0)
  unit /= np.linalg.norm(unit, axis=1, keepdims=True)
  apart = np.linalg.norm(unit[:, None] - unit[None], axis=-1)
  apart[group[:, None] != group[None]] = np.inf
  want = np.log1p(np.sort(apart, axis=1)[:, 3])  # the first one is itself
  np.testing.assert_allclose(found, want.mean(), rtol=1e-4)

  def sizes(jaxpr):
    for equation in jaxpr.eqns:
      yield from (v.aval.size for v in equation.outvars)
      for inner in jax.core.jaxprs_in_params(equation.params):
        yield from sizes(inner)

  traced = jax.make_jaxpr(lambda p: prepared(p, **how).reward)
  assert max(sizes(traced(points).jaxpr)) < rows**2


@pytest.mark.parametrize(
  "wrong",
  [
    {"granularity": "token"},
    {"population": "all"},
    {"gate": "wrong"},
    {"neighbour": 0},
    {"coef_start": -1.0},
    {"coef_end": -1.0},
    {"steps": 0},
    {"chunk": 0},
    {"discount": 2.0},
    {"size": 0},
  ],
)
def test_a_parameter_out_of_range_is_named(wrong):
  (name,) = wrong
  with pytest.raises(ValueError, match=rf"state_entropy_reg\.{name} = "):
    state_entropy_reg(**wrong)
