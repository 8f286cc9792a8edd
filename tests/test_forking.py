"""Where a response that has ended would have forked."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlvr_jax import branching, forking
from rlvr_jax.types import Need, Parent, TokenText

pytestmark = pytest.mark.usefixtures("quick_compile")

V, T = 16, 60
LINES = (7, 25, 3, 1)  # tokens; the last line is cut short, then it ends
COUNT = sum(LINES)
STARTS = np.cumsum([0, *LINES])[:-1]
NATS = np.random.default_rng(0).uniform(0, 2, T).astype(np.float32)


def response(nats=NATS, key=0):
  ends = np.isin(np.arange(T), np.cumsum(LINES) - 1)
  ends[COUNT + 3] = True  # junk behind the end
  stats = {need.key: jnp.asarray(nats) for need in forking.NEEDS.values()}
  told = TokenText(jnp.zeros(T, jnp.int32), jnp.asarray(ends))
  return Parent(
    jnp.zeros(T, jnp.int32), jnp.arange(T) < COUNT, stats,
    jax.random.key(key), jnp.int32(4), V, told,
  )  # fmt: skip


@pytest.mark.parametrize("mode", ["paper_fixed", "code"])
def test_a_line_is_a_segment_and_has_the_entropy_of_its_first_tokens(mode):
  found = forking.segments(response(), mode)
  np.testing.assert_array_equal(np.flatnonzero(found.begins), STARTS)
  np.testing.assert_array_equal(np.flatnonzero(found.forks), STARTS[1:])
  place, want = np.arange(T), []
  for start, size in zip(STARTS, LINES):
    inside = jnp.asarray((place >= start) & (place < start + size))
    want.append(branching.segment_entropy(NATS, inside, V, mode))
  np.testing.assert_allclose(found.entropy[STARTS], want, rtol=1e-5)
  np.testing.assert_allclose(found.mean, np.mean(want), rtol=1e-5)


def test_a_fork_is_decided_by_the_line_before_it_or_by_that_behind():
  found = forking.segments(response(), "paper_fixed")
  of = found.entropy[STARTS] - found.entropy[0]
  before, behind = (found.rise(how)[STARTS] for how in forking.MEASURED)
  np.testing.assert_array_equal(before, [0, *of[:-1]])
  np.testing.assert_array_equal(behind, of)


def test_a_decision_hangs_on_nothing_that_comes_later():
  """So deciding when all is over decides as it would have been then."""
  later = np.where(np.arange(T) < STARTS[2], NATS, 9.0)
  for how, known in (("before", 3), ("behind", 2)):
    first, second = (
      forking.segments(response(nats), "code").rise(how)[STARTS[:known]]
      for nats in (NATS, later)
    )
    np.testing.assert_array_equal(first, second)


def test_the_first_forks_are_taken_and_what_is_left_begins_anew():
  forks = np.zeros((6, 2), bool)
  forks[2] = forks[5, 1] = True
  for count, most, want in (
    (4, 4, [2, 2, 5, 0]),
    (2, 2, [2, 2]),
    (4, 1, [2, 0, 0, 0]),
    (3, 0, [0, 0, 0]),
  ):
    found = forking.places(jnp.asarray(forks), count, most)
    np.testing.assert_array_equal(found, want)


def test_forks_in_turn_are_those_of_a_loop():
  dice = np.random.default_rng(1)
  allowed = dice.random(40) < 0.5
  uniform = dice.random((40, 2)).astype(np.float32)
  rise = dice.normal(size=40).astype(np.float32)
  decides = functools.partial(branching.forks_in_turn, penalty=0.2)
  found = jax.jit(lambda *x: forking.in_turn(decides, *x))(
    uniform, rise, allowed
  )
  rounds, longest = 0, 0
  for place in range(40):
    want = np.zeros(2, bool)
    if allowed[place]:
      want = np.asarray(decides(uniform[place], rise[place], rounds))
      rounds = rounds + 1 if want.any() else 0
      longest = max(longest, rounds)
    np.testing.assert_array_equal(found[place], want)
  assert longest > 2


def test_the_likeliest_ten_are_looked_at_where_the_code_does():
  logits = jax.random.normal(jax.random.key(0), (5, 30))
  stat = forking.TopEntropy()
  assert Need(stat, when="rollout") == forking.NEEDS["code"]
  found = stat.from_logits(logits, targets=jnp.zeros(5, jnp.int32))
  logp = -np.sort(-np.asarray(jax.nn.log_softmax(logits)))[:, :10]
  np.testing.assert_allclose(found, branching.top_entropy(logp), rtol=1e-5)
