"""ARPO: responses fork where the entropy has risen."""

from typing import get_args

import jax

from rlvr_jax import branching, forking
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array, Parent

ATTRIBUTIONS = ("soft", "hard")


def arpo(
  branches: int = 1,
  probability: float = 0.5,
  weight: float = 0.2,
  beam: int = 2,
  attribution: str = "soft",
  mode: str = "paper_fixed",
  measured: str = "before",
) -> LossTransform:
  """Samples branches of responses, which fork off where the entropy has risen.

  N responses to a prompt are begun, those of the main draw, and each of these
  roots has `branches` more rows: M = N (1 + branches) in one group. Where a
  line of a root ends and another begins, beam - 1 rows may fork off, each with
  the chance
    probability + weight (H - H_1), cut to [0, 1]
  H is the entropy of the first 20 tokens of a line as a share of ln V, H_1 that
  of the first line. A fork has what stands before that place and goes on from
  there. Rows that no line is left for are new responses.

  Edits:   draws (+); batch.advantages (×, if attribution = "hard")
  Needs:   nothing; entropy of the policy at rollout if branches > 0
  State:   none
  Scope:   group
  Neutral: branches = 0

  Branches are sampled as the main draw is when this method plans. Tokens that
  they copy train as their roots' do. Attribution acts behind the estimator; as
  a shared token has the same ratio in all rows, both attributions have the same
  summed gradient until ratios are clipped.

  Args:
    branches: rows of a root besides itself, >= 0; 1, for N = 8 and M = 16.
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
    ValueError: an unknown choice, or a number out of range.

  Metrics:
    arpo/branched_fraction: share of the branches that are forks, not new
      responses; if branches > 0.
    arpo/branch_entropy: what the mode looks at, nats, at the first tokens that
      forks sample; if branches > 0.

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
  for name, value, least in (("branches", branches, 0), ("beam", beam, 1)):
    if value < least:
      raise ValueError(f"arpo.{name} = {value} must be >= {least}.")
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
    return forking.planned(draws, "arpo", branches, cut)

  def prepare(batch, state, context):
    found = forking.metrics(context, "arpo", need)
    if attribution == "hard":
      shared = branching.shared_advantages(
        batch.advantages, batch.mask, *branching.lineage(batch)
      )
      batch = batch.replace(advantages=shared)
    return batch.replace(metrics=batch.metrics | found), state

  if not branches:
    return LossTransform("arpo")
  return LossTransform("arpo", prepare=prepare, plan=plan, needs=(need,))
