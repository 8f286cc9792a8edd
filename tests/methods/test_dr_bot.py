"""Dr.BoT: which responses and groups no longer count."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rlvr_jax
from golden_adapters import common
from rlvr_jax.methods.dr_bot import UNREADABLE, dr_bot
from rlvr_jax.methods.dr_grpo import dr_grpo
from rlvr_jax.notes import ANSWER, Unreadable
from rlvr_jax.types import Clock, Responses

pytestmark = pytest.mark.usefixtures("quick_compile")

ROWS, LENGTH = 6, 8
GROUP = np.array([0, 0, 1, 1, 2, 2])
REWARD = np.float32([1, 0, 1, 1, 0.6, 0.4])
NOTHING = dict(incomplete=False, gram=0, unreadable=False)


def rollout(lengths=(3,) * ROWS, tokens=None, **notes):
  mask = np.arange(LENGTH) < np.array(lengths)[:, None]
  given = {ANSWER.key: [0] * ROWS, UNREADABLE.key: [0] * ROWS} | notes
  batch = common.batch(
    0 * mask,
    None,
    mask,
    reward=REWARD,
    group=GROUP,
    notes={k: np.array(v, np.int32) for k, v in given.items()},
  )
  if tokens is None:
    return batch
  return batch.replace(tokens=jnp.pad(jnp.asarray(tokens), [(0, 0), (1, 0)]))


def kept(method, batch):
  """Rows with a counted token, and the metrics."""
  prepare = jax.jit(rlvr_jax.prepare(method))
  state = rlvr_jax.chain(method).init(batch)
  found, _ = prepare(batch, state, Clock(0, 0, jax.random.key(0)))
  return np.flatnonzero(found.mask.any(axis=1)).tolist(), found


def test_each_fault_takes_a_response_out_and_is_told():
  tokens = np.arange(ROWS * LENGTH).reshape(ROWS, LENGTH)
  tokens[4, :5] = [7, 7, 7, 7, 7]  # four overlapping pairs
  tokens[5, :5] = [7, 7, 7, 7, 1]  # three
  notes = {ANSWER.key: [0, -1, 0, 0, 0, 0], UNREADABLE.key: [0, 0, 1, 0, 0, 0]}
  batch = rollout((5, 5, 5, 8, 5, 5), tokens, **notes)
  rows, found = kept(dr_bot(gram=2, repeats=4), batch)
  assert rows == [0, 5]
  for name in ("incomplete", "unreadable", "overlong", "repetitive"):
    assert found.metrics[f"dr_bot/{name}_fraction"] == np.float32(1 / 6), name
  assert found.metrics["dr_bot/kept_fraction"] == np.float32(2 / 6)
  rows, _ = kept(dr_bot(**NOTHING, max_length=6), batch)
  assert rows == [0, 1, 2, 4, 5]


def test_who_is_left_out_is_still_compared_with():
  batch = rollout(**{ANSWER.key: [0, -1, 0, 0, 0, 0]})
  chain = rlvr_jax.chain(dr_bot(), dr_grpo())
  rows, found = kept(chain, batch)
  assert rows == [0, 2, 3, 4, 5]
  assert found.advantages[0, 0] == 0.5  # with the mean of both responses


@pytest.mark.parametrize(
  ("share", "rows"), [(0.3, [0, 1]), (0.7, [0, 1, 4, 5]), (1.0, [*range(6)])]
)
def test_the_groups_of_the_largest_deviation_are_kept(share, rows):
  assert kept(dr_bot(**NOTHING, share=share), rollout())[0] == rows


def test_twenty_grams_are_counted_as_by_hand():
  dice, length, gram, repeats = np.random.default_rng(0), 60, 20, 10
  tokens = dice.integers(0, 2, (ROWS, length))
  tokens[0] = np.arange(length) % 3  # 14 of one
  tokens[1] = np.arange(length) % 4  # 11
  tokens[2] = np.arange(length) % 5  # 9
  tokens[3] = 1  # 41, but only 28 tokens count: 9
  lengths = np.array([60, 60, 60, 28, 60, 60])

  def repeated(row, count):
    runs = (tuple(row[i : i + gram]) for i in range(count - gram + 1))
    return max(collections.Counter(runs).values()) >= repeats

  want = [not repeated(*x) for x in zip(tokens, lengths)]
  mask = np.arange(length) < lengths[:, None]
  batch = common.batch(0 * mask, None, mask, group=GROUP)
  batch = batch.replace(tokens=jnp.pad(jnp.asarray(tokens), [(0, 0), (1, 0)]))
  method = dr_bot(incomplete=False, unreadable=False, max_length=99)
  assert kept(method, batch)[0] == np.flatnonzero(want).tolist()
  assert want[:4] == [False, False, True, True]


def test_bytes_that_are_no_text_are_noted():
  broken = b"caf\xc3".decode(errors="replace")
  texts = ["café", broken, ""]
  responses = Responses([""] * 3, texts, [[]] * 3, [None] * 3, np.zeros(3), 4)
  np.testing.assert_array_equal(Unreadable().annotate(responses), [0, 1, 0])


@pytest.mark.parametrize(
  "wrong",
  [{"max_length": -1}, {"gram": -1}, {"repeats": 1}, {"share": 0.0}],
)
def test_a_parameter_out_of_range_is_named(wrong):
  ((name, value),) = wrong.items()
  with pytest.raises(ValueError, match=rf"dr_bot\.{name} = {value!r} must"):
    dr_bot(**wrong)
