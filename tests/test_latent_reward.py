"""Marks of texts, features of tokens, decoders and return decomposition."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlvr_jax import latent_reward
from rlvr_jax.latent_reward import features
from rlvr_jax.latent_reward.equations import equations
from rlvr_jax.latent_reward.marks import Mark
from rlvr_jax.types import Responses

pytestmark = pytest.mark.usefixtures("quick_compile")


def marked(of, text, prompt="", cut=1, given=""):
  """The marks of a text in pieces of so many characters."""
  pieces = [text[i : i + cut] for i in range(0, len(text), cut)]
  responses = Responses(
    [prompt], [text], [pieces], [None], np.array([0]), len(pieces) + 1
  )
  return Mark(of, given).annotate(responses)[0].tolist()


@pytest.mark.parametrize(
  "text, verdicts",
  [
    ("12 + 30 = 42.", [True]),
    ("so 2*3=7, and 8/2=4", [False, True]),
    ("42=12+30", [True]),
    (r"\(3 \times 4 = 12\)", [True]),
    ("x = 2 + 3 = 6", [False]),
    ("0.1+0.2=0.3", [True]),
    ("1/0=0", [False]),
    ("-3-4=-7", [True]),
    # Parts of something longer.
    ("1 + 2 + 3 = 5", []),
    ("2+3=5x", []),
    ("x2+3=6", []),
    ("1,000+1=1,002", []),
    ("2(1+3)=4", []),
    (".5+1=1.5", []),
    ("20%+3=5%", []),
    ("2+3=", []),
    ("9" * 19 + "+1=2", []),
  ],
)
def test_equations_of_two_plain_numbers_are_checked_exactly(text, verdicts):
  assert [holds for _, _, holds in equations(text)] == verdicts


def test_hostile_texts_are_read_in_time_linear_in_them():
  for text in ("1+" * 50_000, "=" * 100_000, " " * 100_000 + "=1"):
    assert list(equations(text)) == []
  for text in (r"\boxed{" * 5_000, "<answer>" * 10_000, "answer:" * 10_000):
    assert set(marked("answer", text)) <= {0, 1}


def test_the_right_side_of_an_equation_that_began_in_the_prompt_is_marked():
  assert marked("arithmetic", "46", "12+34=") == [1, 1, 0]
  assert marked("arithmetic", "47", "12+34=") == [-1, -1, 0]
  assert marked("arithmetic", "1+1=3 ") == [0, 0, 0, 0, -1, 0, 0]
  assert marked("arithmetic", "46", "1+1=2\n") == [0, 0, 0]


@pytest.mark.parametrize(
  "of, text, places",
  [
    ("digit", "a12b3", "01101"),
    ("operator", "1+2=3", "01010"),
    ("operator", r"1\times2", "01111110"),
    ("step", "a..b.", "01101"),
    ("answer", r"so \boxed{1}.", "0001111111110"),
    ("answer", r"\boxed{\{1\}", "111111111111"),
    ("answer", "Answer: 5\nx", "11111111100"),
    ("answer", "<answer>7</answer>!", "1" * 18 + "0"),
    ("format", "ab.c.d", "001111"),
    ("format", "abcd", "0000"),
  ],
)
def test_tokens_are_marked_by_what_stands_there(of, text, places):
  found = marked(of, text, given=".")
  assert "".join(map(str, found)) == places + "0"


def test_a_token_is_marked_if_it_shares_a_character():
  assert marked("digit", "ab1cde23fg", cut=3) == [1, 0, 1, 0, 0]
  assert marked("step", "ab. c.", cut=4, given=".") == [1, 1, 0]


def test_uncounted_tokens_and_empty_texts_have_no_mark():
  none = Responses(["p"], [""], [["", " "]], [None], np.array([0]), 4)
  assert Mark("digit").annotate(none).tolist() == [[0, 0, 0, 0]]


def test_a_token_repeats_if_it_ends_a_gram_that_its_row_has_had():
  tokens = jnp.array([[1, 2, 3, 1, 2, 3, 1], [4, 4, 4, 4, 4, 1, 2]])
  mask = jnp.ones_like(tokens, bool).at[1, 6].set(False)
  found = features.repeated(tokens, mask, 3).astype(int).tolist()
  assert found == [[0, 0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 0, 0]]
  gap = mask.at[0, 1].set(False)
  assert not features.repeated(tokens, gap, 3)[0, :6].any()


def test_a_token_has_one_random_name_and_others_have_others():
  one, other = features._names(jnp.array([[7, 8], [7, 7]]), 4)
  np.testing.assert_array_equal(one[0], other[0])
  np.testing.assert_array_equal(other[0], other[1])
  assert abs(one[0] - one[1]).min() > 0


def test_steps_end_behind_their_marks_and_with_the_response():
  marks = jnp.array([[0, 1, 1, 0, 0, 0], [1, 0, 0, 0, 1, 0]]) > 0
  mask = jnp.array([[1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 0]]) > 0
  last = latent_reward.ends(marks, mask)
  want = [[0, 0, 1, 0, 1, 0], [1, 0, 0, 0, 1, 0]]
  np.testing.assert_array_equal(last, np.array(want) > 0)
  x = jnp.arange(12.0).reshape(2, 6, 1)
  means = latent_reward.means(x, mask, last)[..., 0]
  want = [[0, 0, 1, 0, 3.5, 0], [6, 0, 0, 0, 8.5, 0]]
  np.testing.assert_allclose(means, want)


def test_what_is_redistributed_sums_to_the_return_and_is_even_if_rewards_are():
  mask = jnp.array([[1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]]) > 0
  draw = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4)), jnp.float32)
  returns = jnp.array([1.0, -2.0, 5.0])
  found = latent_reward.redistributed(draw, mask, returns)
  np.testing.assert_allclose(found.sum(axis=1), [1, -2, 0], atol=1e-6)
  np.testing.assert_allclose(
    found[0, 0] - found[0, 1], draw[0, 0] - draw[0, 1], rtol=1e-5
  )
  even = latent_reward.redistributed(7 + 0 * draw, mask, returns)
  np.testing.assert_allclose(even[0], [1 / 3, 1 / 3, 1 / 3, 0], rtol=1e-5)


def drawn(seed, rows, length):
  dice = np.random.default_rng(seed)
  rewards = jnp.asarray(dice.normal(size=(rows, length)), jnp.float32)
  return rewards, jnp.asarray(dice.normal(size=rows), jnp.float32)


@pytest.mark.parametrize("target", ["mean", "sum"])
def test_all_subsets_of_the_unbiased_loss_have_the_whole_loss_as_their_mean(
  target,
):
  rewards, returns = drawn(1, 2, 6)
  length, mask = jnp.full(2, 6.0), jnp.ones((2, 6), bool)
  places = jnp.array(list(itertools.combinations(range(6), 3)))

  def mean(unbiased):
    loss = lambda p: latent_reward.rrd(
      rewards[:, p], length, returns, target, unbiased
    )
    return jax.vmap(loss)(places).mean()

  whole = latent_reward.rd(rewards, mask, returns, target)
  np.testing.assert_allclose(mean(unbiased=True), whole, rtol=1e-5)
  assert mean(unbiased=False) > whole + 1e-3


def test_all_tokens_drawn_are_the_whole_loss():
  rewards, returns = drawn(2, 3, 5)
  length, mask = jnp.full(3, 5.0), jnp.ones((3, 5), bool)
  places = latent_reward.draw(jax.random.key(0), mask, 5)
  np.testing.assert_array_equal(jnp.sort(places, axis=1)[0], np.arange(5))
  some = jnp.take_along_axis(rewards, places, axis=1)
  whole = latent_reward.rd(rewards, mask, returns)
  for unbiased in (False, True):
    found = latent_reward.rrd(some, length, returns, unbiased=unbiased)
    np.testing.assert_allclose(found, whole, rtol=1e-5)


def test_draws_are_uniform_and_repeat_only_where_a_row_is_too_short():
  mask = jnp.array([[0, 1, 1, 1, 1, 0], [1, 0, 1, 0, 0, 0], [0] * 6]) > 0
  keys = jax.random.split(jax.random.key(0), 400)
  places = jax.vmap(lambda k: latent_reward.draw(k, mask, 3))(keys)
  assert all(len(set(row)) == 3 for row in places[:, 0].tolist())
  shares = lambda row: np.bincount(np.ravel(places[:, row]), minlength=6) / 1200
  np.testing.assert_allclose(
    shares(0), [0, 0.25, 0.25, 0.25, 0.25, 0], atol=0.05
  )
  np.testing.assert_allclose(shares(1), [0.5, 0, 0.5, 0, 0, 0], atol=0.05)
  assert latent_reward.draw(keys[0], mask, 9).shape == (3, 9)


def test_rows_without_tokens_have_no_loss():
  rewards, returns = drawn(3, 3, 4)
  mask = jnp.ones((3, 4), bool).at[1].set(False)
  two = latent_reward.rd(rewards[::2], mask[::2], returns[::2], "sum", 0.5)
  three = latent_reward.rd(rewards, mask, returns, "sum", 0.5)
  np.testing.assert_allclose(three, two, rtol=1e-6)


def test_the_first_decoder_gives_every_token_the_same():
  decoder = latent_reward.Decoder(3, 8, 3, 1e-3, 0.0)
  rewards = latent_reward.rewards(decoder.init().weights, jnp.ones((2, 5, 3)))
  np.testing.assert_array_equal(rewards, np.zeros((2, 5)))


def test_a_linear_decoder_recovers_the_weights_of_a_linear_return():
  dice = np.random.default_rng(4)
  latent = jnp.asarray(dice.normal(size=(64, 6, 2)), jnp.float32)
  mask = jnp.arange(6) < jnp.asarray(dice.integers(1, 7, (64, 1)))
  hidden = jnp.where(mask, latent @ jnp.array([0.5, -1.0]), 0)
  decoder = latent_reward.Decoder(2, 1, 1, 0.05, 0.0)

  def loss(weights, number):
    del number
    rewards = latent_reward.rewards(weights, latent)
    return latent_reward.rd(rewards, mask, hidden.sum(axis=1))

  learn = jax.jit(lambda learnt: decoder.learn(learnt, loss, 500))
  learnt, losses = learn(decoder.init())
  assert losses[-1] < 1e-6 < 0.1 < losses[0]
  ((matrix, shift),) = learnt.weights
  np.testing.assert_allclose(matrix[:, 0], [0.5, -1.0], atol=1e-2)
  np.testing.assert_allclose(shift, 0, atol=1e-2)


def test_decayed_weights_are_smaller():
  target = lambda weights, number: ((weights[0][0] - 1) ** 2).sum()
  ends = []
  for decay in (0.0, 1.0):
    decoder = latent_reward.Decoder(1, 1, 1, 0.05, decay)
    learnt, _ = decoder.learn(decoder.init(), target, 300)
    ends.append(float(learnt.weights[0][0][0, 0]))
  # Minimum of (w - 1)^2 + w^2 / 2.
  np.testing.assert_allclose(ends, [1, 2 / 3], atol=1e-2)
