"""ARPO: how often responses fork, and where."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlvr_jax import forking
from rlvr_jax.methods.agentic_aepo import agentic_aepo
from rlvr_jax.methods.arpo import arpo
from rlvr_jax.types import Draw, Parent, TokenText

pytestmark = pytest.mark.usefixtures("quick_compile")

T, V = 24, 16
PLACES = np.array([4, 8, 12, 16, 20])  # where lines begin behind the first
KEYS = jax.random.split(jax.random.key(0), 1000)
EVEN = np.full(T, 1.0, np.float32)
RISES = np.where(np.arange(T) < 4, 0, 2.0).astype(np.float32)


def cuts(method, n, nats=EVEN, keys=KEYS):
  """i32[keys, n]: where the branches of a response of six lines part."""
  _, draw = method.plan((Draw("main", 2),), ())
  ends = jnp.arange(T) % 4 == 3
  stats = {need.key: jnp.asarray(nats) for need in forking.NEEDS.values()}

  def one(key):
    told = TokenText(jnp.zeros(T, jnp.int32), ends)
    parent = Parent(
      jnp.zeros(T, jnp.int32), jnp.ones(T, bool), stats, key, jnp.int32(3), V,
      told,
    )  # fmt: skip
    return draw.cut(parent, n)

  return np.asarray(jax.jit(jax.vmap(one))(keys))


def forked_at(found):
  """Share of the responses with a fork at each place."""
  return np.array([(found == place).any(axis=1).mean() for place in PLACES])


def test_without_a_weight_every_line_forks_with_the_given_chance():
  found = cuts(arpo(probability=0.3, weight=0.0), 5, RISES)
  assert np.abs(forked_at(found) - 0.3).max() < 0.06
  assert (np.diff(np.where(found == 0, T, found), axis=1) >= 0).all()


def test_a_rise_of_the_line_before_makes_forks_likelier():
  # A share of ln V of 2 / ln 16 above that of the first line.
  chance = 0.3 + 0.5 * 2 / np.log(V)
  found = forked_at(cuts(arpo(probability=0.3, weight=0.5), 5, RISES))
  want = np.array([0.3, *[chance] * 4])
  assert np.abs(found - want).max() < 0.06
  behind = arpo(probability=0.3, weight=0.5, measured="behind")
  assert np.abs(forked_at(cuts(behind, 5, RISES)) - chance).max() < 0.06


def test_a_rise_beyond_all_bounds_always_forks_and_no_chance_never_does():
  sure = cuts(arpo(weight=1e6, measured="behind"), 5, RISES)
  np.testing.assert_array_equal(sure, np.tile(PLACES, (len(KEYS), 1)))
  always = cuts(arpo(probability=1.0), 2)
  np.testing.assert_array_equal(always, np.tile(PLACES[:2], (len(KEYS), 1)))
  never = cuts(arpo(probability=0.0, weight=0.0), 5, RISES)
  assert not never.any()


def test_a_wider_beam_lets_more_rows_fork_at_a_place():
  found = cuts(arpo(probability=1.0, beam=3), 5)
  np.testing.assert_array_equal(found, np.tile([4, 4, 8, 8, 12], (1000, 1)))
  assert not cuts(arpo(beam=1), 5).any()


def test_roots_and_branches_are_all_the_rows_there_shall_be():
  draws = (Draw("main", 8, temperature=0.9),)
  assert arpo(branches=0).plan(draws, ()) == draws
  main, more = arpo(branches=2).plan(draws, ())
  assert main == draws[0] and (more.per_prompt, more.parent) == (16, "main")
  assert more.copies_count and more.temperature == 0.9


def test_agentic_aepo_forks_less_where_it_just_did():
  method = agentic_aepo(branches=5, dynamic=False, penalty=0.4, threshold=0.3)
  found = forked_at(cuts(method, 5))
  first, second = 0.7, 1 - 0.3 / 0.6
  assert abs(found[0] - first) < 0.06
  assert abs(found[1] - (first * second + (1 - first) * first)) < 0.06


def test_agentic_aepo_leaves_a_part_of_the_budget_to_new_responses():
  sure = dict(branches=5, threshold=1e-6, weight=0.0, penalty=0.0)
  all_forks = cuts(agentic_aepo(**sure, dynamic=False), 5)
  np.testing.assert_array_equal(all_forks, np.tile(PLACES, (len(KEYS), 1)))
  # floor(6 / 2) + 1 of 6 rows are begun anew, the root among them.
  even = cuts(agentic_aepo(**sure), 5)
  np.testing.assert_array_equal(even[0], [4, 8, 0, 0, 0])
  # Lines behind the first are the more uncertain ones: more of them fork.
  risen = cuts(agentic_aepo(**sure, slope=9.0), 5, RISES)
  assert (risen > 0).sum() > (even > 0).sum()


@pytest.mark.parametrize(
  ("wrong", "message"),
  [
    (dict(attribution="both"), r"arpo\.attribution = 'both' must be in"),
    (dict(mode="paper"), r"arpo\.mode = 'paper' must be in"),
    (dict(measured="after"), r"arpo\.measured = 'after' must be in"),
    (dict(branches=-1), r"arpo\.branches = -1 must be >= 0"),
    (dict(beam=0), r"arpo\.beam = 0 must be >= 1"),
    (dict(probability=1.5), r"arpo\.probability = 1\.5 must lie in"),
    (dict(weight=-1.0), r"arpo\.weight = -1\.0 must be >= 0"),
  ],
)
def test_an_option_out_of_range_is_named(wrong, message):
  with pytest.raises(ValueError, match=message):
    arpo(**wrong)


@pytest.mark.parametrize(
  ("wrong", "message"),
  [
    (dict(branches=-1), r"agentic_aepo\.branches = -1 must be >= 0"),
    (dict(threshold=0.0), r"agentic_aepo\.threshold = 0\.0 must lie in"),
    (dict(penalty=-1.0), r"agentic_aepo\.penalty = -1\.0 must be >= 0"),
    (dict(mode="sum"), r"agentic_aepo\.mode = 'sum' must be in"),
  ],
)
def test_an_option_of_agentic_aepo_out_of_range_is_named(wrong, message):
  with pytest.raises(ValueError, match=message):
    agentic_aepo(**wrong)
