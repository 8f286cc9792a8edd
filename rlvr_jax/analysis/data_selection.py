"""Which training problems to keep: by how their accuracy moved in a run.

A history is a table [N, E] of mean rewards, one row per problem and one column
per visit, NaN where a problem was visited less often. `read` makes it from the
folder of a run, and the chosen rows go into `config.task.subset`.

Source: Wang et al., Reinforcement Learning for Reasoning in Large Language
Models with One Training Example, 2504.20571, eq. 1-2. Code:
ypwang61/One-Shot-RLVR, data/data_selection.py.
"""

import json
import os
import pathlib

import numpy as np


def read(workdir: str | os.PathLike) -> np.ndarray:
  """Returns the accuracy history of a run.

  Args:
    workdir: of the run; holds accuracy.jsonl.

  Returns:
    float64[N, E], the k-th visit of a problem in column k; N is one more than
    the largest problem visited. NaN fills up problems visited less often.

  Raises:
    FileNotFoundError: the folder holds no run, or one of an older version.
  """
  path = pathlib.Path(workdir) / "accuracy.jsonl"
  visits = {}
  for text in path.read_text().splitlines():
    line = json.loads(text)
    for problem, right in zip(line["problems"], line["right"]):
      if right is not None:
        visits.setdefault(problem, []).append(right)
  longest = max(map(len, visits.values()), default=0)
  history = np.full((max(visits, default=-1) + 1, longest), np.nan)
  for problem, right in visits.items():
    history[problem, : len(right)] = right
  return history


def historical_deviation(history: np.ndarray) -> np.ndarray:
  """Returns how much the accuracy of each problem fluctuated.

  The population deviation over the visits, the root of the paper's historical
  variance; 0 for a problem that was never visited, always right or always
  wrong, 0.5 at most.

  Args:
    history: float[N, E] in [0, 1], NaN where missing.

  Returns:
    float64[N].

  Source:
    2504.20571, eq. 1. The order is that of the variance, but for problems
    whose variances differ in the last bit: the code, which takes the
    deviation, has those in their own order, and so does `rank` of this.
  """
  found, here = _filled(history)
  # Row by row without the gaps, so that ties are those of the code.
  return np.array(
    [np.std(row[seen]) if seen.any() else 0.0 for row, seen in zip(found, here)]
  )


def learning_impact(history: np.ndarray) -> np.ndarray:
  """Returns how well each problem follows the mean learning curve.

  1 - sum (s - mean)^2 / sum (1 - mean)^2 over the first L visits, L those of
  the problem visited least among the visited ones; the mean is over problems.

  Args:
    history: float[N, E] in [0, 1], NaN only behind the visits of a problem.

  Returns:
    float64[N], at most 1; -inf for a problem never visited. 1 for all where
    the mean is 1 throughout.

  Source:
    The option "lim" of the code.
  """
  found, here = _filled(history)
  seen = here.any(axis=1)
  if not seen.any():
    return np.full(len(found), -np.inf)
  least = int(here[seen].sum(axis=1).min())
  curves = found[:, :least]
  mean = curves[seen].mean(axis=0)
  missed = ((1 - mean) ** 2).sum()
  error = ((curves - mean) ** 2).sum(axis=1)
  impact = 1 - error / (missed if missed > 0 else 1.0)
  return np.where(seen, impact, -np.inf)


def rank(scores: np.ndarray) -> np.ndarray:
  """Returns the problems by falling score, ties in their order.

  Args:
    scores: float[N].

  Returns:
    int64[N] rows; the first fluctuated most.

  Source:
    2504.20571, eq. 2.
  """
  return np.argsort(-np.asarray(scores, np.float64), kind="stable")


def random_rank(count: int, seed: int) -> np.ndarray:
  """Returns the problems 0 .. count - 1 in random order, int64[count]."""
  return np.random.default_rng(seed).permutation(count)


def _filled(history):
  """(values with 0 where missing, which are there)."""
  table = np.asarray(history, np.float64)
  if table.ndim != 2:
    raise ValueError(
      f"`history` has shape {table.shape}; pass a table [problems, visits]."
    )
  here = ~np.isnan(table)
  return np.where(here, table, 0.0), here
