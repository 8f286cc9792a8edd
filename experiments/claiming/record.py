"""A claim of a paper and the small experiment that tries it, as data."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from matplotlib.figure import Figure
from ml_collections import ConfigDict

from configs import quickstart
from rlvr_jax.report.runs import Groups, Run

Edits = Mapping[str, object]  # dotted name of a field -> its value
Figures = Mapping[str, float]  # name -> value, of one seed
AllFigures = Mapping[str, Sequence[float]]  # name -> one value per seed
Draw = Callable[[Groups, AllFigures], Figure]


class Base(NamedTuple):
  """What the arms of a claim have in common."""

  name: str  # of the folder in which its runs lie
  task: str
  edits: Edits  # of the quickstart's configuration


class Arm(NamedTuple):
  """One way to train."""

  chain: tuple[str, ...]
  edits: Edits = {}  # of the base


class Part(NamedTuple):
  """What must hold of one figure: it lies on one side of a bound."""

  figure: str
  side: Literal["above", "below"]
  bound: float
  says: str  # what the figure is, with its unit


@dataclasses.dataclass(frozen=True)
class Claim:
  """A claim that can turn out shown, not shown or contrary.

  Attributes:
    name: of its module, its outcome and its figure.
    paper: arXiv number.
    says: what the paper claims, one sentence.
    here: the experiment, in a sentence or two.
    base: what its runs have in common.
    arms: by name; two claims that give an arm of one base the same name share
      its runs.
    measure: the runs of one seed by arm to the figures of that seed.
    parts: what must hold of these figures, over the seeds.
    draw: all runs by arm, and all figures, to the picture of the claim.
    remark: what was tried besides, and why an effect does not show.
    seeds: of the runs, at least three.
  """

  name: str
  paper: str
  says: str
  here: str
  base: Base
  arms: Mapping[str, Arm]
  measure: Callable[[Mapping[str, Run]], Figures]
  parts: tuple[Part, ...]
  draw: Draw
  remark: str = ""
  seeds: tuple[int, ...] = (0, 1, 2, 3, 4)


def config(claim: Claim, arm: str) -> ConfigDict:
  """The configuration of an arm, at seed 0."""
  chain, edits = claim.arms[arm]
  c = quickstart.get_config(f"runlocal,task={claim.base.task}")
  c.update_from_flattened_dict(dict(claim.base.edits))
  c.chain = chain
  c.update_from_flattened_dict(dict(edits))
  c.optimizer.decay = c.steps
  return c


def plain(claim: Claim) -> dict[str, object]:
  """What was run, as it stands in JSON: the base and the arms."""
  arm = lambda a: {"chain": list(a.chain), "edits": _plain(a.edits)}
  return {
    "base": claim.base._replace(edits=_plain(claim.base.edits))._asdict(),
    "arms": {name: arm(a) for name, a in claim.arms.items()},
  }


def _plain(edits: Edits) -> dict[str, object]:
  listed = lambda v: list(v) if isinstance(v, tuple) else v
  return {name: listed(value) for name, value in edits.items()}
