"""What the experiment on active particles writes: a table and two pictures."""

import pathlib
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import tabulate

from rlvr_jax.analysis import active_particles, entropy_production
from rlvr_jax.analysis.active_particles import Model
from rlvr_jax.report import active_particles as figures
from rlvr_jax.report import style
from rlvr_jax.report.active_particles import Flow

_HEADS = (
  *("particles", "number", "speed", "closed form", "without a score"),
  *("from the score", "off by", "medium", "system", "E div v"),
)
_GRID = 151  # points of a picture in each direction


def table(rows: Sequence[dict]) -> str:
  """The rows of results.json as Markdown."""
  return tabulate.tabulate(
    [_line(row) for row in rows], _HEADS, "github", disable_numparse=True
  )


def _line(row: dict) -> list[object]:
  known, total = row["closed_form"], row["total"]
  return [
    row["case"],
    row["particles"],
    f"{row['model']['speed']:g}",
    "" if known is None else f"{known:.4f}",
    f"{row['dissipation']['mean']:.4f}",
    f"{total['mean']:.4f} ({total['low']:.4f}, {total['high']:.4f})",
    f"{total['mean'] / known - 1:+.1%}" if known else "",
    *(f"{row[x]['mean']:.4f}" for x in ("medium", "system", "divergence")),
  ]


def draw(
  folder: pathlib.Path,
  alone: Sequence[dict],
  score: entropy_production.Field,
) -> None:
  """Writes rate.png and flow.png.

  Args:
    folder: where to.
    alone: rows of one particle, by rising speed.
    score: learned at the last of the speeds.
  """
  speeds = [row["model"]["speed"] for row in alone]
  model = Model(**alone[-1]["model"])
  grid = np.linspace(0, speeds[-1], 100)
  line = grid, np.asarray(active_particles.rate(model._replace(speed=grid)))
  found = [tuple(row["total"].values()) for row in alone]
  closed = lambda z: active_particles.score(z, model)
  flows = [
    _flow("From the learned score", score, model),
    _flow("Closed form", closed, model),
  ]
  with style.context():
    drawn = {
      "rate": figures.against_speed(speeds, found, line),
      "flow": figures.flows(flows),
    }
    for name, figure in drawn.items():
      (folder / f"{name}.png").write_bytes(style.png(figure))


def _flow(title: str, score: entropy_production.Field, model: Model) -> Flow:
  """The probability flow of a particle alone in one dimension."""
  covariance = np.asarray(active_particles.covariance(model), np.float64)
  ends = 3.2 * np.sqrt(np.diag(covariance))
  x, g = (np.linspace(-end, end, _GRID) for end in ends)
  z = np.stack(np.meshgrid(x, g), axis=-1)  # [G, X, 2]
  process = active_particles.process(model)

  @jax.jit
  @jax.vmap
  def each(z: jax.Array) -> tuple[jax.Array, jax.Array]:
    rates = entropy_production.rates(process, score, z)
    return entropy_production.velocity(process, score, z), rates.total.sum()

  velocity, rate = each(jnp.asarray(z, jnp.float32).reshape(-1, 2, 1, 1))
  exponent = np.einsum("...i,ij,...j", z, np.linalg.inv(covariance), z)
  return Flow(
    title,
    x,
    g,
    np.asarray(velocity).reshape(z.shape),
    np.asarray(rate).reshape(exponent.shape),
    np.exp(-exponent / 2),
  )
