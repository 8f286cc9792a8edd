"""PEAR: right answers earn less for an uncertain chain of thought."""

import dataclasses
from typing import ClassVar, Literal

import jax.numpy as jnp
import numpy as np

from rlvr_jax import reduce
from rlvr_jax.stats import Entropy
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Need, Responses

MISSING = ("all", "paper")
ENTROPY = Need(Entropy(), when="rollout")
TAG, THINKING, ANSWERING = 0, 1, 2


@dataclasses.dataclass(frozen=True)
class Phases:
  """What a response is doing at each token; i32[B, T].

  THINKING before the first tag and where there is none, ANSWERING behind it,
  TAG for tokens that share a character with it.

  Attributes:
    tag: text that ends the thinking.
  """

  tag: str
  shape: ClassVar[Literal["token"]] = "token"
  values: ClassVar[tuple[int, int]] = (TAG, ANSWERING)

  def annotate(self, responses: Responses) -> np.ndarray:
    """The phase of every token."""
    found = np.full((len(responses.pieces), responses.length), THINKING)
    for row, pieces in zip(found, responses.pieces):
      begin = "".join(pieces).find(self.tag)
      if begin >= 0:
        lengths = np.array([len(piece) for piece in pieces])
        ends = np.cumsum(lengths)
        behind = ends - lengths >= begin + len(self.tag)
        phase = np.where(behind, ANSWERING, TAG)
        row[: len(pieces)] = np.where(ends <= begin, THINKING, phase)
    return found.astype(np.int32)


def pear(
  answer_coef: float = 1.0,
  score: float = 1.0,
  wrong: float = 0.0,
  min_reward: float | None = None,
  missing_tag: str = "all",
  tag: str = "</think>",
) -> LossTransform:
  """Takes the entropy of the thinking, beyond that of the answer, off a reward.

  With H_think and H_answer the mean token entropies of a response before and
  behind the tag, of which an empty part has 0:
    P = max(0, H_think - answer_coef H_answer)
    R = min(1, score - P) if right, else wrong
  The right responses of least entropy win in their group, and chains of thought
  become shorter without a target. The entropy is that of the policy at
  sampling, without gradient. Of the reward it reads whether it is above 0, and
  puts its own in place: stand behind what says who is right (`ttrl`), before
  what adds to rewards, and before the estimator.

  Edits:   batch.reward (×)
  Needs:   entropy of the policy at rollout; note of the phases, written on the
           host after the rollout
  State:   none
  Scope:   token
  Neutral: none; responses without entropy get score or wrong

  Args:
    answer_coef: alpha, weight of the answer's entropy; 1, of -1 to 2 tried. The
      larger, the longer the responses.
    score: reward of a right response before the penalty, in (0, 1]; 1.
    wrong: reward of all others, in [0, 1); 0.
    min_reward: least reward of a response, <= 0; None (paper) for none. P may
      exceed score, and then a right response earns less than 0.
    missing_tag: which tokens of a response without the tag think: "all" (code),
      or all "paper" counts, without the last.
    tag: text that ends the thinking, not empty.

  Returns:
    A LossTransform named "pear".

  Raises:
    ValueError: an unknown choice, an empty tag, or a number out of range.

  Metrics:
    pear/thinking_entropy: mean of H_think over the rows with a group, nats.
    pear/answer_entropy: mean of H_answer over these, nats.
    pear/penalty: mean of P over the right ones of these, nats.
    pear/tagged_fraction: share of these rows that hold the tag.
    pear/inverted_fraction: share of the right ones that earn less than wrong
      ones.

  Source:
    Huang et al., PEAR: Phase Entropy Aware Reward for Efficient Reasoning,
    arXiv 2510.08026. Code: iNLP-Lab/PEAR, which could not be read.
    Differs from that code: not known; its treatment of a missing tag is that of
    a derived repository. Right means a reward above 0; the temperature of the
    entropy is that of scoring; min_reward is ours.
  """
  if not 0 < score <= 1:
    raise ValueError(f"pear.score = {score} must lie in (0, 1].")
  if not 0 <= wrong < 1:
    raise ValueError(f"pear.wrong = {wrong} must lie in [0, 1).")
  if not abs(answer_coef) < float("inf"):
    raise ValueError(f"pear.answer_coef = {answer_coef} must be finite.")
  if min_reward is not None and not min_reward <= 0:
    raise ValueError(f"pear.min_reward = {min_reward} must be None or <= 0.")
  if missing_tag not in MISSING:
    raise ValueError(
      f"pear.missing_tag = {missing_tag!r} must be in {MISSING}."
    )
  if not tag:
    raise ValueError(f"pear.tag = {tag!r} must be a text, not empty.")
  note = Need(Phases(tag), when="rollout")

  def prepare(batch, state, context):
    mask, live = batch.mask, batch.group >= 0
    phase, entropy = context.stat(note), context.stat(ENTROPY)
    tagged = (mask & (phase != THINKING)).any(axis=1)
    thinking = mask & (phase == THINKING)
    if missing_tag == "paper":
      thinking &= tagged[:, None] | ~reduce.last_token(mask)
    before = reduce.row_mean(entropy, thinking)
    behind = reduce.row_mean(entropy, mask & (phase == ANSWERING))
    penalty = jnp.maximum(before - answer_coef * behind, 0.0)
    right = batch.reward > 0
    earned = jnp.where(right, jnp.minimum(score - penalty, 1.0), wrong)
    if min_reward is not None:
      earned = jnp.maximum(earned, min_reward)
    mean = lambda x, rows=live: reduce.masked_mean(x.astype(jnp.float32), rows)
    metrics = {
      "pear/thinking_entropy": mean(before),
      "pear/answer_entropy": mean(behind),
      "pear/penalty": mean(penalty, live & right),
      "pear/tagged_fraction": mean(tagged),
      "pear/inverted_fraction": mean(earned < wrong, live & right),
    }
    return batch.replace(
      reward=jnp.where(live, earned, batch.reward),
      metrics=batch.metrics | metrics,
    ), state

  return LossTransform("pear", prepare=prepare, needs=(ENTROPY, note))
