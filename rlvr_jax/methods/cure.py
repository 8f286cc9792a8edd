"""CURE: responses go on anew from one of their most uncertain tokens."""

import jax
import jax.numpy as jnp

from rlvr_jax import forking
from rlvr_jax.stats import Entropy
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array, Need, Parent

MODES = ("entropy", "random")
ENTROPY = Need(Entropy(), when="rollout")


def cure(
  branches: int = 3,
  candidates: int = 20,
  mode: str = "entropy",
  min_text_len: int = 2,
  include_critical_token: bool = False,
  prefix_loss: bool = False,
  max_prompt: int | None = None,
) -> LossTransform:
  """Samples every response again from one of its critical tokens on.

  Tokens of a response of the main draw are eligible, the first one left out, if
  their text has min_text_len characters or more. Its critical token is one of
  the `candidates` with the largest entropy among them, chosen at random. What
  stands before it begins `branches` further responses, which sample it again;
  without an eligible token they are new responses. Where the main draw has G
  responses to a prompt, G (1 + branches) are one group.

  Edits:   draws (+)
  Needs:   nothing; entropy of the policy at rollout if branches > 0
  State:   none
  Scope:   group
  Neutral: branches = 0

  All branches of a response part at the same place. They are sampled as the
  main draw is when this method plans, so a method that changes how stands
  before it. This is the authors' first stage, with DAPO's loss; in the second
  one branches is 0.

  Args:
    branches: continuations of each response, >= 0; 3, of 4 responses.
    candidates: tokens of the largest entropy that one is chosen from, >= 1; 20.
    mode: "entropy", or "random" for any eligible token (ablation).
    min_text_len: characters of an eligible token's text without the blanks
      around it, >= 1; 2. Special tokens have none.
    include_critical_token: whether continuations begin behind it; as published
      they sample it again.
    prefix_loss: whether they are trained on the tokens that they copy, too;
      not so in the code.
    max_prompt: a prompt and what is copied have no more tokens, the end of the
      copy is cut off, >= 1; None for no bound, 1500 in the scripts.

  Returns:
    A LossTransform named "cure".

  Raises:
    ValueError: an unknown mode, or a number out of range.

  Metrics:
    cure/branched_fraction: share of the continuations that begin with tokens of
      a response, others being new ones; if branches > 0.
    cure/branch_entropy: nats, of the first tokens that the former sample: the
      critical ones, as published; if branches > 0.

  Source:
    CURE: Critical-token-guided Re-concatenation for Entropy-collapse
    prevention, arXiv 2508.11016. Code: bytedance/CURE,
    recipe/dapo/src/dapo_ray_trainer_stage1.py.
    Differs from that code: continuations have what their prefix leaves of the
    response's length, where the code gives them a whole one; entropies are
    those that the sampler recorded; equal ones are ordered, lower position
    first; a prompt itself is never cut.
  """
  if mode not in MODES:
    raise ValueError(f"cure.mode = {mode!r} must be in {MODES}.")
  for name, value, least in (
    ("branches", branches, 0),
    ("candidates", candidates, 1),
    ("min_text_len", min_text_len, 1),
    ("max_prompt", max_prompt, 1),
  ):
    if value is not None and value < least:
      raise ValueError(f"cure.{name} = {value} must be >= {least}.")

  def cut(parent: Parent, n: int) -> Array:
    which, order = jax.random.split(parent.key)
    rank = parent.stats[ENTROPY.key]
    if mode == "random":
      rank = jax.random.uniform(order, rank.shape)
    place = critical_token(
      rank,
      eligible(parent.text.length, parent.mask, min_text_len),
      jax.random.uniform(which),
      candidates,
    )
    if include_critical_token:
      place += place > 0
    if max_prompt is not None:
      place = jnp.minimum(place, jnp.maximum(max_prompt - parent.prompt, 0))
    return jnp.full(n, place)

  def plan(draws, state):
    return forking.planned(draws, "cure", branches, cut, prefix_loss)

  def prepare(batch, state, context):
    found = forking.metrics(context, "cure", ENTROPY)
    return batch.replace(metrics=batch.metrics | found), state

  if not branches:
    return LossTransform("cure")
  return LossTransform("cure", prepare=prepare, plan=plan, needs=(ENTROPY,))


def eligible(length: Array, mask: Array, least: int) -> Array:
  """Which tokens of a response can be critical.

  Args:
    length: i32[..., T] of `TokenText`.
    mask: bool[..., T] tokens of the response.
    least: characters of an eligible token.

  Returns:
    bool[..., T]; never the first one.
  """
  behind_first = jnp.arange(mask.shape[-1]) > 0
  return mask & behind_first & (length >= least)


def critical_token(
  rank: Array, allowed: Array, uniform: Array, candidates: int
) -> Array:
  """The place of one of the tokens of largest rank.

  Args:
    rank: f32[T], entropies; of equal ones the first comes first.
    allowed: bool[T].
    uniform: f32[] in [0, 1), the die that chooses.
    candidates: how many of largest rank it chooses from.

  Returns:
    i32[]; 0 if none is allowed.
  """
  rank = jnp.where(allowed, rank, -jnp.inf)
  best, place = jax.lax.top_k(rank, min(candidates, len(rank)))
  count = (best > -jnp.inf).sum()
  chosen = jnp.minimum((uniform * count).astype(jnp.int32), count - 1)
  return jnp.where(count > 0, place[chosen], 0)
