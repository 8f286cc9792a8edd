"""Reference vectors of the advantage functions of biuboomc/CANON."""

import functools
from collections.abc import Mapping

import jax
import numpy as np

import rlvr_jax
from golden_adapters import common
from golden_adapters.common import assert_close
from rlvr_jax.methods.canon import ENTROPY, canon
from rlvr_jax.methods.dr_grpo import dr_grpo
from rlvr_jax.types import Clock

# Output to the arguments that make it.
PLAIN = {
  "adv_length": {"metric": "length"},
  "adv_entropy": {"metric": "entropy"},
}
# These functions of the code have no scale and no offset, and the random split
# judges against the other half alone.
BARE = {
  "adv_random_split": {"metric": "random", "mix": 1.0},
  "adv_entropy_cosine": {"schedule": "cosine"},
  "adv_entropy_cosine_r": {"schedule": "cosine_r"},
  "adv_entropy_anneal": {"schedule": "anneal"},
}


def check_canon(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case; the code divides by the length limit, we do not."""
  for number, case in common.cases(vectors):
    _check(f"case{number}", case)


def _check(where: str, case: common.Case) -> None:
  inputs, hp, out = case.inputs, case.hp, case.out
  rewards = inputs["token_level_rewards"]
  assert_close(where, rewards.sum(axis=1), inputs["seq_reward"])
  rollout = common.batch(
    np.zeros_like(rewards),
    None,
    inputs["mask"],
    reward=inputs["seq_reward"],
    group=inputs["group"],
    stats={ENTROPY.key: inputs["entropy"]},
  )
  given = (hp["mu"], hp["alpha"], hp["beta"])
  got = _prepared(*given)(rollout, hp["step"])
  for name, batch in got.items():
    advantages = batch.advantages / hp["max_length"]
    assert_close(f"{where}: {name}", advantages, out[name])
  for name in ("cosine", "cosine_r"):
    weight = 1 - got[f"adv_entropy_{name}"].metrics["canon/mix"]
    key = f"intra_weight_{name}"
    assert_close(f"{where}: {key}", weight, out[key])
  weights = {"intra_weight_cosine", "intra_weight_cosine_r"}
  common.assert_covered(where, case, {*got, *weights}, ())


@functools.cache
def _prepared(mix: float, scale: float, offset: float):
  """All outputs in one program, compiled once for cases of one shape."""
  plain = {"mix": mix, "scale": scale, "offset": offset}
  ours = {k: canon(**v, **plain) for k, v in PLAIN.items()}
  ours |= {k: canon(**v) for k, v in BARE.items()}
  ours["adv_dr_grpo"] = dr_grpo()

  @jax.jit
  def run(rollout, step):
    clock = Clock(step, 0, jax.random.key(0))
    prepare = lambda m: rlvr_jax.prepare(m)(rollout, {m.name: ()}, clock)[0]
    return {k: prepare(m) for k, m in ours.items()}

  return run
