r"""STEER's estimate of a token's entropy change beats the covariance term.

Command: python -m experiments.claims.entropy_change --workdir=runs/claims
"""

from collections.abc import Mapping

from matplotlib.figure import Figure

from experiments.claiming import plots, program, rule, settings
from experiments.claiming.record import AllFigures, Claim, Figures, Part
from rlvr_jax.analysis import token_change
from rlvr_jax.report.runs import Groups, Run
from rlvr_jax.training import probe, replay

STEP = 1e-3  # learning rate of plain gradient descent
NAMES = ("covariance", "released", "theorem", "exact")


def measure(runs: Mapping[str, Run]) -> Figures:
  """Correlations with the true change, over all tokens of a rollout."""
  run = runs["grpo"]
  config = replay.configuration(run.config)
  looking = probe.Probe(config, run.folder, at_start=True)
  batch = looking.rollout().batch
  of_model = _correlations(looking.step(batch, STEP))
  of_table = _correlations(looking.tabular_step(batch, STEP))
  return of_model | {f"table_{k}": v for k, v in of_table.items()}


def _correlations(step: token_change.Step) -> Figures:
  scores, found = token_change.scores(step), {}
  for kind in ("pearson", "spearman"):
    value = {name: getattr(scores[name], kind) for name in NAMES}
    found |= {f"{kind}_{name}": value[name] for name in NAMES}
    found[f"{kind}_better"] = value["theorem"] - value["covariance"]
    found[f"{kind}_released_better"] = value["released"] - value["covariance"]
  return found


def draw(groups: Groups, figures: AllFigures) -> Figure:
  """The correlations of each estimate, with intervals over seeds."""
  del groups
  kinds = {
    f"{policy}, {text}": f"{begin}{kind}"
    for policy, begin in (("model", ""), ("table", "table_"))
    for text, kind in (("Pearson", "pearson"), ("ranks", "spearman"))
  }
  values = {
    text: [rule.interval(figures[f"{kind}_{name}"]) for name in NAMES]
    for text, kind in kinds.items()
  }
  title = "Estimates of a token's entropy change"
  return plots.points(title, "correlation with the change", NAMES, values)


CLAIM = Claim(
  name="entropy_change",
  paper="2510.10150",
  says=(
    "STEER's estimate of the entropy change at a token goes along with the "
    "true change better than the covariance term of Clip-Cov."
  ),
  here=(
    "`split`, the rollout of the first step at the warm start: entropies of "
    "all positions before and after one step of plain gradient descent (1e-3), "
    "of the model, and of a table that has its logits for every prefix and "
    "shares no weights. "
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
    Part(
      "table_pearson_better",
      "above",
      0.05,
      "of the table: Pearson, theorem less covariance",
    ),
    Part(
      "table_spearman_better",
      "above",
      0.05,
      "of the table: Spearman, theorem less covariance",
    ),
  ),
  draw=draw,
  remark=(
    "In the model every form is ahead of the covariance term in every seed; "
    "the released one by 0.03 to 0.08, too little for the bound. In the table, "
    "where positions share no weights, the theorem is ahead by ranks alone: "
    "tokens after the same prefix move it together, and the released form, "
    "0.15 ahead, weighs the rare ones more. More on this: "
    "[why entropy changes](../entropy_change.md)."
  ),
)

if __name__ == "__main__":
  program.main(CLAIM)
