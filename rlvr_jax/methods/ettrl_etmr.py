"""ETTRL-ETMR: responses branch where the policy was least sure."""

import jax
import jax.numpy as jnp

from rlvr_jax import forking
from rlvr_jax.stats import Entropy, Logp
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Need

# By what positions are ranked; both are recorded in any case.
SCORES = {
  "entropy": Need(Entropy(), when="rollout").key,
  "surprisal": Need(Logp(), when="rollout").key,
}
PREFIXES = ("every", "once")


def ettrl_etmr(
  forks: int = 2,
  branches: int = 2,
  score: str = "entropy",
  gap: int = 0,
  prefix: str = "every",
) -> LossTransform:
  """Samples branches of each response in place of most whole responses.

  Of every response o of the main draw the `forks` positions t of largest
  entropy are taken, ties to the earlier one, and at each of them `branches`
  responses branch off: they keep o_<t and sample the token at t again, and all
  behind it. M responses become the M (1 + forks * branches) leaves of M trees,
  all in the group of their prompt: they vote together in `ttrl` and are
  compared by the estimator. The last token of a response is no position; for
  each one that a short response lacks, `branches` new responses are sampled
  from the first token, so that the number of leaves is always the same.

  Edits:   draws (+)
  Needs:   nothing; the sampler tells the entropy to whoever cuts
  State:   none
  Scope:   sequence
  Neutral: forks = 0 or branches = 0

  Were all leaves of a prompt equally long and positions spread evenly, the
  trees would sample (1 + forks * branches / 2) / (1 + forks * branches) of what
  as many whole responses have, 60 % at the defaults. The rollout's metrics
  `rollout/sampled_fraction` and so on tell what it was.

  Args:
    forks: positions of a response, N of the paper, >= 0; 2.
    branches: at each of them, B, >= 0; 2. M, the responses of the main draw,
      is 12, which makes 60 leaves.
    score: "entropy" of the policy at the scoring temperature, or "surprisal" of
      the sampled token, as the code of TreeRL has it.
    gap: fewest tokens between two positions of a response, >= 0; 0.
    prefix: "every" leaf is trained on as a whole, so that a token counts once
      for every leaf that has it; or it counts "once", where it was sampled.

  Returns:
    A LossTransform named "ettrl_etmr".

  Raises:
    ValueError: an unknown choice, or a number out of range.

  Metrics:
    none

  Source:
    ETTRL: Balancing Exploration and Exploitation in LLM Test-Time
    Reinforcement Learning Via Entropy Mechanism, arXiv 2508.11356, its part
    ETMR; the tree is that of TreeRL with one round, code THUDM/TreeRL,
    entropy_chain_local_manager.py. No code of ETMR was found.
    Differs from that code: there is none to compare with. That the token of
    the position is sampled again, and that whole leaves are trained on, is as
    TreeRL does it. TreeRL fills missing branches up with copies. The vote is
    `ttrl`, the other part of ETTRL is `ettrl_ear`.
  """
  for name, value in (("forks", forks), ("branches", branches), ("gap", gap)):
    if not value >= 0:
      raise ValueError(f"ettrl_etmr.{name} = {value!r} must be >= 0.")
  for name, value, known in (
    ("score", score, tuple(SCORES)),
    ("prefix", prefix, PREFIXES),
  ):
    if value not in known:
      raise ValueError(f"ettrl_etmr.{name} = {value!r} must be in {known}.")

  def positions(parent):
    """i32[forks]: where a response forks; 0 for those it lacks."""
    found = parent.stats[SCORES[score]]
    worth = -found if score == "surprisal" else found
    place = jnp.arange(len(worth))

    def next_best(free, _):
      best = jnp.argmax(jnp.where(free, worth, -jnp.inf))
      left = free & (jnp.abs(place - best) > gap)
      return left, jnp.where(free.any(), best, 0)

    inside = place < parent.mask.sum() - 1
    return jax.lax.scan(next_best, inside, length=forks)[1]

  def cut(parent, count):
    return jnp.repeat(positions(parent), count // forks)

  def plan(draws, state):
    del state
    if not forks * branches:
      return draws
    every = prefix == "every"
    return forking.planned(draws, "ettrl_etmr", forks * branches, cut, every)

  return LossTransform("ettrl_etmr", plan=plan)
