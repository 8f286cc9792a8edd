"""CURE: which token is critical, and what goes on from it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlvr_jax.methods.cure import critical_token, cure, eligible
from rlvr_jax.stats import Entropy
from rlvr_jax.types import Draw, Need, Parent, TokenText

pytestmark = pytest.mark.usefixtures("quick_compile")

T, K = 12, 4
NATS = np.float32([9, 1, 5, 5, 0.1, 8, 2, 3, 4, 0.2, 7, 6])
LENGTH = np.int32([5, 2, 2, 2, 1, 0, 3, 9, 2, 2, 0, 7])
ENTROPY = Need(Entropy(), when="rollout").key


def response(length=LENGTH, count=11, key=0):
  told = TokenText(jnp.asarray(length), jnp.zeros(T, bool))
  return Parent(
    jnp.zeros(T, jnp.int32), jnp.arange(T) < count,
    {ENTROPY: jnp.asarray(NATS)}, jax.random.key(key), jnp.int32(4), 16, told,
  )  # fmt: skip


def cuts(keys, given=None, **how):
  """i32[keys, 3]: where the branches of a response part, by its dice."""
  (_, draw) = cure(candidates=K, **how).plan((Draw("main", 2),), ())
  one = lambda key: draw.cut((given or response())._replace(key=key), 3)
  return np.asarray(jax.jit(jax.vmap(one))(keys))


KEYS = jax.random.split(jax.random.key(1), 2000)
# Of those eligible, by falling entropy; of the two with 5 the first.
BEST = (2, 3, 8, 7)


def test_the_place_is_one_of_the_best_and_all_equally_often():
  found = cuts(KEYS)
  np.testing.assert_array_equal(found, found[:, :1].repeat(3, axis=1))
  places, counts = np.unique(found[:, 0], return_counts=True)
  assert set(places) == set(BEST)
  chi = ((counts - len(KEYS) / K) ** 2 / (len(KEYS) / K)).sum()
  assert chi < 16.3  # one in a thousand, 3 degrees of freedom


def test_at_random_any_eligible_token_may_be_critical():
  places = np.unique(cuts(KEYS, mode="random"))
  np.testing.assert_array_equal(places, [1, 2, 3, 6, 7, 8, 9])


def test_neither_the_first_token_nor_one_behind_the_end_is_critical():
  allowed = eligible(jnp.full(T, 5), jnp.arange(T) < 7, 2)
  np.testing.assert_array_equal(np.flatnonzero(allowed), range(1, 7))


def test_without_an_eligible_token_continuations_begin_anew():
  found = cuts(KEYS[:5], response(length=np.minimum(LENGTH, 1)))
  assert not found.any()
  bare = cuts(
    KEYS[:5], response(length=0 * LENGTH), include_critical_token=True
  )
  assert not bare.any()


def test_equal_entropies_are_ordered_and_the_last_die_stays_inside():
  place = lambda u, k: int(
    critical_token(jnp.ones(T), jnp.ones(T, bool), jnp.float32(u), k)
  )
  assert [place(u, 3) for u in (0.0, 0.4, 0.99999997)] == [0, 1, 2]
  assert place(0.99, 1) == 0 and place(0.99999997, 99) == T - 1


def test_the_critical_token_may_stay_and_prefixes_may_be_bounded():
  plain = cuts(KEYS[:50])
  kept = cuts(KEYS[:50], include_critical_token=True)
  np.testing.assert_array_equal(kept, plain + 1)
  # Of 4 tokens of the prompt and 3 of the response no more than 7 are read.
  bounded = cuts(KEYS[:50], max_prompt=7)
  np.testing.assert_array_equal(bounded, np.minimum(plain, 3))
  assert not cuts(KEYS[:5], max_prompt=2).any()


def test_without_branches_the_draws_stay_as_they_are():
  draws = (Draw("main", 4, temperature=0.7),)
  assert cure(branches=0).plan(draws, ()) == draws
  main, more = cure(branches=3, prefix_loss=True).plan(draws, ())
  assert main == draws[0] and more.copies_count and more.parent == "main"
  assert (more.per_prompt, more.temperature) == (12, 0.7)


@pytest.mark.parametrize(
  ("wrong", "message"),
  [
    (dict(mode="best"), r"cure\.mode = 'best' must be in"),
    (dict(branches=-1), r"cure\.branches = -1 must be >= 0"),
    (dict(candidates=0), r"cure\.candidates = 0 must be >= 1"),
    (dict(min_text_len=0), r"cure\.min_text_len = 0 must be >= 1"),
    (dict(max_prompt=0), r"cure\.max_prompt = 0 must be >= 1"),
  ],
)
def test_an_option_out_of_range_is_named(wrong, message):
  with pytest.raises(ValueError, match=message):
    cure(**wrong)
