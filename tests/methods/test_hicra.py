"""HICRA: extra credit for planning tokens, and where they come from."""

import jax
import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax import laws
from rlvr_jax.methods.hicra import ENTROPY, hicra
from rlvr_jax.notes import StrategicGrams, read_grams, words
from rlvr_jax.types import Need, Responses

pytestmark = pytest.mark.usefixtures("quick_compile")

MASK = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0]])
NATS = np.float32([[0.1, 0.9, 0.5, 0.7], [0.2, 0.2, 0.1, 9.0], [0.0] * 4])
GIVEN = np.float32([[1.0] * 4, [-2.0] * 4, [0.5] * 4])


@pytest.fixture
def grams(tmp_path):
  path = tmp_path / "grams.txt"
  path.write_text("Let's consider the\n\nwe can check\ncan check 12\n")
  return str(path)


def advantages(method, stats=None, notes=None, reward=None, given=GIVEN):
  """What the gradient at ratio 1 says of the advantages, and the metrics."""
  old = np.zeros(MASK.shape)
  batch = common.prepared(
    method,
    common.batch(old, given, MASK, reward=reward, stats=stats, notes=notes),
  )
  _, gradient, metrics = common.loss_and_grad(method, batch, old)
  return -np.asarray(gradient) * MASK.sum(), metrics


def proxy(**options):
  method = hicra(**options)
  return advantages(method, {ENTROPY.key: NATS}, reward=[1.0, 1.0, 0.0])


def test_right_answers_gain_and_wrong_ones_lose_less_on_planning_tokens(grams):
  plan = np.array([[0, 1, 1, 0], [1, 0, 0, 1], [0, 0, 0, 0]])
  note = Need(StrategicGrams(grams), when="rollout")
  method = hicra(0.2, grams=grams, proxy=None)
  found, metrics = advantages(method, notes={note.key: plan})
  want = np.array(
    [[1.0, 1.2, 1.2, 1.0], [-1.6, -2.0, -2.0, 0], [0.5, 0.5, 0, 0]]
  )
  np.testing.assert_allclose(found, want, rtol=1e-6)
  np.testing.assert_allclose(metrics["hicra/planning_fraction"], 3 / 9)
  np.testing.assert_allclose(metrics["hicra/credit"], 0.8 / 9, rtol=1e-6)


def test_the_credit_is_never_negative_in_sum_and_turns_no_sign():
  found, metrics = proxy(coef=0.9, proxy_fraction=1.0)
  counted = MASK > 0
  np.testing.assert_array_equal(
    np.sign(found)[counted], np.sign(GIVEN)[counted]
  )
  assert metrics["hicra/credit"] > 0


def test_without_strength_or_planning_tokens_nothing_changes(grams):
  found, _ = proxy(coef=0.0)
  np.testing.assert_allclose(found, GIVEN * MASK, rtol=1e-6)
  note = Need(StrategicGrams(grams), when="rollout")
  method = hicra(0.2, grams=grams, proxy=None)
  found, _ = advantages(method, notes={note.key: np.zeros(MASK.shape, int)})
  np.testing.assert_allclose(found, GIVEN * MASK, rtol=1e-6)


def test_the_most_uncertain_tokens_of_each_response_stand_for_planning():
  found, _ = proxy(coef=1.0, proxy_fraction=0.5)
  # 2 of 4, 1 of 3 (the earlier of two equal ones), 1 of 2.
  want = GIVEN * MASK + np.array([[0, 1, 0, 1], [2, 0, 0, 0], [0.5, 0, 0, 0]])
  np.testing.assert_allclose(found, want, rtol=1e-6)


def test_the_proxy_may_mark_only_right_answers_of_more_than_mean_length():
  found, metrics = proxy(coef=1.0, proxy_rows="right_long")
  # Lengths 4, 3, 2 and the last row is wrong; the second is no longer.
  want = GIVEN * MASK + np.array([[0, 1, 0, 0], [0] * 4, [0] * 4])
  np.testing.assert_allclose(found, want, rtol=1e-6)
  np.testing.assert_allclose(metrics["hicra/planning_fraction"], 1 / 9)


def test_the_mean_length_is_that_of_the_whole_rollout():
  method = hicra(1.0, proxy_rows="right_long", proxy_fraction=0.5)
  old = np.zeros(MASK.shape)
  rollout = common.prepared(
    method,
    common.batch(
      old, GIVEN, MASK, reward=[1.0, 1.0, 0.0], stats={ENTROPY.key: NATS}
    ),
  )
  # Alone in its minibatch the long row is still longer than the mean of 3.
  row = jax.tree.map(lambda x: x[:1], rollout.replace(metrics={}))
  _, gradient, _ = common.loss_and_grad(method, row, old[:1])
  np.testing.assert_allclose(-4 * gradient, [[1, 2, 1, 2]], rtol=1e-6)


def test_words_are_letters_with_apostrophes_or_digits():
  assert words("Let's try x1=12, OK?") == ("let's", "try", "x", "1", "12", "ok")


def annotate(path, *rows, length=12):
  n = len(rows)
  texts = ["".join(row) for row in rows]
  responses = Responses(
    [""] * n, texts, list(map(list, rows)), [None] * n, np.zeros(n), length
  )
  return StrategicGrams(path).annotate(responses)


def test_every_token_that_overlaps_a_word_of_a_gram_is_marked(grams):
  pieces = ["So", " LET", "'s", " con", "sider", " ", "the", "n", "."]
  found = annotate(grams, pieces)  # "then" is another word than "the"
  assert not found.any()
  pieces = ["So", " LET", "'s", " con", "sider", " ", "the", " n", "."]
  found = annotate(grams, pieces)
  # The blank between two words is in no word; " n" is behind the gram.
  np.testing.assert_array_equal(found, [[0, 1, 1, 1, 1, 0, 1] + [0] * 5])


def test_overlapping_grams_are_joined_and_rows_do_not_touch(grams):
  found = annotate(
    grams,
    ["we", " can", " check", " 1", "2", "3"],
    ["we", " can", " check", ", 1", "2", " 3"],
    ["we", " can"],
    [" check", "12"],
    [],
    length=6,
  )
  want = [[1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 0], *[[0] * 6] * 3]
  np.testing.assert_array_equal(found, want)


def test_a_list_without_grams_is_refused(tmp_path):
  path = tmp_path / "empty.txt"
  path.write_text("\n --- \n")
  with pytest.raises(ValueError, match=r"empty\.txt holds no gram"):
    read_grams(str(path))


@pytest.mark.long
def test_with_a_list_it_keeps_the_laws(grams):
  method = hicra(grams=grams, proxy=None)
  laws.check(method, neutral=hicra(0.0, grams=grams, proxy=None))
  laws.documents_itself(laws.Subject(method, hicra.__doc__))


@pytest.mark.parametrize(
  "wrong",
  [
    {"coef": -0.1},
    {"proxy": "length"},
    {"grams": "grams.txt"},
    {"grams": "", "proxy": None},
    {"grams": "no/such/file", "proxy": None},
    {"proxy_fraction": 0.0},
    {"proxy_rows": "long"},
  ],
)
def test_a_parameter_out_of_range_is_named(wrong):
  with pytest.raises(ValueError, match=rf"hicra\.{next(iter(wrong))} = "):
    hicra(**wrong)
