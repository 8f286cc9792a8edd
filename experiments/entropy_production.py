r"""Learns the entropy production of active particles, and compares it.

python -m experiments.entropy_production --workdir=runs/entropy_production

A particle alone in a trap, whose rate has a closed form, at several swimming
speeds; then particles that do not meet, whose rates must add up, and particles
that repel each other, of which the mean rate is known without a score. A score
is learned from samples of each, once per seed. Writes results.json, results.md
and two pictures; docs/results/entropy_production.md tells how to read them.
"""

import functools
import json
import pathlib
from typing import NamedTuple

import jax
import numpy as np
from absl import flags

from experiments.active_matter import learning, results
from experiments.claiming import rule
from rlvr_jax.analysis import active_particles
from rlvr_jax.analysis.active_particles import Model
from rlvr_jax.training import command
from rlvr_jax.types import PyTree

_WORKDIR = flags.DEFINE_string("workdir", None, "folder to write")
_SEEDS = flags.DEFINE_integer("seeds", 5, "of each estimate", 2)
_UPDATES = flags.DEFINE_integer("updates", 2000, "of the score", 1)

SPEEDS = (0.0, 0.5, 1.0, 2.0)
TOGETHER = 3  # particles


class Case(NamedTuple):
  """What is simulated."""

  name: str
  model: Model
  particles: int

  @property
  def known(self) -> float | None:
    """The rate in closed form, if there is one."""
    if self.model.repulsion:
      return None
    return self.particles * float(active_particles.rate(self.model))


ALONE = [Case("alone", Model(speed=speed), 1) for speed in SPEEDS]
# Their repulsion is so strong that no two change places: where they meet, its
# direction jumps.
GROUPS = [
  Case("independent", Model(), TOGETHER),
  Case("repelling", Model(repulsion=1.5, radius=1.5), TOGETHER),
]


def run(case: Case, seeds: int, updates: int) -> tuple[dict, PyTree]:
  """One row of results.json, and the weights of the last seed's score."""
  sizes = learning.Sizes(particles=case.particles, updates=updates)
  interval = lambda values: rule.interval(values)._asdict()
  each = []
  for seed in range(seeds):
    found, params = learning.found(jax.random.key(seed), case.model, sizes)
    each.append(jax.tree.map(lambda x: np.asarray(x, np.float64), found))
  stacked = jax.tree.map(lambda *x: np.stack(x), *each)._asdict()
  by_particle = stacked.pop("by_particle").T
  row = {
    "case": case.name,
    "particles": case.particles,
    "model": case.model._asdict(),
    "closed_form": case.known,
    "by_particle": [interval(values) for values in by_particle],
    "seeds": stacked["total"].tolist(),
  }
  row |= {name: interval(values) for name, values in stacked.items()}
  print(results.table([row]).splitlines()[-1], flush=True)
  return row, params


def main() -> None:
  """Runs all cases; prints a row of the table after each."""
  folder = pathlib.Path(_WORKDIR.value)
  folder.mkdir(parents=True, exist_ok=True)
  how = _SEEDS.value, _UPDATES.value
  alone, weights = zip(*(run(case, *how) for case in ALONE))
  rows = [*alone, *(run(case, *how)[0] for case in GROUPS)]
  (folder / "results.json").write_text(json.dumps(rows, indent=2) + "\n")
  (folder / "results.md").write_text(results.table(rows) + "\n")
  score = functools.partial(learning.score, weights[-1], ALONE[-1].model)
  results.draw(folder, alone, score)


if __name__ == "__main__":
  flags.mark_flags_as_required(["workdir"])
  command.run(main)
