"""The experiment on active particles: its network, learning and writing."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import runs
from experiments.active_matter import learning
from experiments.active_matter.network import ScoreNet
from rlvr_jax.analysis import active_particles
from rlvr_jax.analysis.active_particles import Model

pytestmark = pytest.mark.usefixtures("quick_compile")

SMALL = learning.Sizes(
  walkers=1024,
  time=0.02,
  settling=300,
  between=50,
  samples=16,
  batch=256,
  updates=400,
  learning_rate=3e-3,
)


def test_scores_change_places_with_their_particles():
  network = ScoreNet(2, nnx.Rngs(0), width=8)
  z = jax.random.normal(jax.random.key(0), (2, 4, 2))
  order = jnp.array([2, 0, 3, 1])
  score = network(z)
  np.testing.assert_allclose(
    network(z[:, order]), score[:, order], rtol=1e-5, atol=1e-6
  )
  moved = network(z.at[0, 3].add(1.0))
  assert (jnp.abs(moved - score).max(axis=(0, 2)) > 1e-3).all()


def test_a_score_learned_in_a_moment_tells_the_rate_roughly():
  model = Model(speed=2.0)
  found, _ = learning.found(jax.random.key(0), model, SMALL)
  want = active_particles.rate(model)
  assert float(found.total) == pytest.approx(want, rel=0.2)
  assert float(found.dissipation) == pytest.approx(want, rel=0.2)
  assert float(found.system + found.medium) == pytest.approx(found.total)
  assert float(found.by_particle.sum()) == pytest.approx(found.total)


@pytest.mark.long
@pytest.mark.parametrize("particles", [1, 3])
def test_a_learned_score_tells_the_rate_within_five_percent(particles):
  sizes = learning.Sizes(particles=particles)
  found, _ = learning.found(jax.random.key(0), Model(), sizes)
  want = particles * active_particles.rate(Model())
  assert float(found.total) == pytest.approx(want, rel=0.05)


@pytest.fixture
def program(monkeypatch):
  """The experiment, which finds at once what is right up to its seed."""
  with runs.program("experiments.entropy_production") as module:

    def found(key, model, sizes):
      rate = active_particles.rate(model) * sizes.particles
      near = rate + 0.01 * jax.random.normal(key)
      zero, parts = jnp.float32(0), jnp.full(sizes.particles, rate)
      network = ScoreNet(1, nnx.Rngs(0))
      values = near, zero, near, zero, parts, rate
      return learning.Found(*values), nnx.state(network)

    monkeypatch.setattr(learning, "found", found)
    yield module


def test_the_program_writes_a_row_for_each_case_and_both_pictures(
  program, tmp_path
):
  folder = tmp_path / "new"
  program.flags.FLAGS(["", f"--workdir={folder}", "--seeds=3"])
  program.main()
  rows = json.loads((folder / "results.json").read_text())
  names = [(row["case"], row["model"]["speed"]) for row in rows]
  assert names[:4] == [("alone", speed) for speed in (0, 0.5, 1, 2)]
  assert names[4:] == [("independent", 1), ("repelling", 1)]
  assert [row["closed_form"] for row in rows] == [0, 0.25, 1, 4, 3, None]
  for row in rows:
    assert len(row["seeds"]) == 3
    assert row["total"]["low"] < row["total"]["mean"] < row["total"]["high"]
    assert len(row["by_particle"]) == row["particles"]
  lines = (folder / "results.md").read_text().splitlines()
  assert len(lines) == 2 + len(rows)
  for name in ("rate", "flow"):
    assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
