"""Reference vectors of a temperature for every token: HAPO's, as released."""

from collections.abc import Mapping

import jax
import numpy as np

from golden_adapters import common
from golden_adapters.clip_cov import edited
from golden_adapters.common import assert_close
from golden_adapters.hapo import sampler
from rlvr_jax.methods.hapo import (
  ENTROPY,
  FLOOR,
  ROLLOUT_ENTROPY,
  SAMPLER_FLOOR,
  hapo,
)

# Our names of what the sampler goes by.
_NAMES = {
  "median": "q_pivot",
  "std": "std_about_pivot",
  "scale_pos": "scale_pos",
  "scale_neg": "scale_neg",
  "temperature": "sampler_temp",
}


def check_branching_sampler(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case."""
  for number, case in common.cases(vectors):
    got = _case(case)
    for name, value in got.items():
      assert_close(f"case{number}: {name}", value, case.out[name])
    common.assert_covered(f"case{number}", case, got, ())


def _case(case: common.Case) -> dict[str, object]:
  inputs, hp = case.inputs, case.hp
  floors = hp["eps_stats"], hp["eps_sampler"]
  assert floors == (FLOOR, SAMPLER_FLOOR), floors
  given = {"sign": "code", "pivot": hp["entropy_pivot"], "tau": hp["tau"]}
  mask, nats = inputs["response_mask"], inputs["train_entropy"]
  flat = np.zeros(mask.shape)
  rollout = common.batch(flat, None, mask, stats={ROLLOUT_ENTROPY.key: nats})
  logits = inputs["step_logits"]
  base = np.full(len(logits), hp["base_temperature"])
  found = jax.jit(sampler, static_argnums=0)(
    hapo(**given), rollout, logits, base
  )
  # The upper bound is 1 + high (1 + score).
  still = hapo(**given, temperature=False, high=1.0)
  upper = jax.jit(
    lambda batch, nats: (
      edited(still, batch, flat, stats={ENTROPY.key: nats}).clip_high
    )
  )(rollout, nats)
  score = np.where(mask > 0, upper - 2, 0)
  return {name: found[ours] for name, ours in _NAMES.items()} | {"h_hat": score}
