"""Reference vectors of COPO's losses, from an excerpt of hijih/copo-code."""

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from golden_adapters import common
from golden_adapters.common import assert_close
from rlvr_jax.methods.copo import BLEND, GLOBAL, MODES, copo
from rlvr_jax.notes import ANSWER


def check_copo(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case: what is prepared, and all losses with gradients."""
  for number, case in common.cases(vectors):
    _check(f"case{number}", case)


def _check(where: str, case: common.Case) -> None:
  inputs, hp, mask = case.inputs, case.hp, case.inputs["mask"]
  rollout = common.batch(
    inputs["old_log_prob"],
    None,
    mask,
    reward=inputs["seq_reward"],
    group=inputs["group"],
    notes={ANSWER.key: inputs["answer_id"]},
  )
  options = {
    "slope": hp["k"],
    "threshold": hp["b"],
    "coef": hp["coef"],
    "reward_coef": bool(hp["use_entropy_coef"]),
    "norm": "std" if hp["norm_global"] else "none",
    "dual": hp["dual_clip_c"],
  }
  settings = {
    "clip": (hp["clip_low"], hp["clip_high"]),
    "mode": hp["agg"],
  }
  program = _program(tuple(options.items()), tuple(settings.items()))
  batch, of_group, losses = program(rollout, inputs["log_prob"])
  got = {
    "adv_local": batch.advantages,
    "adv_global": batch.notes[GLOBAL][:, None] * mask,
    "w_soft": batch.notes[BLEND],
    # Means over prompts, of one prompt at a time.
    "entropy_bits": of_group["copo/entropy"],
    "global_reward": of_group["copo/global_reward"],
  }
  for mode, (loss, gradient) in losses.items():
    got |= {f"loss_{mode}": loss, f"grad_{mode}": gradient}
  for name, value in got.items():
    assert_close(f"{where}: {name}", value, case.out[name])
  common.assert_covered(where, case, got, ())


@functools.cache
def _program(options, settings):
  """Everything of one case in one program."""
  methods = {mode: copo(mode=mode, **dict(options)) for mode in MODES}

  @jax.jit
  def run(rollout, logp):
    prepared = {k: common.prepared(m, rollout) for k, m in methods.items()}
    alone = lambda group: rollout.replace(
      group=jnp.where(rollout.group == group, group, -1)
    )
    of_group = jax.vmap(
      lambda group: common.prepared(methods["only_soft"], alone(group)).metrics
    )(rollout.group)
    losses = {
      mode: common.loss_and_grad(
        method, prepared[mode], logp, **dict(settings)
      )[:2]
      for mode, method in methods.items()
    }
    return prepared["only_soft"], of_group, losses

  return run
