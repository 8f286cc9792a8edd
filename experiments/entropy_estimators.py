r"""Who foresees the entropy change of a token: STEER's estimates or Clip-Cov's.

python -m experiments.entropy_estimators --config=configs/quickstart.py \
    --seeds=0,1,2,3,4 --workdir=runs/estimators

A warm start and one rollout per seed, with the advantages of GRPO. One plain
policy-gradient step is taken by the model, and by a table that has the model's
logits for every prefix and shares nothing. The claim is that STEER's estimate
correlates better with the true change than the product of Clip-Cov; it is shown
if it does for every seed, contrary if it does for none.
"""

import pathlib
from collections.abc import Mapping, Sequence

import tabulate
from absl import flags
from ml_collections import config_flags

from rlvr_jax.analysis import token_change
from rlvr_jax.analysis.token_change import ESTIMATES, Score, Step
from rlvr_jax.report import style
from rlvr_jax.report import token_change as draw
from rlvr_jax.training import command, compare, probe

_CONFIG = config_flags.DEFINE_config_file("config", lock_config=True)
_WORKDIR = flags.DEFINE_string(
  "workdir", None, "folder of warm starts, figures"
)
_SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2"], "whole numbers")
_RATE = flags.DEFINE_float("learning_rate", 1e-2, "of the model's step")

Scores = Mapping[str, Score]
STEER, RIVAL = ("released", "theorem", "exact"), "covariance"


def measured(looking: probe.Probe, learning_rate: float) -> dict[str, Step]:
  """The step of one rollout, by policy."""
  batch = looking.rollout().batch
  return {
    "table": looking.tabular_step(batch, 1.0),
    "model": looking.step(batch, learning_rate),
  }


def verdict(seeds: Sequence[Scores], name: str, kind: str) -> str:
  """Whether an estimate correlates better than Clip-Cov's product."""
  ahead = [getattr(s[name], kind) > getattr(s[RIVAL], kind) for s in seeds]
  return "shown" if all(ahead) else "not shown" if any(ahead) else "contrary"


def rows(tables: Mapping[str, Sequence[Scores]]) -> list[list[object]]:
  """Policy, estimate, means over seeds and the two verdicts."""
  found = []
  for policy, seeds in tables.items():
    for name, title in ESTIMATES.items():
      mean = [sum(x) / len(x) for x in zip(*(s[name] for s in seeds))]
      kinds = ("pearson", "spearman") if name in STEER else ()
      verdicts = [verdict(seeds, name, kind) for kind in kinds]
      found.append([policy, title, *mean, *verdicts])
  return found


def main() -> None:
  """Measures every seed, prints the table and draws it."""
  folder, steps = pathlib.Path(_WORKDIR.value), {}
  for seed in _SEEDS.value:
    config = compare.maker(flags.FLAGS["config"])("grpo")
    config.seed = int(seed)
    looking = probe.Probe(config, folder / f"seed{seed}")
    for policy, step in measured(looking, _RATE.value).items():
      steps.setdefault(policy, []).append(step)
  tables = {k: [token_change.scores(s) for s in v] for k, v in steps.items()}
  heads = ("policy", "estimate", "MSE (nats^2)", "Pearson", "Spearman")
  heads += ("better, Pearson", "better, Spearman")
  form = ("", "", ".2e", ".3f", ".3f")
  print(tabulate.tabulate(rows(tables), heads, "github", floatfmt=form))
  figures = {"correlations": draw.correlations(tables)}
  for policy, (first, *_) in steps.items():
    split = token_change.quadrants(
      first, token_change.estimates(first)["exact"]
    )
    figures[f"quadrants-{policy}"] = draw.quadrants(split)
    figures[f"tokens-{policy}"] = draw.scatter(first)
  for name, figure in figures.items():
    (folder / f"{name}.png").write_bytes(style.png(figure))


if __name__ == "__main__":
  flags.mark_flags_as_required(["config", "workdir"])
  command.run(main)
