"""Arithmetic of rollouts that fork: when, how many, and whose advantage.

A response is a row. A fork is a row with a parent: it begins with tokens of the
parent and goes on with its own. All rows of a prompt are the leaves of a tree,
whose shared tokens stand in several rows.

ARPO (arXiv 2507.19849) forks where the entropy has risen since the first
segment, that is between the prompt and the first tool call. Agentic AEPO
(arXiv 2510.14545) forks less where it just did, and divides the responses of a
prompt into those begun anew and those forked. Entropies are shares of ln V.
"""

import math
from typing import Literal, get_args

import jax
import jax.numpy as jnp

from rlvr_jax.types import Array, TokenBatch

Mode = Literal["paper_fixed", "code"]


def top_entropy(logp: Array) -> Array:
  """What the likeliest tokens add to the entropy, nats.

  Their probabilities are not normalised, as in the code of ARPO.

  Args:
    logp: f32[..., k] log-probs of the k likeliest tokens; 10 in the code.

  Returns:
    f32[...], at most the entropy of the whole distribution.
  """
  p = jnp.exp(logp)
  return -jnp.where(p > 0, p * logp, 0).sum(axis=-1)


def segment_entropy(
  entropy: Array,
  inside: Array,
  vocabulary: int,
  mode: Mode = "paper_fixed",
  tokens: int = 20,
) -> Array:
  """Entropy at the beginning of a segment, as a share of ln V.

  Args:
    entropy: f32[..., T] nats; of whole distributions in the mode "paper_fixed",
      `top_entropy` in the mode "code".
    inside: bool[..., T] the sampled tokens of the segment.
    vocabulary: V, at least 2.
    mode: "paper_fixed" takes the mean over the tokens, "code" the sum, by which
      a segment of fewer tokens has less of it.
    tokens: of the segment that are looked at, the first ones, at least 1.

  Returns:
    f32[...]; 0 for a segment without tokens.

  Raises:
    ValueError: an unknown mode, or a number out of range.
  """
  if mode not in get_args(Mode):
    raise ValueError(f"mode = {mode!r} must be one of {get_args(Mode)}.")
  for name, value, least in (
    ("vocabulary", vocabulary, 2),
    ("tokens", tokens, 1),
  ):
    if value < least:
      raise ValueError(f"{name} = {value} must be at least {least}.")
  first = inside & (jnp.cumsum(inside, axis=-1) <= tokens)
  total = jnp.where(first, entropy, 0).sum(axis=-1)
  if mode == "paper_fixed":
    total /= jnp.maximum(first.sum(axis=-1), 1)
  return total / math.log(vocabulary)


def forks(
  uniform: Array, rise: Array, probability: float = 0.5, weight: float = 0.2
) -> Array:
  """Whether a row forks by the rule of ARPO.

  The chance is probability + weight * rise, cut to [0, 1]; 1 for probability 1.

  Args:
    uniform: f32[...] in [0, 1), one die for each row that may fork.
    rise: f32[...] entropy of the last segment less that of the first.
    probability: to fork without a rise, in [0, 1].
    weight: chance per rise, >= 0.

  Returns:
    bool[...].
  """
  return jnp.clip(uniform - weight * rise, 0, 1) <= probability


def forks_in_turn(
  uniform: Array,
  rise: Array,
  rounds: Array,
  threshold: float = 0.5,
  weight: float = 0.2,
  penalty: float = 0.05,
) -> Array:
  """Whether a row forks by the rule of agentic AEPO.

  With d = 1 - penalty * rounds > 0 the chance is 1 - threshold / d + weight *
  rise, cut to [0, 1], so it falls from round to round; where d <= 0 none forks.

  Args:
    uniform: f32[...] in [0, 1), one die for each row that may fork.
    rise: f32[...] entropy of the last segment less that of the first.
    rounds: i32[...] of the row's prompt, see `rounds_in_turn`.
    threshold: chance not to fork in the first round without a rise, in (0, 1].
    weight: chance per rise, >= 0.
    penalty: what each round takes, >= 0.

  Returns:
    bool[...].
  """
  damped = (uniform + weight * rise) * jnp.maximum(0, 1 - penalty * rounds)
  return jnp.clip(damped, 0, 1) >= threshold


def rounds_in_turn(rounds: Array, added: Array) -> Array:
  """Counts the rounds in which a prompt got a new row, one after the other.

  Args:
    rounds: i32[P] before this round; 0 when a rollout begins.
    added: bool[P] prompts that got a row in it, forked or begun anew.

  Returns:
    i32[P]; as they were if no prompt got any.
  """
  counted = jnp.where(added, rounds + 1, 0)
  return jnp.where(added.any(), counted, rounds)


def root_budget(
  total: Array | int,
  root_entropy: Array,
  tool_entropy: Array,
  slope: float = 0.5,
) -> Array:
  """How many responses to a prompt are begun anew; the others are forks.

  floor(total * sigmoid(slope * (root_entropy - tool_entropy))) + 1, at most
  total: half of them and one if prompt and tools are equally uncertain.

  Args:
    total: i32[...] responses to a prompt, >= 1.
    root_entropy: f32[...] `segment_entropy` of a first segment.
    tool_entropy: f32[...] mean over the segments of a probing response; equal
      to root_entropy where it has none.
    slope: how far a difference moves the budget, >= 0; beta of the paper.

  Returns:
    i32[...] in [1, total].
  """
  share = jax.nn.sigmoid(slope * (root_entropy - tool_entropy))
  return jnp.clip(jnp.floor(total * share).astype(jnp.int32) + 1, 1, total)


def lineage(batch: TokenBatch) -> tuple[Array, Array]:
  """Which rows of a rollout continue others, whether it has any or not.

  Args:
    batch: the whole rollout, for rows are numbered.

  Returns:
    (parent, copied), i32[B] as `origin` takes them.
  """
  if batch.parent is None:
    return jnp.full_like(batch.group, -1), jnp.zeros_like(batch.group)
  return batch.parent, batch.copied


def origin(parent: Array, copied: Array, length: int) -> Array:
  """Which row sampled each token that a row holds.

  Args:
    parent: i32[B] row that a row was forked from; -1 none. A row of the same
      batch, so a part of a batch cannot be asked.
    copied: i32[B] how many of its first response tokens are the parent's;
      read where there is one.
    length: response positions T.

  Returns:
    i32[B, T]; the row itself behind what it copied. Two rows share the token at
    t if their origins at t are equal.
  """
  rows = jnp.arange(parent.shape[0], dtype=parent.dtype)[:, None]
  shared = (parent >= 0)[:, None] & (jnp.arange(length) < copied[:, None])
  found = jnp.where(shared, parent[:, None], rows)
  # Each round doubles how many generations up a row looks, of B - 1 at most.
  for _ in range(max(parent.shape[0] - 2, 0).bit_length()):
    found = jnp.take_along_axis(found, found, axis=0)
  return found


def shared_advantages(
  advantages: Array, mask: Array, parent: Array, copied: Array
) -> Array:
  """Gives a shared token the mean advantage of the rows that hold it.

  ARPO's hard attribution. Without it, which is the soft one, rows disagree on
  such a token; but as they have its ratio in common, the sum of its gradients
  over the rows is the same.

  Args:
    advantages: f32[B, T].
    mask: bool[B, T] counted tokens; others enter no mean, so that a draw whose
      copies do not count leaves its parents' advantages as they are.
    parent: i32[B] as `origin` has it, of the whole rollout.
    copied: i32[B] likewise.

  Returns:
    f32[B, T]; 0 where the mask does not count.
  """
  counted = mask > 0
  place = origin(parent, copied, mask.shape[1]), jnp.arange(mask.shape[1])
  over_rows = lambda x: jnp.zeros_like(x).at[place].add(x)[place]
  total = over_rows(jnp.where(counted, advantages, 0))
  count = over_rows(counted.astype(total.dtype))
  return jnp.where(counted, total / jnp.maximum(count, 1), 0)
