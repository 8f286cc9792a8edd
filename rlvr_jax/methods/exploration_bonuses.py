"""Bonuses for what is new in the episode, in all training, or in both."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax import novelty, reduce
from rlvr_jax.notes import Hashed
from rlvr_jax.novelty import counts, visits
from rlvr_jax.stats import Features
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array, Need, PyTree

CHOICES = {
  "episodic_bonus": ("e3b", "indicator", "count", "none"),
  "global_bonus": ("count", "noveld", "none"),
  "combine": ("multiply", "add"),
  "episode": ("group", "response"),
  "order": ("free", "sequential"),
  "covariance": ("before", "including"),
  "key": ("prompt_answer", "answer", "grams"),
  "pool": ("mean", "last"),
  "scaling": ("unit", "raw"),
  "error": ("norm", "squared"),
  "norm": ("elements", "steps", "none"),
  "gate": ("correct", "all"),
  "target": ("reward", "advantage"),
}
LEAST_RIDGE = 1e-3  # below it float32 may find the ellipsoid to be none
ROUNDING = 1e-5  # a deviation below this share of the mean is none
RANGES = {
  "coef": "be >= 0, and <= 1 where target = 'advantage', or signs would turn",
  "global_coef": "be >= 0",
  "ridge": f"be >= {LEAST_RIDGE}",
  "size": "be >= 1",
  "every": "be >= 1",
  "decay": "lie in [0, 1)",
  "slots": "lie in [1, 2^30]",
  "noveld_scale": "be >= 0",
  "rate": "be > 0",
}


class ExplorationState(NamedTuple):
  """What is remembered of all training; () where it is not asked for."""

  visits: Array | tuple  # i32[slots] rows with each key
  centre: Array | tuple  # f32[size] mean feature
  centred: Array | tuple  # bool[] whether it is known
  distilled: PyTree  # predictor and its optimizer
  moments: novelty.Moments | tuple  # of the bonuses


def exploration_bonuses(
  coef: float = 0.1,
  episodic_bonus: str = "e3b",
  global_bonus: str = "count",
  combine: str = "multiply",
  global_coef: float = 1.0,
  episode: str = "group",
  order: str = "free",
  covariance: str = "before",
  first_zero: bool = True,
  ridge: float = 0.1,
  size: int = 64,
  pool: str = "mean",
  every: int = 16,
  scaling: str = "unit",
  decay: float = 0.9,
  key: str = "prompt_answer",
  slots: int = 2**18,
  noveld_scale: float = 0.1,
  error: str = "norm",
  rate: float = 1e-4,
  norm: str = "elements",
  gate: str = "correct",
  target: str = "reward",
) -> LossTransform:
  """Rewards responses that are new in their group and new in all training.

    b = episodic x global, or episodic + global_coef global
    reward    R += coef mean b / s       s the running deviation of b
    advantage A += coef min(b / s, |A|)

  Episodic, over the responses of a group or the states of one response:
    e3b        x' C^-1 x, C = ridge I + the sum of y y' over the other states
    indicator  1 if N = 1, else 0; N the responses of the group with this key
    count      1 / sqrt(N)
  Global, over all steps so far:
    count      1 / sqrt(N), N the responses with this key, itself included
    noveld     max(0, e - noveld_scale e'), e the error with which a network
               that learns predicts a frozen random one at the state, e' at the
               state it was reached from

  A state x is a hidden state less its running mean, scaled to length 1: of a
  response pooled over its tokens, reached from the state after the prompt; or
  every few tokens of it, each reached from the one before. With "free" every
  row of a group sees all others of it, with "sequential" the rows before it. A
  response without a key has no count and no bonus by counts. Hash collisions
  can only lower a bonus by counts; of n keys about n^2 / slots have one. What
  is counted in all training is the text of an answer: where the task finds
  answers equal that have other canonical forms, as x+x and 2x, they are one in
  a step, but those of two steps only if they have one form, as 0.5 and 1/2 do.

  "reward" stands before the advantage estimator; take one that does not divide
  by the deviation, `dr_grpo`, or coef is divided away where all are right.
  "advantage" stands behind it.

  Edits:   if target is "reward" batch.reward (+); if it is not,
           batch.advantages (+)
  Needs:   at rollout hidden state of the policy, projected to `size` numbers,
           if a bonus is e3b or noveld; note of hashed answers or texts if one
           is by counts
  State:   visits i32[slots], centre f32[size], centred bool[], predictor with
           its moments, 6 size^2 numbers, moments of b 3 f32[], each if it is
           used, set at prepare
  Scope:   group, and all steps so far; row with episode = "response"
  Neutral: coef = 0

  Args:
    coef: the paper's beta, unit of the reward, >= 0, at most 1 for
      "advantage", which then changes no sign; 1 for e3b, 0.1 to 10 for counts.
    episodic_bonus: "e3b", "indicator", "count", or "none", which is 1.
    global_bonus: "count", "noveld", or "none", which is 1.
    combine: "multiply" or "add"; "add" wants both bonuses.
    global_coef: of the global bonus with "add", >= 0; 1.
    episode: over a "group" or within a "response"; e3b or none alone know a
      response as an episode.
    order: "free", or "sequential" as in the code; then equal keys of one step
      are counted one after the other too. Read with "group".
    covariance: whether C is of the states "before" (paper; the code's path by
      ranks of one) or "including" x (its other path): b / (1 + b).
    first_zero: the first state of a sequential episode has e3b 0 (code).
    ridge: lambda, squared unit of the states, >= 1e-3; 0.1.
    size: numbers per hidden state after a fixed random projection, >= 1; 1024
      and 256 of encoders trained for it. e3b holds about 3 size^2 numbers per
      row, one size^2 if sequential.
    pool: state of a response, the "mean" over its tokens or the one before its
      "last".
    every: tokens from one state of a response to the next, >= 1.
    scaling: of states, "unit", or "raw" for neither centre nor length.
    decay: of the running mean of the states, in [0, 1).
    key: what is counted, "prompt_answer", the "answer" of any prompt, or
      "grams", the least hash of three consecutive words of the response.
    slots: counters, 4 bytes each, in [1, 2^30].
    noveld_scale: >= 0; 0.1, 0.5 in NovelD, 0 is RND.
    error: "norm" (code) or "squared" (paper of RND).
    rate: of the predictor, > 0; 1e-4. One step of Adam per training step.
    norm: s over "elements"; over "steps" as in the code, which divides sums
      over all bonuses by the length of an episode; "none" for s = 1.
    gate: paid are "correct" responses, those with a reward above 0, or "all".
    target: "reward" or "advantage".

  Returns:
    A LossTransform named "exploration_bonuses".

  Raises:
    ValueError: an unknown choice, two that exclude each other, or a number out
      of range.

  Metrics:
    exploration_bonuses/episodic: mean episodic bonus.
    exploration_bonuses/global: mean global bonus.
    exploration_bonuses/bonus: mean of b / s.
    exploration_bonuses/edit: mean of what is added, over rows with a group, or
      their tokens.
    exploration_bonuses/new_fraction: share of the responses with a key that no
      earlier step had; only if global_bonus is "count".
    exploration_bonuses/prediction_error: mean e; only if "noveld".

  Source:
    Henaff et al., A Study of Global and Episodic Bonuses for Exploration in
    Contextual MDPs, arXiv 2306.03236; E3B arXiv 2210.05805, RND arXiv
    1810.12894, NovelD (2021). Code: facebookresearch/e3b, minihack. What is an
    episode of a language model, and the numbers without a paper, are ours.
    Differs from that code: states are hidden states of the policy, where an
    encoder is trained by inverse dynamics; the predictor learns once a step; a
    state without a step before it has noveld 0.
  """
  _check(
    dict(
      episodic_bonus=episodic_bonus,
      global_bonus=global_bonus,
      combine=combine,
      episode=episode,
      order=order,
      covariance=covariance,
      key=key,
      pool=pool,
      scaling=scaling,
      error=error,
      norm=norm,
      gate=gate,
      target=target,
    ),
    coef=(0 <= coef <= (1 if target == "advantage" else math.inf), coef),
    global_coef=(global_coef >= 0, global_coef),
    ridge=(ridge >= LEAST_RIDGE, ridge),
    size=(size >= 1, size),
    every=(every >= 1, every),
    decay=(0 <= decay < 1, decay),
    slots=(1 <= slots <= 2**30, slots),
    noveld_scale=(noveld_scale >= 0, noveld_scale),
    rate=(rate > 0, rate),
  )
  embeds = episodic_bonus == "e3b" or global_bonus == "noveld"
  centres = embeds and scaling == "unit"
  tallies = episodic_bonus in ("indicator", "count") or global_bonus == "count"
  sequential = order == "sequential"
  features = Need(Features(size), when="rollout")
  hashed = Need(Hashed(key, slots), when="rollout")
  distiller = novelty.Distiller(size, rate, error == "squared")

  def init(example):
    del example
    return ExplorationState(
      jnp.zeros(slots, jnp.int32) if global_bonus == "count" else (),
      jnp.zeros(size, jnp.float32) if centres else (),
      jnp.asarray(False) if centres else (),
      distiller.init() if global_bonus == "noveld" else (),
      novelty.Moments.start() if norm != "none" else (),
    )

  def visited(batch, state, context):
    """The states, of length 1 about a mean that they move first."""
    known = context.stat(features) if embeds else None
    if episode == "group":
      found = visits.whole(batch, known, pool)
    else:
      found = visits.along(batch, known, every)
    if not centres:
      return found, state
    mean, some = found.mean(), found.mask.any()
    moved = decay * state.centre + (1 - decay) * mean
    moved = jnp.where(state.centred, moved, mean)
    centre = jnp.where(some, moved, state.centre)
    state = state._replace(centre=centre, centred=state.centred | some)
    return found.about(centre), state

  def ellipsoids(found):
    """f32[B, S]: e3b, and where it is of a first state."""
    group = found.group
    if episode == "response":
      run = lambda x: novelty.sequence(x, ridge).bonus
      bonus = jax.vmap(run)(found.points)
      return bonus, jnp.arange(bonus.shape[1]) == 0
    states = found.points[:, 0]
    if not sequential:
      bonus = novelty.leave_one_out(states, group, ridge)
      return bonus[:, None], jnp.asarray(False)
    place = reduce.group_rank(jnp.zeros(len(group)), group)
    bonus = novelty.grouped(states, group, ridge)
    return bonus[:, None], (place == 0)[:, None]

  def in_episode(found, keys):
    """f32[B, S]: the episodic bonus."""
    if episodic_bonus == "e3b":
      bonus, first = ellipsoids(found)
      if covariance == "including":
        bonus = bonus / (1 + bonus)
      return jnp.where(first, 0, bonus) if first_zero else bonus
    if episodic_bonus == "none":
      return jnp.ones(found.mask.shape)
    number = counts.number(keys, found.group, sequential)
    if episodic_bonus == "count":
      return counts.inverse_root(number)[:, None]
    return (number == 1).astype(jnp.float32)[:, None]

  def tallied(found, keys, state):
    """f32[B, 1], state and metrics: 1 / sqrt of the count of each key."""
    keys = jnp.where(found.group < 0, -1, keys)
    earlier, known = counts.seen(state.visits, keys), keys >= 0
    here = known.astype(jnp.float32)
    if sequential:
      here = counts.number(keys, jnp.zeros_like(keys), sequential)
    new = (earlier == 0).astype(jnp.float32)
    metrics = {
      "exploration_bonuses/new_fraction": reduce.masked_mean(new, known)
    }
    bonus = counts.inverse_root(earlier + here)[:, None]
    after = counts.after(state.visits, keys)
    return bonus, state._replace(visits=after), metrics

  def predicted(found, state):
    """f32[B, S], state and metrics: how much worse than the state before."""
    error_of = lambda x: distiller.error(state.distilled, x)
    now = error_of(found.points)
    bonus = novelty.noveld(now, error_of(found.before), noveld_scale)
    mean = reduce.masked_mean(now, found.reached)
    metrics = {"exploration_bonuses/prediction_error": mean}
    learnt = distiller.learn(state.distilled, found.points, found.reached)
    bonus = jnp.where(found.reached, bonus, 0)
    return bonus, state._replace(distilled=learnt), metrics

  def in_training(found, keys, state):
    """f32[B, S], state and metrics: the global bonus."""
    if global_bonus == "count":
      return tallied(found, keys, state)
    if global_bonus == "noveld":
      return predicted(found, state)
    return jnp.ones(found.mask.shape), state, {}

  def normed(bonus, found, state):
    if norm == "none":
      return bonus, state
    length = None
    if norm == "steps":
      rows = reduce.group_count(found.group)
      length = rows if episode == "group" else found.mask.sum(axis=1)
      length = length.max()
    moments = state.moments.after(bonus, found.mask, length)
    real = moments.std > ROUNDING * jnp.abs(moments.mean)
    std = jnp.where(real, moments.std, 1)
    return bonus / std, state._replace(moments=moments)

  def paid(batch, bonus, found):
    """The edited batch, and the mean of what is added."""
    live = batch.group >= 0
    gets = live & ((batch.reward > 0) | (gate == "all"))
    if target == "reward":
      added = jnp.where(gets, coef * reduce.row_mean(bonus, found.mask), 0)
      edited = batch.replace(reward=batch.reward + added)
      return edited, reduce.masked_mean(added, live)
    each = visits.per_token(bonus, batch.mask, every)
    added = coef * jnp.minimum(each, jnp.abs(batch.advantages))
    added = jnp.where(gets[:, None] & batch.mask, added, 0)
    edited = batch.replace(advantages=batch.advantages + added)
    return edited, reduce.masked_mean(added, batch.mask & live[:, None])

  def prepare(batch, state, context):
    keys = context.stat(hashed) if tallies else None
    found, state = visited(batch, state, context)
    inside = in_episode(found, keys)
    outside, state, metrics = in_training(found, keys, state)
    both = novelty.combined(inside, outside, combine, global_coef)
    bonus, state = normed(jnp.where(found.mask, both, 0), found, state)
    batch, edit = paid(batch, bonus, found)
    spread = lambda x: jnp.broadcast_to(x, found.mask.shape)
    mean = lambda x: reduce.masked_mean(spread(x), found.mask)
    metrics |= {
      "exploration_bonuses/episodic": mean(inside),
      "exploration_bonuses/global": mean(outside),
      "exploration_bonuses/bonus": mean(bonus),
      "exploration_bonuses/edit": edit,
    }
    return batch.replace(metrics=batch.metrics | metrics), state

  needs = (features,) * embeds + (hashed,) * tallies
  return LossTransform(
    "exploration_bonuses", init, prepare=prepare, needs=needs
  )


def _check(
  choices: dict[str, str], **numbers: tuple[bool, float | int]
) -> None:
  """Refuses what `exploration_bonuses` says it refuses.

  Args:
    choices: what is chosen, by name.
    **numbers: whether a number is in its range, and the number.

  Raises:
    ValueError: the first that is wrong.
  """
  wrong = lambda name, value, must: ValueError(
    f"exploration_bonuses.{name} = {value!r} must {must}."
  )
  for name, value in choices.items():
    if value not in CHOICES[name]:
      raise wrong(name, value, f"be in {CHOICES[name]}")
  for name, (holds, value) in numbers.items():
    if not holds:
      raise wrong(name, value, RANGES[name])
  inside, outside = choices["episodic_bonus"], choices["global_bonus"]
  if choices["episode"] == "response" and inside in ("indicator", "count"):
    must = "be 'e3b' or 'none' where episode = 'response', with its one answer"
    raise wrong("episodic_bonus", inside, must)
  least = 2 if choices["combine"] == "add" else 1
  if (inside != "none") + (outside != "none") < least:
    must = f"leave {least} bonuses that are not 'none'"
    raise wrong("global_bonus", outside, must)
