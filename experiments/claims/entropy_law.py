r"""R = -a exp(H) + b, fitted on the first 15 % of a run, predicts its end.

Command: python -m experiments.claims.entropy_law --workdir=runs/claims
"""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from experiments.claiming import program, settings
from experiments.claiming.figures import ENTROPY
from experiments.claiming.record import AllFigures, Claim, Figures, Part
from rlvr_jax.analysis import entropy_law
from rlvr_jax.report import style
from rlvr_jax.report.runs import Groups, Run

FITTED = 0.15  # share of the steps
END = 0.1


def points(run: Run) -> tuple[np.ndarray, np.ndarray]:
  """Entropy and training reward of every step."""
  return run.metrics[ENTROPY][1], run.metrics["reward/mean"][1]


def fitted(run: Run) -> entropy_law.EntropyLaw:
  """The law of the first steps."""
  entropy, reward = points(run)
  count = round(FITTED * len(entropy))
  return entropy_law.fit(entropy[:count], reward[:count])


def measure(runs: Mapping[str, Run]) -> Figures:
  """How far the prediction is off at the end, and the last reward it saw."""
  (entropy, reward), law = points(runs["grpo"]), fitted(runs["grpo"])
  count, tail = round(FITTED * len(entropy)), round(END * len(entropy))
  end = reward[-tail:].mean()
  predicted = entropy_law.predict(law, entropy[-tail:]).mean()
  # Nobody who sees so many steps would say less than the last of them.
  held = abs(reward[count - 5 : count].mean() - end)
  return {
    "error": abs(predicted - end),
    "better": held - abs(predicted - end),
    "reward_at_end": end,
    "predicted": predicted,
    "rmse_of_the_whole": entropy_law.fit(entropy, reward).rmse,
  }


def draw(groups: Groups, figures: AllFigures) -> Figure:
  """Reward against entropy, the fitted steps apart, one law per seed."""
  del figures
  colours = style.colours(["first 15 % of the steps", "the rest"])
  seen, rest = colours.values()
  figure, axes = style.new_axes(
    "The law, fitted early", "training reward; one law per seed"
  )
  for run in groups["grpo"]:
    entropy, reward = points(run)
    count = round(FITTED * len(entropy))
    dot = dict(s=9, alpha=0.4, linewidths=0)
    axes.scatter(entropy[count:], reward[count:], color=rest, **dot)
    axes.scatter(entropy[:count], reward[:count], color=seen, **dot)
    grid = np.linspace(0, entropy.max(), 60)
    axes.plot(grid, entropy_law.predict(fitted(run), grid), color=seen, lw=1)
  axes.set_xlabel("policy entropy (nats)", loc="right")
  style.legend(figure, colours)
  return figure


CLAIM = Claim(
  name="entropy_law",
  paper="2505.22617",
  says=(
    "The law R = -a exp(H) + b, fitted on the first 15 % of the steps, tells "
    "the reward at the end from the entropy there."
  ),
  here=(
    "GRPO on `split`; the training reward is taken for R, the end is the last "
    "tenth. Who predicts that the reward stays as it was in the last five "
    "steps of the fit must be worse."
  ),
  base=settings.SPLIT,
  arms={"grpo": settings.GRPO},
  measure=measure,
  parts=(
    Part("error", "below", 0.05, "error of the predicted reward"),
    Part("better", "above", 0.0, "by how much that of no change is larger"),
  ),
  draw=draw,
  remark=(
    "Over a whole run the law fits, with an error of a few hundredths at a "
    "step. But rewards of one step scatter as widely as they rise in fifteen, "
    "so the early slope is uncertain, and it is always too steep: the law "
    "promises more than 1, where the reward ends at 0.99. The paper fits means "
    "over thousands of problems, on a task that ends far from its ceiling."
  ),
)

if __name__ == "__main__":
  program.main(CLAIM)
