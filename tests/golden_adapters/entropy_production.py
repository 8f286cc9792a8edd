"""Reference vectors of active particles: drift, losses and closed forms."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from golden_adapters import common
from golden_adapters.common import assert_close
from rlvr_jax.analysis import active_particles, entropy_production


def check_entropy_production(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case found in `vectors`."""
  with jax.enable_x64(True):
    for number, case in common.cases(vectors):
      got = _case(case)
      for name, value in got.items():
        assert_close(f"case{number}: {name}", value, case.out[name])
      common.assert_covered(f"case{number}", case, got, ())


def _case(case: common.Case) -> dict[str, object]:
  hp, inputs = case.hp, case.inputs
  model = active_particles.Model(
    speed=hp["v0"],
    trap=hp["A"],
    decay=hp["gamma"],
    diffusivity=hp["eps"],
    repulsion=hp["k"],
    radius=hp["r"],
    sharpness=hp["beta_softplus"],
    half_width=hp["width"],
  )
  process = active_particles.process(model)
  score = lambda z: _affine(inputs, z)
  z = np.stack([inputs["xs"], inputs["gs"]], axis=1)
  # The noise of x and then of g, along the axis of particles.
  noise = inputs["noise"].reshape(z.shape)
  step = lambda z, noise: active_particles.step(z, noise, hp["dt"], model)
  slopes = lambda z: entropy_production.slopes(process.drift, z)[0].sum(-1)

  @jax.jit
  @jax.vmap
  def each(z, noise):
    exact = entropy_production.terms(process, score, z)
    dynamic = entropy_production.dynamic_terms(
      process, score, step, z, noise, hp["dt"]
    )
    return exact, dynamic, process.drift(z)[0], slopes(z)

  exact, dynamic, drift, divergence = each(z, noise)
  weights = entropy_production.Weights(*map(float, hp["lambdas"]))
  loss = lambda terms: entropy_production.loss(terms, z[0].size, weights)
  covariance = active_particles.covariance(model)
  alone = active_particles.rate(model)
  return {
    "drift": drift,
    "div_force": divergence,
    "sm_loss": loss(exact),
    "denoising_loss": loss(dynamic),
    "Sigma": covariance,
    "Sigma_inv": jnp.linalg.inv(covariance),
    "closed_form_epr_k0": alone * hp["N"] * hp["d"],
    "closed_form_epr_formula": alone * hp["N"] * hp["d"],
  }


def _affine(inputs: dict[str, np.ndarray], z: jax.Array) -> jax.Array:
  """The score of the vectors: affine in x and g, the same for all particles."""
  part = lambda key: (
    -(
      inputs[f"{key}_wx"] * z[0]
      + inputs[f"{key}_wg"] * z[1]
      + inputs[f"{key}_c"]
    )
  )
  return jnp.stack([part("x"), part("g")])
