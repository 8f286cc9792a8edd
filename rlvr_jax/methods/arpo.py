"""ARPO: responses fork where the entropy has risen."""

from typing import get_args

import jax

from rlvr_jax import branching, forking
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array, Parent

ATTRIBUTIONS = ("soft", "hard")


def arpo(
  initial_rollouts: int = 8,
  probability: float = 0.5,
  weight: float = 0.2,
  beam: int = 2,
  attribution: str = "soft",
  mode: str = "paper_fixed",
  measured: str = "before",
) -> LossTransform:
  """Begins some of the responses to a prompt and forks the others off them.

  Of M responses to a prompt, rollout.per_prompt, N are begun: the roots. Each
  has M / N - 1 branches. Where a line of a root ends and another begins, beam -
  1 of them fork off, each with the chance
    probability + weight (H - H_1), cut to [0, 1]
  H is the entropy of the first 20 tokens of a line as a share of ln V, H_1 that
  of the first line. They copy what stands before that place and go on from
  there. Branches that no line is left for are new responses. All M are one
  group.

  Edits:   draws (the main one has N responses, another the others);
           batch.advantages (×, if attribution = "hard")
  Needs:   entropy of the policy at rollout
  State:   none
  Scope:   group
  Neutral: none; probability = weight = 0 samples M responses of N roots

  Branches are sampled as the main draw is when this method plans. Their copies
  train as their roots' tokens do. Attribution acts behind the estimator; as a
  shared token has the same ratio in all rows, both attributions have the same
  summed gradient until ratios are clipped.

  Args:
    initial_rollouts: N, >= 1; divides M and is smaller; 8 of 16.
    probability: to fork without a rise, in [0, 1]; 0.5.
    weight: chance per rise, >= 0; 0.2.
    beam: rows that may stand behind one line break of a root, >= 1; 2.
    attribution: "soft" leaves every row its advantage; "hard" gives a shared
      token the mean advantage of the rows that have it.
    mode: of the entropy H: "paper_fixed" is the mean of whole entropies,
      "code" the sum over tokens of what the likeliest 10 add to them.
    measured: the line whose H decides: "before" the fork, as the code has it,
      or "behind" it, as the paper does.

  Returns:
    A LossTransform named "arpo".

  Raises:
    ValueError: an unknown choice, or a number out of range; N against M when
      it plans.

  Metrics:
    arpo/branched_fraction: share of the branches that are forks, not new
      responses.
    arpo/branch_entropy: what the mode looks at, nats, at the first tokens that
      forks sample.

  Source:
    Agentic Reinforced Policy Optimization, arXiv 2507.19849. Code:
    RUC-NLPIR/ARPO, verl/workers/rollout/vllm_rollout.
    Differs from that code: segments are lines, not what stands between tool
    calls, for there are no tools yet. The budget is each root's own, where the
    code gives a prompt's to whoever forks first: so a root decides when it ends
    and no row waits for another. Branches do not fork again. H_1 is the row's
    own, where the code keeps that of an earlier batch. By default the entropy
    is of all tokens and its mean is taken. Its loss is `ppo_clip` with dual 3.
  """
  for name, value, known in (
    ("attribution", attribution, ATTRIBUTIONS),
    ("mode", mode, get_args(branching.Mode)),
    ("measured", measured, forking.MEASURED),
  ):
    if value not in known:
      raise ValueError(f"arpo.{name} = {value!r} must be in {known}.")
  for name, value in (("initial_rollouts", initial_rollouts), ("beam", beam)):
    if value < 1:
      raise ValueError(f"arpo.{name} = {value} must be >= 1.")
  if not 0 <= probability <= 1:
    raise ValueError(f"arpo.probability = {probability} must lie in [0, 1].")
  if not 0 <= weight < float("inf"):
    raise ValueError(f"arpo.weight = {weight} must be >= 0 and finite.")
  need = forking.NEEDS[mode]

  def cut(parent: Parent, n: int) -> Array:
    of = forking.segments(parent, mode)
    dice = jax.random.uniform(parent.key, (len(of.begins), beam - 1))
    rise = of.rise(measured)[:, None]
    forks = branching.forks(dice, rise, probability, weight)
    return forking.places(forks & of.forks[:, None], n, n)

  def plan(draws, state):
    return forking.planned(draws, "arpo", initial_rollouts, cut)

  def prepare(batch, state, context):
    found = forking.metrics(context, "arpo", need)
    if attribution == "hard":
      shared = branching.shared_advantages(
        batch.advantages, batch.mask, *branching.lineage(batch)
      )
      batch = batch.replace(advantages=shared)
    return batch.replace(metrics=batch.metrics | found), state

  return LossTransform("arpo", prepare=prepare, plan=plan, needs=(need,))
