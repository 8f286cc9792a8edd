"""All claims, and what is kept of them in docs/results."""

import importlib
import pathlib
import shutil

from experiments.claiming import outcome, page
from experiments.claiming.record import Claim

RESULTS = pathlib.Path(__file__).parents[2] / "docs" / "results"
KEPT, PAGE = RESULTS / "claims", RESULTS / "claims.md"
# In the order of the page.
NAMES = (
  "entropy_collapse",
  "entropy_law",
  "covariance",
  "aepo_targets",
  "selective_bonus",
  "entropy_change",
  "extreme_clipping",
  "negative_samples",
  "clip_higher",
  "forking",
  "low_probability",
  "label_free",
  "staleness",
  "entropy_factors",
  "critical_tokens",
)


def claims() -> list[Claim]:
  """The claims of `experiments/claims`."""
  load = lambda name: importlib.import_module(f"experiments.claims.{name}")
  return [load(name).CLAIM for name in NAMES]


def take_over(outcomes: pathlib.Path) -> None:
  """Copies outcomes and figures of a working directory to those kept."""
  shutil.copytree(outcomes, KEPT, dirs_exist_ok=True)


def text() -> str:
  """The page of the outcomes that are kept."""
  kept = {path.stem: outcome.read(path) for path in KEPT.glob("*.json")}
  return page.text(claims(), kept)
