"""Reference vectors of DRPO and DisCO."""

import functools
from collections.abc import Mapping

import jax
import numpy as np

from golden_adapters import common
from golden_adapters.common import assert_close
from rlvr_jax import methods

ESTIMATORS = {"kl": "k1", "low_var_kl": "k3"}


def check_drpo(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case found in `vectors`."""
  for number, case in common.cases(vectors):
    got = _outputs(case)
    for key, value in got.items():
      assert_close(f"case{number}: {key}", value, case.out[key])
    common.assert_covered(f"case{number}", case, got, ())


def _outputs(case):
  inputs = case.inputs
  rollout = common.batch(
    inputs["old_log_prob"],
    None,
    inputs["mask"],
    reward=inputs["seq_reward"],
    group=inputs["uid"],
  )

  @jax.jit
  def run(rollout):  # all variants in one program, which compiles faster
    found = {}
    for name, method in _variants(case.hp).items():
      loss, gradient, metrics = common.loss_and_grad(
        method, rollout, inputs["log_prob"]
      )
      found |= {
        f"loss_{name}": loss,
        f"grad_{name}": gradient,
        f"kl_{name}": metrics[f"{method.name}/kl"],
        f"over_delta_{name}": metrics[f"{method.name}/over_delta"],
      }
    return found

  return run(rollout)


def _variants(hp):
  """Methods by the name in the file."""
  make = functools.partial(
    methods.make,
    beta=hp["beta"],
    delta=hp["delta"],
    estimator=ESTIMATORS[hp["kl_type"]],
    value="code",
  )
  found = {"drpo": make("drpo", length_scale=hp["Lambda"], tau=hp["tau"])}
  for form, name in (("disco", "disco"), ("disco_b", "discob")):
    logp = make("disco", form=form, tau=hp["tau"])
    ratio = make("disco", form=form, score="ratio", tau=hp["tau_ratio"])
    found |= {f"{name}_logL": logp, f"{name}_Lratio": ratio}
  return found
