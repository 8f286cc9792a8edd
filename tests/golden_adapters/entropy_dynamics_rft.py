"""Reference vectors of Trinity-RFT's Clip_B and Clip_V."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from golden_adapters import common
from golden_adapters.common import assert_close
from rlvr_jax import stats, transform
from rlvr_jax.analysis import entropy_dynamics
from rlvr_jax.methods.entropy_dynamics_rft import (
  ENTROPY,
  KEEP,
  MEAN_DISCRIMINATOR,
  entropy_dynamics_rft,
)
from rlvr_jax.methods.grpo import grpo

EXACT = ("mask_clip_b", "mask_clip_v")


def check_entropy_dynamics_rft(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case found in `vectors`; masks are exact."""
  for number, case in common.cases(vectors):
    where, got = f"case{number}", _case(case)
    for name, value in got.items():
      if name in EXACT:
        np.testing.assert_array_equal(value, case.out[name], err_msg=where)
      else:
        assert_close(f"{where}: {name}", value, case.out[name])
    common.assert_covered(where, case, got, ())


def _case(case: common.Case) -> dict[str, object]:
  inputs, hp = case.inputs, case.hp
  mask = inputs["response_mask"]
  nec = _mean_discriminator(inputs["logits"])
  rollout = common.batch(
    inputs["log_prob"],
    None,
    mask,
    reward=inputs["rewards"],
    group=inputs["group_id"],
    stats={ENTROPY.key: inputs["entropy"], MEAN_DISCRIMINATOR.key: nec},
  )

  def run(**given):
    chain = transform.chain(
      grpo(epsilon=hp["epsilon"]), entropy_dynamics_rft(**given)
    )
    return common.prepared(chain, rollout)

  b = run(variant="clip_b", mu=hp["mu_b"])
  v = run(variant="clip_v", mu=hp["mu_v"], max_fraction=hp["max_frac"])
  metric = lambda batch, name: batch.metrics[f"entropy_dynamics_rft/{name}"]
  # What does not count is of no meaning here.
  counted = lambda x: np.where(mask > 0, x, 0)
  case.out["advantages"] = counted(case.out["advantages"])
  s = entropy_dynamics.discriminator(inputs["log_prob"], inputs["entropy"])
  return {
    "nec": nec,
    "S": s,
    "advantages": b.advantages,
    "mask_clip_b": b.notes[KEEP],
    "mask_clip_v": v.notes[KEEP],
    "ES": metric(b, "discriminator"),
    "varS": metric(b, "spread") ** 2,
    "stdD": metric(v, "spread"),
    "frac_clipped_b": metric(b, "dropped_fraction"),
    "frac_clipped_v": metric(v, "dropped_fraction"),
  }


def _mean_discriminator(logits: np.ndarray) -> np.ndarray:
  rows, length, size = logits.shape
  found = stats.from_logits(
    (MEAN_DISCRIMINATOR,),
    {"policy": jnp.asarray(logits).reshape(-1, size)},
    jnp.zeros(rows * length, jnp.int32),
    jnp.ones(rows * length),
  )
  return np.asarray(found[MEAN_DISCRIMINATOR.key]).reshape(rows, length)
