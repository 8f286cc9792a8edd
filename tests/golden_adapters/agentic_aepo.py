"""Reference vectors of agentic AEPO: its loss, and when its rollouts fork."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

import rlvr_jax
from golden_adapters import common
from golden_adapters.common import assert_close
from rlvr_jax import branching
from rlvr_jax.methods.agentic_aepo import ENTROPY, agentic_aepo
from rlvr_jax.methods.ppo_clip import ppo_clip

# The code keeps rows without tokens in the mean over rows; there are none.
MODES = {1: "token-mean", 0: "seq-mean-token-sum"}


def check_agentic_aepo(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case, each by the outputs that its kind has."""
  for number, case in common.cases(vectors):
    got = (_loss if "loss" in case.out else _rollout)(case)
    for name, value in got.items():
      assert_close(f"case{number}: {name}", value, case.out[name])
    common.assert_covered(f"case{number}", case, got, ())


def _loss(case: common.Case) -> dict[str, object]:
  inputs, hp = case.inputs, case.hp
  clipping, advantages = hp["enable_clipping"], hp["enable_advantage"]
  bounds = (hp["clip_low"], hp["clip_high"], hp["clip_c"])
  names = ("low", "high", "dual")
  method = agentic_aepo(
    clipping=bool(clipping),
    advantages=bool(advantages),
    coef=hp["alpha"],
    **dict(zip(names, bounds)) if clipping else {},
  )
  if not clipping:
    method = rlvr_jax.chain(ppo_clip(*bounds), method)
  rollout = common.batch(
    inputs["old_log_prob"], inputs["advantages"], inputs["response_mask"]
  )
  loss, gradient, found = common.loss_and_grad(
    method,
    rollout,
    inputs["log_prob"],
    mode=MODES[hp["token_mean"]],
    stats={ENTROPY.key: inputs["entropy"]},
  )
  owner = "agentic_aepo" if clipping else "ppo_clip"
  return {
    "loss": loss,
    "grad_log_prob": gradient,
    # In the code a token is clipped whether or not it keeps a gradient.
    "clipfrac": found["loss/clipped_fraction"]
    + found.get("agentic_aepo/kept_fraction", 0),
    "ppo_kl": found["loss/kl"],
    "clipfrac_lower": found[f"{owner}/dual_fraction"],
  }


def _rollout(case: common.Case) -> dict[str, object]:
  inputs, hp = case.inputs, case.hp
  nats = branching.top_entropy(jnp.asarray(inputs["step_top10_logprobs"]))
  entropy = branching.segment_entropy(
    nats, jnp.ones(nats.shape, bool), hp["vocab"], "code"
  )
  given = jnp.asarray(inputs["u"]), jnp.asarray(inputs["delta_h"])
  chance = hp["branch_probability"], hp["entropy_weight"]
  turns = jnp.asarray(inputs["consecutive"])
  return {
    "step_entropy": entropy,
    "initial_rollouts": branching.root_budget(
      hp["n"], entropy[0], entropy.mean(), hp["beta"]
    ),
    "arpo_branch": branching.forks(*given, *chance),
    "aepo_branch": branching.forks_in_turn(
      *given, turns, *chance, hp["penalty"]
    ),
  }
