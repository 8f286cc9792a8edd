"""Every method by name: what it acts on and where it was published."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from rlvr_jax.methods.aepo import aepo
from rlvr_jax.methods.clip_cov import clip_cov
from rlvr_jax.methods.dcpo import dcpo
from rlvr_jax.methods.dr_grpo import dr_grpo
from rlvr_jax.methods.entropy_bonus import entropy_bonus
from rlvr_jax.methods.grpo import grpo
from rlvr_jax.methods.kl_cov import kl_cov
from rlvr_jax.methods.kl_penalty import kl_penalty
from rlvr_jax.methods.ppo_clip import ppo_clip
from rlvr_jax.methods.reinforce_plus_plus import reinforce_plus_plus
from rlvr_jax.methods.rloo import rloo
from rlvr_jax.methods.steer import steer
from rlvr_jax.transform import LossTransform

FAMILIES = (
  "advantage",
  "reward",
  "clip",
  "surrogate",
  "weight",
  "regularizer",
  "sampling",
)


class Entry(NamedTuple):
  """One row of the catalogue."""

  factory: Callable[..., LossTransform]
  family: str  # what it acts on, one of FAMILIES
  paper: str
  arxiv: str  # identifier, "" if none
  example: Mapping[str, float | int | str] = {}  # of required parameters


CATALOGUE: dict[str, Entry] = {
  "grpo": Entry(grpo, "advantage", "DeepSeekMath (GRPO)", "2402.03300"),
  "dr_grpo": Entry(dr_grpo, "advantage", "Dr.GRPO", "2503.20783"),
  "rloo": Entry(rloo, "advantage", "Back to Basics (RLOO)", "2402.14740"),
  "reinforce_plus_plus": Entry(
    reinforce_plus_plus, "advantage", "REINFORCE++", "2501.03262"
  ),
  "ppo_clip": Entry(ppo_clip, "clip", "PPO; clip-higher (DAPO)", "1707.06347"),
  "kl_penalty": Entry(
    kl_penalty, "regularizer", "DeepSeekMath (GRPO)", "2402.03300"
  ),
  "entropy_bonus": Entry(
    entropy_bonus, "regularizer", "Skywork-OR1 (adaptive)", "2505.22312"
  ),
  "clip_cov": Entry(
    clip_cov, "weight", "The Entropy Mechanism (Clip-Cov)", "2505.22617"
  ),
  "steer": Entry(
    steer, "weight", "Rethinking Entropy Interventions (STEER)", "2510.10150"
  ),
  "kl_cov": Entry(
    kl_cov, "regularizer", "The Entropy Mechanism (KL-Cov)", "2505.22617"
  ),
  "aepo": Entry(
    aepo,
    "sampling",
    "Arbitrary Entropy Policy Optimization",
    "2510.08141",
    {"target_entropy": 0.5},
  ),
  "dcpo": Entry(
    dcpo,
    "advantage",
    "DCPO (authors of AEPO)",
    "2601.12730",
    {"target_entropy": 0.5},
  ),
}
