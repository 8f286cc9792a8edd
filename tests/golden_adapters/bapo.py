"""Reference vectors of BAPO's policy loss and of its search for bounds."""

from collections.abc import Mapping

import numpy as np

from golden_adapters import common
from golden_adapters.common import assert_close
from rlvr_jax.methods.bapo import bapo


def check_bapo(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case found in `vectors`."""
  for number, case in common.cases(vectors):
    got = _case(case)
    for name, value in got.items():
      assert_close(f"case{number}: {name}", value, case.out[name])
    common.assert_covered(f"case{number}", case, got, ())


def _case(case: common.Case) -> dict[str, object]:
  inputs, hp = case.inputs, case.hp
  rollout = common.batch(
    inputs["old_log_prob"], inputs["advantages"], inputs["mask"]
  )
  given = {
    "order": "low_first",
    "statistic": "ratio",
    "dual": hp["dual_clip_c"],
    "target": hp["target_pos_over_neg"],
  }
  bounds = ("low_start", "low_max", "low_step")
  bounds += ("high_start", "high_max", "high_step")
  given |= {name: hp[name] for name in bounds}

  # The code's mean over rows counts rows without tokens too.
  mode = hp["agg"].replace("seq-mean-token-sum", "seq-mean-token-sum-norm")
  scale = len(inputs["mask"])

  def run(**changes):
    return common.loss_and_grad(
      bapo(**given | changes),
      rollout,
      inputs["log_prob"],
      mode=mode,
      scale=scale,
    )

  def ratio(**changes):
    """P / N without a walk."""
    share = float(run(target=0.0, **changes)[2]["bapo/positive_share"])
    return np.float64(share) / (1 - share) if share < 1 else np.inf

  loss, gradient, metrics = run()
  found = metrics["bapo/clip_low"], metrics["bapo/clip_high"]
  low, high = map(float, found)
  return {
    "loss": loss,
    "grad_log_prob": gradient,
    "clipfrac": metrics["loss/clipped_fraction"],
    "clipfrac_lower": metrics["bapo/dual_fraction"],
    "ppo_kl": metrics["loss/kl"],
    "c_low": low,
    "c_high": high,
    "pos_over_neg": ratio(
      low_start=low, low_max=low, high_start=high, high_max=high
    ),
    "stat_start": ratio(),
    "stat_low_at_max": ratio(low_start=hp["low_max"]),
    "stat_high_at_max": ratio(high_start=hp["high_max"]),
  }
