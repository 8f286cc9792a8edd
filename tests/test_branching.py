"""When a rollout forks, how many responses are forks, and who earns what."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlvr_jax import branching

# Dice on an even grid: the mean over them is a probability.
DICE = (np.arange(1000, dtype=np.float32) + 0.5) / 1000


def chance(rise, **given):
  return float(branching.forks(DICE, rise, **given).mean())


def chance_in_turn(rise, rounds, **given):
  return float(branching.forks_in_turn(DICE, rise, rounds, **given).mean())


def test_the_entropy_of_the_likeliest_tokens_is_not_normalised():
  found = branching.top_entropy(jnp.log(jnp.array([0.5, 0.25])))
  np.testing.assert_allclose(found, np.log(2) / 2 + np.log(4) / 4, rtol=1e-6)
  cut = branching.top_entropy(jnp.array([0.0, -jnp.inf]))
  assert cut == 0


def test_a_segment_has_the_entropy_of_its_first_tokens():
  nats = jnp.array([[9.0, 1.0, 3.0, jnp.nan, 8.0]])
  inside = jnp.array([[False, True, True, False, True]])
  of = lambda *how: branching.segment_entropy(nats, inside, 16, *how)[0]
  assert of("paper_fixed", 2) * np.log(16) == pytest.approx(2)
  assert of("code", 2) * np.log(16) == pytest.approx(4)
  assert of("code", 20) * np.log(16) == pytest.approx(12)
  # The mean of a segment does not hang on its length, the sum does.
  assert of("paper_fixed", 20) * np.log(16) == pytest.approx(4)
  empty = branching.segment_entropy(nats, inside & False, 16)
  assert not empty.any()


def test_of_uniform_distributions_a_segment_has_entropy_one():
  logp = jnp.full((4, 8), -jnp.log(8.0))
  nats = branching.top_entropy(logp)
  found = branching.segment_entropy(nats, jnp.ones(4, bool), 8)
  assert float(found) == pytest.approx(1)


@pytest.mark.parametrize(
  ("wrong", "message"),
  [
    (dict(mode="paper"), "mode = 'paper' must be one of"),
    (dict(vocabulary=1), "vocabulary = 1 must be at least 2"),
    (dict(tokens=0), "tokens = 0 must be at least 1"),
  ],
)
def test_a_setting_out_of_range_is_named(wrong, message):
  given = dict(vocabulary=16) | wrong
  with pytest.raises(ValueError, match=message):
    branching.segment_entropy(jnp.ones(3), jnp.ones(3, bool), **given)


def test_without_a_rise_a_row_forks_with_the_given_chance():
  for probability in (0.0, 0.25, 0.5, 1.0):
    given = dict(probability=probability)
    assert chance(0.0, **given) == pytest.approx(probability)
    assert chance(7.0, weight=0.0, **given) == pytest.approx(probability)
  assert chance(-7.0, probability=1.0) == 1


def test_the_chance_to_fork_rises_with_the_entropy_up_to_certainty():
  rises = np.linspace(-4, 4, 33)
  found = [chance(rise) for rise in rises]
  expected = np.clip(0.5 + 0.2 * rises, 0, 1)
  # A chance is counted in thousandths: one die may lie on the bound.
  np.testing.assert_allclose(found, expected, atol=1e-3)
  assert chance(1e6) == 1 and chance(-1e6) == 0


def test_in_the_first_round_both_rules_have_one_chance():
  for rise in (-1.0, 0.0, 0.7):
    assert chance_in_turn(rise, 0) == pytest.approx(chance(rise), abs=2e-3)


def test_the_chance_falls_with_every_round_in_turn():
  expected = lambda rounds, rise: np.clip(
    1 - 0.5 / (1 - 0.05 * rounds) + 0.2 * rise, 0, 1
  )
  for rise in (0.0, 0.5):
    found = [chance_in_turn(rise, rounds) for rounds in range(12)]
    want = [expected(rounds, rise) for rounds in range(12)]
    # Of a thousand dice one on the bound, one by the rounding of the factor.
    np.testing.assert_allclose(found, want, atol=2e-3)
  # From the tenth round on only a rise lets a row fork, from the 20th none.
  assert chance_in_turn(0.0, 10) == 0 < chance_in_turn(0.5, 10)
  assert chance_in_turn(1e6, 20) == chance_in_turn(1e6, 25) == 0
  assert chance_in_turn(-1e6, 25) == 0
  assert chance_in_turn(0.0, 12, penalty=0.0) == pytest.approx(0.5)


def test_rounds_are_counted_only_while_they_follow_each_other():
  rounds = jnp.array([0, 3, 2])
  got = branching.rounds_in_turn(rounds, jnp.array([True, False, True]))
  np.testing.assert_array_equal(got, [1, 0, 3])
  same = branching.rounds_in_turn(rounds, jnp.zeros(3, bool))
  np.testing.assert_array_equal(same, rounds)


@pytest.mark.parametrize("total", [1, 2, 7, 16])
def test_equal_entropies_begin_half_of_the_responses_and_one(total):
  assert branching.root_budget(total, 0.3, 0.3) == min(total // 2 + 1, total)


def test_the_budget_rises_with_the_prompt_s_entropy_from_one_to_all():
  entropies = jnp.linspace(-40, 40, 161)
  found = np.asarray(branching.root_budget(12, entropies, 0.0))
  assert (np.diff(found) >= 0).all()
  assert (found[0], found[-1]) == (1, 12) and set(found) == {*range(1, 13)}
  falls = np.asarray(branching.root_budget(12, 0.0, entropies))
  assert (np.diff(falls) <= 0).all()


# Row 0 is a root; 1 leaves it at token 3, 2 leaves 1 at token 5, 3 leaves 1
# again at token 2, before what 1 has of its own; 4 is another root, of
# whose copies nobody asks.
PARENT = jnp.array([-1, 0, 1, 1, -1])
COPIED = jnp.array([0, 3, 5, 2, 4])
ORIGIN = [
  [0, 0, 0, 0, 0, 0],
  [0, 0, 0, 1, 1, 1],
  [0, 0, 0, 1, 1, 2],
  [0, 0, 3, 3, 3, 3],
  [4, 4, 4, 4, 4, 4],
]


def test_a_token_is_of_the_row_that_sampled_it():
  found = branching.origin(PARENT, COPIED, 6)
  np.testing.assert_array_equal(found, ORIGIN)


def test_the_order_of_the_rows_does_not_matter_to_the_tree():
  order = np.array([3, 1, 4, 0, 2])
  place = np.argsort(order)
  parent = np.asarray(PARENT)[order]
  parent = np.where(parent < 0, -1, place[parent])
  found = branching.origin(jnp.asarray(parent), COPIED[order], 6)
  np.testing.assert_array_equal(order[found], np.array(ORIGIN)[order])


@pytest.mark.parametrize("rows", [1, 2, 3, 9, 33])
def test_a_tree_may_be_as_deep_as_it_has_rows(rows):
  parent = jnp.arange(rows) - 1
  found = branching.origin(parent, jnp.arange(rows), rows)
  # Row i has token t < i of row t: each kept one token more.
  i, t = np.mgrid[:rows, :rows]
  np.testing.assert_array_equal(found, np.minimum(i, t))


def test_two_leaves_of_opposite_advantage_cancel_where_they_share():
  advantages, mask = jnp.array([[1.0] * 4, [-1.0] * 4]), jnp.ones((2, 4), bool)
  tree = jnp.array([-1, 0]), jnp.array([0, 2])
  found = branching.shared_advantages(advantages, mask, *tree)
  np.testing.assert_array_equal(found, [[0, 0, 1, 1], [0, 0, -1, -1]])
  # Copies that do not count leave the parent what it has.
  mask = mask.at[1, :2].set(False)
  found = branching.shared_advantages(advantages, mask, *tree)
  np.testing.assert_array_equal(found, [[1, 1, 1, 1], [0, 0, -1, -1]])


def test_without_forks_the_advantages_stay():
  advantages = jax.random.normal(jax.random.key(0), (5, 6))
  found = branching.shared_advantages(
    advantages, jnp.ones((5, 6), bool), jnp.full(5, -1), jnp.zeros(5, int)
  )
  np.testing.assert_array_equal(found, advantages)


def test_hard_and_soft_attribution_have_one_summed_gradient():
  """By the log-probs of the tokens of a tree, which several rows hold."""
  dice = np.random.default_rng(0)
  advantages = np.float32(dice.normal(size=(5, 6)))
  mask = dice.random((5, 6)) < 0.7
  hard = branching.shared_advantages(
    np.where(mask, advantages, np.nan), jnp.asarray(mask), PARENT, COPIED
  )
  assert not np.asarray(hard)[~mask].any()

  def loss(logp, given):
    held = logp[jnp.array(ORIGIN), jnp.arange(6)]
    ratio = jnp.exp(held - jax.lax.stop_gradient(held))
    return -(jnp.where(mask, given, 0) * ratio).sum()

  gradient = jax.grad(loss)
  logp = jnp.zeros((5, 6))
  soft, found = gradient(logp, advantages), gradient(logp, hard)
  np.testing.assert_allclose(found, soft, rtol=1e-5, atol=1e-6)
  assert np.abs(np.asarray(hard) - np.where(mask, advantages, 0)).max() > 0.1
