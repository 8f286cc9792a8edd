"""The headline table: one row per label, for the page and for the terminal."""

from collections.abc import Callable, Sequence

import numpy as np

from rlvr_jax.report import curves
from rlvr_jax.report.runs import (
  NO_POINTS,
  Run,
  by_label,
  largest_k,
  target_entropy,
)

Row = dict[str, str | float | None]
NOTHING = "–"
# Reward is noisy from batch to batch, so its last tenth is averaged.
FINAL_REWARD = 0.1


def summary_rows(runs: Sequence[Run]) -> list[Row]:
  """Returns one row of figures per label, in order of first appearance.

  Args:
    runs: any number of runs; figures of one label are means over its seeds.

  Returns:
    Rows with the keys `label`, `seeds`, `steps`, `first_entropy`,
    `final_entropy`, `entropy_last_third`, `target_entropy` (nats), `pass@1`
    with `pass@1_low` and `pass@1_high`, `pass@<k>` and `maj@<k>` for the
    largest k logged, `distinct_right` (all of the last evaluation), `reward`
    (mean of the last tenth), `tokens_per_second`, `seconds_per_step` and
    `update_seconds` (medians after the first step), `extra_passes` of a model
    and `extra_rows` a step beyond what the policy itself needs. None where no
    seed logged it.
  """
  figures = _figures(runs)
  return [
    {"label": label, "seeds": len(seeds)}
    | {name: _mean(map(figure, seeds)) for name, figure in figures.items()}
    for label, seeds in by_label(runs).items()
  ]


def _figures(
  runs: Sequence[Run],
) -> dict[str, Callable[[Run], float | None]]:
  last = lambda key: lambda run: curves.tail_mean(run, key, 0)
  names = ["pass@1", "pass@1_low", "pass@1_high"]
  for figure in ("pass", "maj"):
    k = largest_k(runs, figure)
    names += [f"{figure}@{k}"] if k else []
  return {
    "steps": _steps,
    "first_entropy": lambda run: _first(run, "policy/entropy"),
    "final_entropy": last("policy/entropy"),
    "entropy_last_third": lambda run: curves.tail_mean(
      run, "policy/entropy", 1 / 3
    ),
    "target_entropy": target_entropy,
    **{name: last(f"eval/{name}") for name in [*names, "distinct_right"]},
    "reward": lambda run: curves.tail_mean(run, "reward/mean", FINAL_REWARD),
    "tokens_per_second": lambda run: _median(run, "rollout/tokens_per_second"),
    "seconds_per_step": lambda run: _median(run, "time/step_seconds"),
    "update_seconds": lambda run: _median(run, "time/update_seconds"),
    "extra_passes": lambda run: _first(run, "cost/extra_passes"),
    "extra_rows": lambda run: _first(run, "cost/extra_rows"),
  }


def _mean(values: Sequence[float | None]) -> float | None:
  known = [value for value in values if value is not None]
  return float(np.mean(known)) if known else None


def _steps(run: Run) -> float:
  return float(
    max((steps[-1] + 1 for steps, _ in run.metrics.values()), default=0)
  )


def _first(run: Run, key: str) -> float | None:
  _, values = run.metrics.get(key, NO_POINTS)
  values = values[np.isfinite(values)]
  return float(values[0]) if values.size else None


def _median(run: Run, key: str) -> float | None:
  """Median after the first step, which holds compilation."""
  _, values = run.metrics.get(key, NO_POINTS)
  values = values[1:] if len(values) > 1 else values
  values = values[np.isfinite(values)]
  return float(np.median(values)) if values.size else None


_HEADINGS = {
  "label": ("run", "{}"),
  "seeds": ("seeds", "{:.0f}"),
  "steps": ("steps", "{:.0f}"),
  "first_entropy": ("first entropy (nats)", "{:.3f}"),
  "final_entropy": ("final entropy (nats)", "{:.3f}"),
  "entropy_last_third": ("entropy, last third (nats)", "{:.3f}"),
  "target_entropy": ("target entropy (nats)", "{:.3g}"),
  "pass@1": ("pass@1", "{:.3f}"),
  "distinct_right": ("distinct right", "{:.2f}"),
  "reward": ("reward", "{:.3f}"),
  "tokens_per_second": ("tokens/s", "{:,.0f}"),
  "seconds_per_step": ("s/step", "{:.2f}"),
  "update_seconds": ("update (s)", "{:.3f}"),
  "extra_passes": ("extra passes (per step)", "{:.0f}"),
  "extra_rows": ("extra rows (sampled)", "{:.0f}"),
}


def summary_text(rows: Sequence[Row]) -> list[dict[str, str]]:
  """Returns the rows as text under readable headings.

  Args:
    rows: what `summary_rows` returned.

  Returns:
    One dict per row, heading to text; a column that no row fills is left out.
    `tabulate(summary_text(rows), "keys", disable_numparse=True)` prints them.
  """
  names = [name for name in (rows[0] if rows else ()) if _filled(rows, name)]
  headings = {name: _HEADINGS.get(name, (name, "{:.3f}")) for name in names}
  return [
    {heading: _cell(row, name, f) for name, (heading, f) in headings.items()}
    for row in rows
  ]


def _filled(rows: Sequence[Row], name: str) -> bool:
  ends = name.endswith(("_low", "_high"))  # shown with their value
  single = name == "seeds" and all(row[name] == 1 for row in rows)
  return not ends and not single and any(row[name] is not None for row in rows)


def _cell(row: Row, name: str, form: str) -> str:
  if row[name] is None:
    return NOTHING
  text = form.format(row[name])
  low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
  return text if None in (low, high) else f"{text} [{low:.3f}, {high:.3f}]"
