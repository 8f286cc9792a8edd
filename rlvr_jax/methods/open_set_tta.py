"""Open-set adaptation: trains where confidence in the first answer holds."""

import dataclasses
from typing import ClassVar, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np

from rlvr_jax import reduce
from rlvr_jax.notes import Hashed
from rlvr_jax.stats import Entropy, Logp
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array, Context, Need, Responses, TokenBatch

RULES = ("votes", "likelihood", "all")
DROPS = ("mask", "reward_zero", "maximise_entropy")
KEEP = "open_set_tta/keep"
PROMPT = Need(Hashed("prompt", 2**30), when="rollout")
# Up to 2^24 a float32 holds every whole number.
ANSWER = Need(Hashed("answer", 2**24), when="rollout")
REF_LOGP = Need(Logp(), params=("ref",), when="rollout")
ENTROPY = Need(Entropy())


@dataclasses.dataclass(frozen=True)
class AnswerTokens:
  """Which tokens write the final answer; i32[B, T] of 0 and 1.

  Those that overlap the last place where the canonical answer stands as it is;
  none where it does not.
  """

  shape: ClassVar[Literal["token"]] = "token"
  values: ClassVar[tuple[int, int]] = (0, 1)

  def annotate(self, responses: Responses) -> np.ndarray:
    """1 for tokens that share a character with the answer."""
    found = np.zeros((len(responses.pieces), responses.length), np.int32)
    for row, pieces, answer in zip(found, responses.pieces, responses.answers):
      start = "".join(pieces).rfind(answer) if answer else -1
      if start >= 0:
        ends = np.cumsum([len(piece) for piece in pieces])
        begins = np.concatenate([[0], ends[:-1]])
        row[: len(pieces)] = (begins < start + len(answer)) & (ends > start)
    return found


WRITES = Need(AnswerTokens(), when="rollout")


class OpenSetState(NamedTuple):
  """What was the answer to each prompt when it was first seen."""

  prompt: Array  # i32[slots] whose the slot is; -1 nobody's
  answer: Array  # i32[slots] the majority answer
  confidence: Array  # f32[slots] its share of the votes
  votes: Array  # f32[slots] how many there were


class _Poll(NamedTuple):
  """The answers to the prompt of each row; votes are of the main draw."""

  prompt: Array  # i32[B]; -1 none
  pool: Array  # i32[B] number of the prompt in the step
  answer: Array  # i32[B]; -1 none
  voice: Array  # f32[B] 1 for rows that vote
  votes: Array  # f32[B] of the prompt

  def share(self, answer: Array) -> Array:
    """f32[B]: of the votes of the prompt, those for an answer i32[B]."""
    agrees = self.voice * (self.answer == answer)
    return reduce.group_sum(agrees, self.pool) / jnp.maximum(self.votes, 1)

  def shares(self) -> Array:
    """f32[B]: of the votes of the prompt, those for the row's own answer."""
    same = reduce.subgroup(self.pool, self.answer)
    return reduce.group_sum(self.voice, same) / jnp.maximum(self.votes, 1)

  def majority(self) -> Array:
    """i32[B]: the most frequent answer of the prompt; -1 none.

    Of equally frequent ones that of the largest number, so that the order of
    the rows does not matter.
    """
    share = jnp.where(self.answer < 0, 0, self.shares())
    speaks = (share > 0) & (share == reduce.group_max(share, self.pool))
    number = self.answer.astype(jnp.float32) + 1
    top = reduce.group_max(number, self.pool, speaks)
    return top.astype(jnp.int32) - 1

  def entropy(self) -> Array:
    """f32[B]: of the answers to the prompt, nats; none is one more answer."""
    share = self.shares()
    nats = -self.voice * jnp.log(jnp.where(share > 0, share, 1))
    return reduce.group_sum(nats, self.pool) / jnp.maximum(self.votes, 1)


def open_set_tta(
  rule: str = "votes",
  slack: float = 1.0,
  margin: float = 0.0,
  on_drop: str = "mask",
  drop_coef: float = 1e-3,
  entropy_coef: float = 0.0,
  entropy_low: float | None = None,
  entropy_high: float | None = None,
  collect: int = 0,
  slots: int = 2**16,
) -> LossTransform:
  """Trains on the prompts whose first answer has not lost confidence.

  Adapting without labels strengthens wrong predictions too, but the shared
  parameters follow the majority, which is mostly right: where the policy is
  wrong, its confidence in what it first predicted falls.
    votes       keep a prompt iff y + margin + slack s >= y0, with y0 the share
                of its majority answer when it was first seen, among G0 votes,
                y the share of that answer now, among G, and
                s = sqrt(y0 (1 - y0) (1/G + 1/G0)), one standard error
    likelihood  keep a response iff y + margin >= y0, y the mean likelihood,
                exp(mean log p), of its answer's tokens under the policy, y0
                under the reference
    all         keep everything
  and iff entropy_low < H < entropy_high, H the entropy of the answers to the
  prompt. What nobody can judge is kept: prompts seen for the first time or
  whose slot belongs to another one, responses whose answer does not stand in
  them as it is. Minimising the entropy of what is kept, entropy_coef, is TENT.

  All rows of the main draw vote, also those that a method before it took out,
  as `ttrl` does with rows that only vote, and those of unknown reward: a vote
  is an answer, not a verdict. Of equally frequent answers that of the largest
  hash is the majority, in whatever order the rows are; `ttrl` takes the first.
  An answer is remembered by its text: where the task finds answers equal that
  have other canonical forms, as x+x and 2x, they are one in a step, but those
  of two steps only if they have one form, as 0.5 and 1/2 do.

  Stand behind what makes rewards (`ttrl`) and before the estimator.

  Edits:   if on_drop is "mask" batch.mask (×) and batch.group (×), -1 in the
           rows dropped; if collect > 0 batch.mask (×); if on_drop is
           "reward_zero" batch.reward (×); if on_drop is "maximise_entropy"
           objective.weights (×); if that or entropy_coef > 0 objective.added
           (+)
  Needs:   at rollout notes of the hashed prompt and answer if by votes or
           entropies, note of the answer's tokens and log-prob of ref if by
           likelihoods; entropy of the policy at update if it is in the loss
  State:   prompt i32[slots], answer i32[slots], confidence f32[slots] and votes
           f32[slots], set at prepare, each slot once; none unless by votes
  Scope:   all responses of the step to a prompt; row if by likelihood
  Neutral: rule = "all" with entropy_coef = 0

  Args:
    rule: "votes", "likelihood" or "all".
    slack: standard errors that a share may have fallen, >= 0; 0 is the
      published rule, for exact confidences. Votes are few.
    margin: likewise, a share or likelihood, >= 0.
    on_drop: what is dropped is no part of loss and group ("mask"), gets
      "reward_zero", or "maximise_entropy": no policy loss but -drop_coef H per
      token, as UniEnt treats samples of unknown classes.
    drop_coef: of that entropy, loss per nat, >= 0.
    entropy_coef: of the token entropy of what is kept, which is minimised, loss
      per nat, >= 0.
    entropy_low: bound on H that is no longer kept, nats; None for no bound.
    entropy_high: the upper one, nats; None for no bound.
    collect: steps at the beginning in which nothing trains but votes are
      noted, >= 0, and 0 unless by votes: those of an epoch make all first
      votes those of the initial policy. 0 takes each prompt's first step,
      trained on before or not.
    slots: prompts that can be known, 16 bytes each, in [1, 2^30]. Of n prompts
      about n^2 / (2 slots) share theirs, which the first keeps; n^2 / 2^31 are
      taken for another.

  Returns:
    A LossTransform named "open_set_tta".

  Raises:
    ValueError: an unknown choice, a number out of range, or collect > 0 where
      no votes are noted.

  Metrics:
    open_set_tta/kept_fraction: share of the rows with a group that are kept.
    open_set_tta/judged_fraction: share of those rows that could be judged;
      only if rule is not "all".
    open_set_tta/confidence: mean y of the judged rows; only if rule is not
      "all".
    open_set_tta/first_confidence: mean y0 of the judged rows; likewise, only if
      there is a rule.
    open_set_tta/answer_entropy: mean H of the rows with a group, nats; only if
      it is bounded.
    open_set_tta/entropy: mean token entropy of what is kept, nats; only if it
      is in the loss.

  Source:
    Lee et al., Towards Open-Set Test-Time Adaptation Utilizing the Wisdom of
    Crowds in Entropy Minimization, arXiv 2308.06879; TENT arXiv 2006.10726.
    Code: gaozhengqing/UniEnt, cifar/ostta.py. The classifier's own loss is in
    analysis/open_set.py; prompts as samples and answers as classes are ours.
    Differs from that code: no entropy of the mean prediction is maximised, as
    prompts share no classes; likelihoods are those of the response's own
    answer, since that of another one would take a pass of its own.
  """
  chosen = (("rule", rule, RULES), ("on_drop", on_drop, DROPS))
  for name, value, known in chosen:
    if value not in known:
      raise ValueError(f"open_set_tta.{name} = {value!r} must be in {known}.")
  least = dict(
    slack=slack,
    margin=margin,
    drop_coef=drop_coef,
    entropy_coef=entropy_coef,
    collect=collect,
  )
  for name, value in least.items():
    if not value >= 0:
      raise ValueError(f"open_set_tta.{name} = {value!r} must be >= 0.")
  if collect and rule != "votes":
    raise ValueError(
      f"open_set_tta.collect = {collect} must be 0 where rule = {rule!r}: "
      "no votes are noted then; take rule = 'votes', or leave it out."
    )
  if not 1 <= slots <= 2**30:
    raise ValueError(f"open_set_tta.slots = {slots} must lie in [1, 2^30].")
  bounded = entropy_low is not None or entropy_high is not None
  polls = bounded or rule == "votes"
  ascends = on_drop == "maximise_entropy"
  regularizes = ascends or entropy_coef > 0

  def init(example):
    del example
    whole = jnp.zeros(slots, jnp.int32)
    part = jnp.zeros(slots, jnp.float32)
    return OpenSetState(whole - 1, whole - 1, part, part)

  def by_votes(poll, state, live):
    """Judged rows, y, y0 and the error allowed."""
    slot = jnp.maximum(poll.prompt, 0) % slots
    known = (poll.prompt >= 0) & (state.prompt[slot] == poll.prompt)
    judged = live & known & (poll.votes > 0)
    first = state.confidence[slot]
    rounds = 1 / jnp.maximum(poll.votes, 1)
    rounds += 1 / jnp.maximum(state.votes[slot], 1)
    error = jnp.sqrt(first * (1 - first) * rounds)
    now = poll.share(state.answer[slot])
    return judged, now, first, slack * error

  def by_likelihood(batch, context):
    """The same of rows; two passes of one policy differ by rounding."""
    writes = (context.stat(WRITES) > 0) & batch.mask
    ref = jnp.exp(reduce.row_mean(context.stat(REF_LOGP), writes))
    now = jnp.exp(reduce.row_mean(batch.old_logp, writes))
    judged = writes.any(axis=1) & (batch.group >= 0)
    return judged, now, ref, reduce.ROUNDING * ref

  def prepare(batch, state, context):
    live = batch.group >= 0
    keep, metrics = jnp.ones_like(live), {}
    poll = _poll(batch, context) if polls else None
    if rule != "all":
      votes = rule == "votes"
      judged, now, first, error = (
        by_votes(poll, state, live) if votes else by_likelihood(batch, context)
      )
      keep = ~judged | (now + margin + error >= first)
      state = _remember(poll, state) if votes else state
      mean = lambda x: reduce.masked_mean(x, judged)
      metrics["open_set_tta/confidence"] = mean(now)
      metrics["open_set_tta/first_confidence"] = mean(first)
      metrics["open_set_tta/judged_fraction"] = reduce.masked_mean(
        judged.astype(jnp.float32), live
      )
    if bounded:
      nats = poll.entropy()
      low = -1.0 if entropy_low is None else entropy_low
      high = jnp.inf if entropy_high is None else entropy_high
      keep &= ~live | ((nats > low) & (nats < high))
      metrics["open_set_tta/answer_entropy"] = reduce.masked_mean(nats, live)
    weight = keep.astype(jnp.float32)
    kept = reduce.masked_mean(weight, live)
    metrics["open_set_tta/kept_fraction"] = kept
    if collect:
      trains = context.step >= collect
      batch = batch.replace(mask=batch.mask & trains)
    if on_drop == "mask":
      batch = batch.replace(
        mask=batch.mask & keep[:, None],
        group=jnp.where(keep, batch.group, -1),
      )
    elif on_drop == "reward_zero":
      batch = batch.replace(reward=batch.reward * weight)
    if regularizes:
      batch = batch.replace(notes=batch.notes | {KEEP: weight})
    return batch.replace(metrics=batch.metrics | metrics), state

  def apply(objective, state, context):
    keep = jnp.broadcast_to(
      context.batch.notes[KEEP][:, None], objective.mask.shape
    )
    nats = context.stat(ENTROPY)
    up = drop_coef if ascends else 0.0
    added = (entropy_coef * keep - up * (1 - keep)) * nats
    mean = reduce.masked_mean(nats, objective.mask * keep)
    metrics = {"open_set_tta/entropy": mean}
    edited = objective.replace(
      added=objective.added + added, metrics=objective.metrics | metrics
    )
    if ascends:
      edited = edited.replace(weights=objective.weights * keep)
    return edited, state

  needs = (PROMPT, ANSWER) * polls
  needs += (WRITES, REF_LOGP) * (rule == "likelihood")
  method = LossTransform("open_set_tta", prepare=prepare, needs=needs)
  if rule == "votes":
    method = method._replace(init=init)
  if regularizes:
    method = method._replace(apply=apply, needs=(*needs, ENTROPY))
  return method


def _poll(batch: TokenBatch, context: Context) -> _Poll:
  # Not by group and mask: `ttrl` clears both in rows that only vote.
  prompt = jnp.where(batch.prompt >= 0, context.stat(PROMPT), -1)
  pool = reduce.subgroup(jnp.where(prompt < 0, -1, 0), prompt)
  voice = ((batch.source == 0) & (pool >= 0)).astype(jnp.float32)
  votes = reduce.group_sum(voice, pool)
  return _Poll(prompt, pool, context.stat(ANSWER), voice, votes)


def _remember(poll: _Poll, state: OpenSetState) -> OpenSetState:
  """Notes the answers to new prompts where there is room for them."""
  slots, majority = len(state.prompt), poll.majority()
  slot = jnp.maximum(poll.prompt, 0) % slots
  new = (poll.prompt >= 0) & (majority >= 0) & (state.prompt[slot] < 0)
  # Of two new ones in a slot the larger number gets it, in whatever order.
  claims = jnp.full(slots, -1, jnp.int32)
  claims = claims.at[slot].max(jnp.where(new, poll.prompt, -1))
  wins = new & (claims[slot] == poll.prompt)
  place = jnp.where(wins, slot, slots)
  # Rows that write to one place write the same.
  put = lambda old, x: old.at[place].set(x.astype(old.dtype), mode="drop")
  return OpenSetState(
    put(state.prompt, poll.prompt),
    put(state.answer, majority),
    put(state.confidence, poll.share(majority)),
    put(state.votes, poll.votes),
  )
