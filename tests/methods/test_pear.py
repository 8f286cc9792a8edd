"""PEAR: rewards less the entropy of the thinking."""

import jax
import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax import transform
from rlvr_jax.methods.grpo import grpo
from rlvr_jax.methods.pear import (
  ANSWERING,
  ENTROPY,
  TAG,
  THINKING,
  Phases,
  pear,
)
from rlvr_jax.types import Need, Responses

pytestmark = pytest.mark.usefixtures("quick_compile")

NOTE = Need(Phases("</think>"), when="rollout")
PHASES = [THINKING, THINKING, TAG, ANSWERING, ANSWERING]
# 0.8 before the tag and 0.3 behind it, on average.
NATS = [0.6, 1.0, 9.0, 0.1, 0.5]


def prepared(method, nats=(NATS,), phases=None, reward=None, mask=None):
  shape = np.shape(nats)
  phases = [PHASES] * shape[0] if phases is None else phases
  mask = np.ones(shape) if mask is None else mask
  batch = common.batch(
    np.zeros(shape),
    None,
    mask,
    reward=np.ones(shape[0]) if reward is None else reward,
    stats={ENTROPY.key: np.float32(nats)},
    notes={NOTE.key: np.int32(phases)},
  )
  return jax.jit(lambda b: common.prepared(method, b))(batch)


def rewards(method, *args, **kwargs):
  return np.asarray(prepared(method, *args, **kwargs).reward)


@pytest.mark.parametrize(
  ("coef", "want"), [(1, 0.5), (0, 0.2), (-1, -0.1), (2, 0.8), (3, 1.0)]
)
def test_a_right_response_has_its_known_reward(coef, want):
  found = rewards(pear(answer_coef=coef))
  np.testing.assert_allclose(found, [want], rtol=1e-5)


def test_equal_entropy_in_both_parts_costs_nothing():
  nats = np.full((1, 5), 0.7)
  np.testing.assert_allclose(rewards(pear(), nats), [1.0], rtol=1e-6)
  alone = rewards(pear(answer_coef=0.0), nats)
  np.testing.assert_allclose(alone, [0.3], rtol=1e-6)
  assert rewards(pear(score=0.9), np.zeros((1, 5))) == np.float32(0.9)


def test_the_tag_padding_and_the_order_of_tokens_do_not_matter():
  want = rewards(pear())
  other = [1.0, 0.6, 0.0, 0.5, 0.1]
  np.testing.assert_allclose(rewards(pear(), [other]), want, rtol=1e-6)
  padded = prepared(
    pear(), [[*NATS, 7.0]], [[*PHASES, ANSWERING]], mask=[[1] * 5 + [0]]
  )
  np.testing.assert_allclose(padded.reward, want, rtol=1e-6)


def test_wrong_responses_earn_the_same_whatever_their_entropy():
  nats = [NATS, np.zeros(5), np.full(5, 3.0)]
  found = prepared(pear(wrong=0.1), nats, reward=[0.0, 0, 0])
  np.testing.assert_allclose(found.reward, 0.1)
  learnt = prepared(transform.chain(pear(), grpo()), nats, reward=[0.0, 0, 0])
  assert not np.asarray(learnt.advantages).any()


def test_among_right_responses_the_advantage_falls_with_the_penalty():
  thinking = np.array([0.9, 0.1, 0.5, 0.7])
  nats = np.where(np.array(PHASES) == THINKING, thinking[:, None], 0.0)
  found = prepared(transform.chain(pear(), grpo()), nats)
  order = np.argsort(np.asarray(found.advantages)[:, 0])
  np.testing.assert_array_equal(order, np.argsort(-thinking))
  np.testing.assert_allclose(
    found.metrics["pear/penalty"], thinking.mean(), rtol=1e-6
  )


def test_a_response_without_a_tag_thinks_throughout():
  nats, phases = [[0.1, 0.2, 0.9]], [[THINKING] * 3]
  found = rewards(pear(), nats, phases)
  np.testing.assert_allclose(found, [0.6], rtol=1e-6)
  paper = rewards(pear(missing_tag="paper"), nats, phases)
  np.testing.assert_allclose(paper, [0.85], rtol=1e-6)
  # It is the same of one that has the tag.
  tagged = rewards(pear(missing_tag="paper"))
  np.testing.assert_array_equal(tagged, rewards(pear()))


def test_an_empty_part_has_no_entropy():
  last = rewards(pear(), [[0.4, 9.0]], [[THINKING, TAG]])
  np.testing.assert_allclose(last, [0.6], rtol=1e-6)
  first = rewards(pear(), [[9.0, 0.4]], [[TAG, ANSWERING]])
  np.testing.assert_array_equal(first, [1.0])


def test_a_penalty_above_the_score_is_negative_unless_held():
  nats = [np.where(np.array(PHASES) == THINKING, 3.0, 0.0)] * 2
  found = prepared(pear(), nats, reward=[1.0, 0.0])
  np.testing.assert_allclose(found.reward, [-2.0, 0.0])
  assert found.metrics["pear/inverted_fraction"] == 1
  held = prepared(pear(min_reward=0.0), nats, reward=[1.0, 0.0])
  np.testing.assert_array_equal(held.reward, [0.0, 0.0])
  assert held.metrics["pear/inverted_fraction"] == 0


def phases(*pieces, tag="</think>"):
  responses = Responses([""], [""], [list(pieces)], [None], np.zeros(1), 8)
  return Phases(tag).annotate(responses)[0, : len(pieces)].tolist()


def test_tokens_are_told_apart_by_the_first_tag():
  assert phases("so", "</think>", "7", "</think>") == [1, 0, 2, 2]
  assert phases("so.</", "think", ">\n", "7", "") == [0, 0, 0, 2, 2]
  assert phases("</think>", "7") == [0, 2]
  assert phases("7", "", "+", "66", tag="+") == [1, 1, 0, 2]
  assert phases("no tag") == [1]


@pytest.mark.parametrize(
  "wrong",
  [
    {"score": 0.0},
    {"wrong": 1.0},
    {"answer_coef": float("inf")},
    {"min_reward": 0.5},
    {"missing_tag": "none"},
    {"tag": ""},
  ],
)
def test_a_value_out_of_range_is_refused(wrong):
  with pytest.raises(ValueError, match=rf"pear\.{next(iter(wrong))} = "):
    pear(**wrong)
