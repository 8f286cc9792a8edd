r"""STEER's estimate of a token's entropy change beats the covariance term.

Command: python -m experiments.claims.entropy_change --workdir=runs/claims
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from scipy import stats as statistics

from experiments.claiming import plots, program, rule, settings
from experiments.claiming.record import AllFigures, Claim, Figures, Part
from rlvr_jax import stats
from rlvr_jax.analysis import entropy_dynamics
from rlvr_jax.report.runs import Groups, Run
from rlvr_jax.training import drawing, replay, warm_start
from rlvr_jax.training.watch import Watch
from rlvr_jax.types import Need, PyTree, TokenBatch

STEP = 1e-3  # learning rate of plain gradient descent
ENTROPY, LOGP = Need(stats.Entropy()), Need(stats.Logp())
MEAN = Need(stats.CovProbLogp())


class Step(NamedTuple):
  """What stands at every counted token, float64[N]."""

  logp: np.ndarray
  entropy: np.ndarray
  mean_discriminator: np.ndarray
  advantage: np.ndarray
  change: np.ndarray  # of the entropy, by one small step on all tokens


def one_step(run: Run) -> Step:
  """Takes one step of plain gradient descent from the warm start of a run."""
  built = replay.built(dict(run.config))
  programs = built.programs
  params = warm_start.load_or_train(built, run.folder)
  ref = programs.weights.frozen(params)
  state = jax.jit(programs.init_state)(built.key, params)
  found = drawing.Drawing(built, state, ref, Watch()).rollout()
  graded = found.graded.reward, found.graded.known
  batch, *_ = programs.prepare(state, found.rows, *graded, found.notes)
  before, after = _around(programs.model, params, batch)
  counted = np.asarray(batch.mask)
  take = lambda x: np.asarray(x, np.float64)[counted]
  change = take(after) - take(before[ENTROPY.key])
  keys = (LOGP.key, ENTROPY.key, MEAN.key)
  known = (take(before[key]) for key in keys)
  return Step(*known, take(batch.advantages), change)


def _around(
  model: stats.Model, params: PyTree, batch: TokenBatch
) -> tuple[dict[str, jax.Array], jax.Array]:
  """Statistics of the rows, and their entropies after the step."""

  def score(params, needs):
    return stats.score(needs, {"policy": params}, batch, model=model)

  def loss(params):
    logp = score(params, (LOGP,))[LOGP.key]
    gain = jnp.where(batch.mask, batch.advantages * logp, 0)
    return -gain.sum() / batch.mask.sum()

  @jax.jit
  def around(params):
    gradient = jax.grad(loss)(params)
    moved = jax.tree.map(lambda p, g: p - STEP * g, params, gradient)
    before = score(params, (LOGP, ENTROPY, MEAN))
    return before, score(moved, (ENTROPY,))[ENTROPY.key]

  return around(params)


def estimates(step: Step) -> dict[str, np.ndarray]:
  """Each estimate of the change, up to a positive factor."""
  p = np.exp(step.logp)
  s = entropy_dynamics.discriminator(step.logp, step.entropy)
  apart = lambda x: x - x.mean()
  return {
    "covariance": -apart(step.advantage) * apart(step.logp),
    "released": -step.advantage * (1 - p) * s / p,
    "theorem": -step.advantage * (1 - p) * s,
    "exact": -step.advantage * (s - step.mean_discriminator),
  }


def measure(runs: Mapping[str, Run]) -> Figures:
  """Correlations with the true change, over all tokens of a rollout."""
  step = one_step(runs["grpo"])
  found = {}
  for name, estimate in estimates(step).items():
    found[f"pearson_{name}"] = statistics.pearsonr(estimate, step.change)[0]
    found[f"spearman_{name}"] = statistics.spearmanr(estimate, step.change)[0]
  for kind in ("pearson", "spearman"):
    proxy = found[f"{kind}_covariance"]
    found[f"{kind}_better"] = found[f"{kind}_theorem"] - proxy
    found[f"{kind}_released_better"] = found[f"{kind}_released"] - proxy
  return found


def draw(groups: Groups, figures: AllFigures) -> Figure:
  """The correlations of each estimate, with intervals over seeds."""
  del groups
  kinds = {"linear (Pearson)": "pearson", "of ranks (Spearman)": "spearman"}
  names = ("covariance", "released", "theorem", "exact")
  values = {
    text: [rule.interval(figures[f"{kind}_{n}"]) for n in names]
    for text, kind in kinds.items()
  }
  title = "Estimates of a token's entropy change"
  return plots.points(title, "correlation with the change", names, values)


CLAIM = Claim(
  name="entropy_change",
  paper="2510.10150",
  says=(
    "STEER's estimate of the entropy change at a token goes along with the "
    "true change better than the covariance term of Clip-Cov."
  ),
  here=(
    "`split`, the rollout of the first step at the warm start: entropies of "
    "all positions before and after one step of plain gradient descent (1e-3). "
    "The released form of the estimate divides by the token's probability, "
    "the paper's theorem does not; the exact form is that of 2602.03392."
  ),
  base=settings.SPLIT,
  arms={"grpo": settings.GRPO},
  measure=measure,
  parts=(
    Part("pearson_better", "above", 0.05, "Pearson, theorem less covariance"),
    Part("spearman_better", "above", 0.05, "Spearman, theorem less covariance"),
    Part(
      "pearson_released_better",
      "above",
      0.05,
      "Pearson, released form less covariance",
    ),
  ),
  draw=draw,
)

if __name__ == "__main__":
  program.main(CLAIM)
