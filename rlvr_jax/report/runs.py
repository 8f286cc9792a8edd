"""Reads finished or running runs from their folders."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from absl import logging

Series = tuple[np.ndarray, np.ndarray]
NO_POINTS: Series = (np.zeros(0, np.int64), np.zeros(0))


@dataclasses.dataclass(frozen=True)
class Run:
  """One training run; runs of one label are seeds of one experiment."""

  label: str
  config: Mapping[str, object]
  metrics: Mapping[str, Series]  # name -> (steps int64[n], values float64[n])
  name: str = ""  # of the folder, tells seeds of one label apart
  folder: pathlib.Path | None = None  # None if it was not read from one


Groups = Mapping[str, Sequence[Run]]  # label -> its seeds


def read(folder: str | pathlib.Path) -> Run:
  """Reads the config and the metrics of one run.

  Args:
    folder: run directory with `metrics.jsonl`, one object per step with the key
      `step`, and `config.json`; its `label` names the run, else the folder
      does. A resumed run may repeat steps: the later line counts. A line that
      a kill cut short is left out.

  Returns:
    A Run; each metric holds the steps that logged it, in ascending order.

  Raises:
    FileNotFoundError: no `metrics.jsonl` in the folder.
    ValueError: `metrics.jsonl` without one readable line, or a `config.json`
      that is not a JSON object.
  """
  folder = pathlib.Path(folder)
  path = folder / "metrics.jsonl"
  if not path.is_file():
    raise FileNotFoundError(
      f"{folder} holds no metrics.jsonl, so it is no run directory; pass the "
      "folder that train.py wrote to, after its first step."
    )
  rows = _rows(path)
  if not rows:
    raise ValueError(
      f"{path} holds no complete line with a `step`; wait for the first step."
    )
  config, name = _config(folder / "config.json"), folder.resolve().name
  label = str(config.get("label") or name)
  return Run(label, config, _series(rows), name, folder)


def _config(path: pathlib.Path) -> dict[str, object]:
  if not path.is_file():
    return {}
  try:
    return dict(json.loads(path.read_text()))
  except (ValueError, TypeError) as error:
    raise ValueError(
      f"{path} is not a JSON object ({error}); repair it or delete it to read "
      "the run without its config."
    ) from error


def _rows(path: pathlib.Path) -> dict[int, dict[str, object]]:
  rows, lines = {}, path.read_text(errors="replace").split("\n")
  for number, line in enumerate(lines, 1):
    if not line.strip():
      continue
    try:
      row = json.loads(line)
      rows[int(row["step"])] = row
    except (ValueError, KeyError, TypeError, OverflowError):
      # The last line is cut by any kill; one further up deserves a word.
      if number < len(lines):
        logging.warning("%s: left out unreadable line %d.", path, number)
  return rows


def _series(rows: Mapping[int, Mapping[str, object]]) -> dict[str, Series]:
  points: dict[str, list[tuple[int, float]]] = {}
  for step in sorted(rows):
    for name, value in rows[step].items():
      if value is None or isinstance(value, int | float):
        number = np.nan if value is None else float(value)
        points.setdefault(name, []).append((step, number))
  points.pop("step", None)
  return {
    name: (np.array([s for s, _ in p]), np.array([v for _, v in p]))
    for name, p in points.items()
  }


def by_label(runs: Sequence[Run]) -> dict[str, list[Run]]:
  """Groups runs that share a label, in order of first appearance."""
  groups: dict[str, list[Run]] = {}
  for run in runs:
    groups.setdefault(run.label, []).append(run)
  return groups


def target_entropy(run: Run) -> float | None:
  """The entropy in nats that a method of the run's chain aims at, if any."""
  for name in tuple(run.config.get("chain") or ()):
    method = run.config.get(name)
    target = method.get("target_entropy") if isinstance(method, Mapping) else 0
    if isinstance(target, int | float) and target > 0:
      return float(target)
  return None


def is_labelled(run: Run) -> bool:
  """Whether the run knows rewards; without labels they are all NaN."""
  task = run.config.get("task")
  return not isinstance(task, Mapping) or bool(task.get("labelled", True))


def largest_k(runs: Sequence[Run], figure: str) -> int | None:
  """Returns the largest k > 1 for which a run logged `eval/<figure>@<k>`."""
  start = f"eval/{figure}@"
  names = {name for run in runs for name in run.metrics}
  ks = [n[len(start) :] for n in names if n.startswith(start)]
  return max((int(k) for k in ks if k.isdigit() and k != "1"), default=None)
