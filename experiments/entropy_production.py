r"""Learns the entropy production of active particles, and compares it.

python -m experiments.entropy_production --workdir=runs/entropy_production

A particle alone in a trap, whose rate has a closed form, at several swimming
speeds; then particles that do not meet, whose rates must add up, and particles
that repel each other, of which the mean rate is known without a score. A score
is learned from samples of each, once per seed. Writes results.json, results.md
and two pictures; docs/results/entropy_production.md tells how to read them.
"""

import json
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tabulate
from absl import app, flags
from scipy import stats

from experiments.active_matter import learning
from rlvr_jax.analysis import active_particles, entropy_production
from rlvr_jax.analysis.active_particles import Model
from rlvr_jax.report import active_particles as figures
from rlvr_jax.report import style
from rlvr_jax.report.active_particles import Estimate
from rlvr_jax.types import PyTree

_WORKDIR = flags.DEFINE_string("workdir", None, "folder to write")
_SPEEDS = flags.DEFINE_list("speeds", [0, 0.5, 1, 2], "of a particle alone")
_SEEDS = flags.DEFINE_integer("seeds", 5, "of each estimate", 2)
_UPDATES = flags.DEFINE_integer("updates", 5000, "of the score", 1)

TOGETHER = 3  # particles
REPULSION = 5.0  # so strong that no two change places
GRID = 91  # points of a picture in each direction


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


def cases(speeds: Sequence[float]) -> list[Case]:
  """What is compared, one row of the table each."""
  alone = [Case("alone", Model(speed=speed), 1) for speed in speeds]
  repelling = Model(repulsion=REPULSION)
  return [
    *alone,
    Case("independent", Model(), TOGETHER),
    Case("repelling", repelling, TOGETHER),
  ]


def run(case: Case, seeds: int, updates: int) -> tuple[dict, PyTree]:
  """One row of results.json, and the weights of the last seed's score."""
  sizes = learning.Sizes(particles=case.particles, updates=updates)
  each = []
  for seed in range(seeds):
    found, params = learning.found(jax.random.key(seed), case.model, sizes)
    each.append(jax.tree.map(lambda x: np.asarray(x, np.float64), found))
  stacked = jax.tree.map(lambda *x: np.stack(x), *each)
  row = {"case": case.name, "particles": case.particles}
  row |= {"model": case.model._asdict(), "closed_form": case.known}
  summed = lambda values: [estimate(v)._asdict() for v in values.T]
  row |= {
    name: estimate(value)._asdict() if value.ndim == 1 else summed(value)
    for name, value in stacked._asdict().items()
  }
  return row | {"seeds": stacked.total.tolist()}, params


def estimate(values: np.ndarray) -> Estimate:
  """The mean over f[seeds] with Student's 95 % interval."""
  half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
  mean = float(values.mean())
  return Estimate(mean, mean - float(half), mean + float(half))


def table(rows: Sequence[dict]) -> str:
  """The rows as Markdown."""
  interval = lambda x: f"{x['mean']:.4f} ({x['low']:.4f}, {x['high']:.4f})"
  lines = []
  for row in rows:
    known, total = row["closed_form"], row["total"]["mean"]
    lines.append(
      [
        row["case"],
        row["particles"],
        f"{row['model']['speed']:g}",
        "" if known is None else f"{known:.4f}",
        f"{row['dissipation']['mean']:.4f}",
        interval(row["total"]),
        f"{total / known - 1:+.1%}" if known else "",
        *(f"{row[x]['mean']:.4f}" for x in ("medium", "system", "divergence")),
      ]
    )
  heads = ["particles", "number", "speed", "closed form", "without a score"]
  heads += ["from the score", "off by", "medium", "system", "E div v"]
  return tabulate.tabulate(lines, heads, "github", disable_numparse=True)


def flow(title: str, score: entropy_production.Field, model: Model):
  """The probability flow of a particle alone in one dimension."""
  covariance = np.asarray(active_particles.covariance(model))
  ends = 3.2 * np.sqrt(np.diag(covariance))
  x, g = (np.linspace(-end, end, GRID) for end in ends)
  z = np.stack(np.meshgrid(x, g), axis=-1)  # [G, X, 2]
  process = active_particles.process(model)

  def one(z):
    z = z.reshape(2, 1, 1)
    rates = entropy_production.rates(process, score, z)
    velocity = entropy_production.velocity(process, score, z)
    return velocity.reshape(2), rates.total.sum()

  velocity, rate = jax.vmap(jax.vmap(one))(jnp.asarray(z, jnp.float32))
  exponent = np.einsum("...i,ij,...j", z, np.linalg.inv(covariance), z)
  return figures.Flow(
    title, x, g, np.asarray(velocity), np.asarray(rate), np.exp(-exponent / 2)
  )


def draw(folder: pathlib.Path, rows: Sequence[dict], params: PyTree) -> None:
  """Writes the pictures; `params` is the score of the fastest particle."""
  alone = [row for row in rows if row["case"] == "alone"]
  speeds = [row["model"]["speed"] for row in alone]
  model = Model(speed=max(speeds))
  grid = np.linspace(0, model.speed, 100)
  line = grid, np.asarray(active_particles.rate(Model(speed=grid)))
  found = [Estimate(**row["total"]) for row in alone]
  learned = lambda z: learning.score(params, z)
  closed = lambda z: active_particles.score(z, model)
  with style.context():
    drawn = {
      "rate": figures.against_speed(speeds, found, line),
      "flow": figures.flows(
        [
          flow("From the learned score", learned, model),
          flow("Closed form", closed, model),
        ]
      ),
    }
    for name, figure in drawn.items():
      (folder / f"{name}.png").write_bytes(style.png(figure))


def main(argv: list[str]) -> None:
  """Runs all cases; prints a line after each."""
  if len(argv) > 1:
    raise app.UsageError(f"unexpected arguments {argv[1:]}.")
  folder = pathlib.Path(_WORKDIR.value)
  folder.mkdir(parents=True, exist_ok=True)
  rows, weights = [], {}
  for case in cases(sorted(map(float, _SPEEDS.value))):
    row, weights[case] = run(case, _SEEDS.value, _UPDATES.value)
    rows.append(row)
    print(table(rows[-1:]).splitlines()[-1], flush=True)
  (folder / "results.json").write_text(json.dumps(rows, indent=2) + "\n")
  (folder / "results.md").write_text(table(rows) + "\n")
  fastest = max(case for case in weights if case.name == "alone")
  draw(folder, rows, weights[fastest])


if __name__ == "__main__":
  flags.mark_flags_as_required(["workdir"])
  app.run(main)
