"""Reference vectors of LaRe's code: its decoder and its three losses."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from golden_adapters import common
from golden_adapters.common import assert_close
from rlvr_jax import latent_reward


def check_lare(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case found in `vectors`."""
  for number, case in common.cases(vectors):
    where, got = f"case{number}", _found(case)
    for name, value in got.items():
      assert_close(f"{where}: {name}", value, case.out[name])
    common.assert_covered(where, case, got, ())


def _found(case: common.Case) -> dict[str, object]:
  inputs, hp = case.inputs, case.hp
  latent, returns = inputs["latent"], inputs["returns"]
  length, steps = inputs["lengths"], inputs["sampled_steps"]
  mask = jnp.arange(latent.shape[1]) < length[:, None]
  weights = _weights(inputs, hp["n_layers"])
  drawn = np.take_along_axis(latent, steps[..., None], axis=1)
  every = lambda weights: latent_reward.rewards(weights, latent)

  def rd(weights):
    return latent_reward.rd(every(weights), mask, returns)

  def rrd(unbiased):
    def loss(weights):
      rewards = latent_reward.rewards(weights, drawn)
      size = jnp.asarray(length, jnp.float32)
      return latent_reward.rrd(rewards, size, returns, unbiased=unbiased)

    return loss

  def mpe(alpha):
    both = every(weights) + latent_reward.rewards(weights, 0.5 * latent)
    return latent_reward.rd(both, mask, returns, "sum", alpha)

  found = {"rewards": every(weights)}
  losses = {"rd": rd, "rrd_biased": rrd(False), "rrd_unbiased": rrd(True)}
  for name, loss in losses.items():
    kind, _, suffix = name.partition("_")
    suffix = suffix and f"_{suffix}"
    value, gradient = jax.value_and_grad(loss)(weights)
    found[f"{kind}_loss{suffix}"] = value
    # The code keeps a matrix as outputs by inputs.
    found[f"{kind}_grad_w0{suffix}"] = gradient[0][0].T
  found["mpe_loss_noreg"] = mpe(0.0)
  found["mpe_loss_reg"] = mpe(hp["mpe_alpha"])
  return found


def _weights(inputs: common.Numbers, layers: int) -> latent_reward.Weights:
  at = lambda i: jnp.asarray(inputs[f"w{i}"], jnp.float32)
  return tuple((at(2 * i).T, at(2 * i + 1)) for i in range(layers))
