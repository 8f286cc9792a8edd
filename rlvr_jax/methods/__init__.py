"""The catalogue: every method by name, and `make`, which builds one."""

import difflib
import inspect
from collections.abc import Callable
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

Parameter = float | int | str | bool | None


class Entry(NamedTuple):
  """One row of the catalogue."""

  factory: Callable[..., LossTransform]
  family: str  # what it acts on
  paper: str
  arxiv: str  # identifier, "" if none


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
    aepo, "sampling", "Arbitrary Entropy Policy Optimization", "2510.08141"
  ),
  "dcpo": Entry(dcpo, "advantage", "DCPO (authors of AEPO)", "2601.12730"),
}


def make(name: str, **parameters: Parameter) -> LossTransform:
  """Builds the method `name` of the catalogue.

  Args:
    name: a key of `CATALOGUE`, e.g. "clip_cov".
    **parameters: hyper-parameters of its factory.

  Returns:
    A LossTransform.

  Raises:
    ValueError: unknown name, unknown parameter, or a value out of range.
  """
  if name not in CATALOGUE:
    raise ValueError(
      f"no method named {name!r}{_nearest(name, CATALOGUE)}; "
      f"known are {sorted(CATALOGUE)}."
    )
  factory = CATALOGUE[name].factory
  known = inspect.signature(factory).parameters
  takes = f"it takes {name}({', '.join(map(_signature, known.values()))})."
  unknown = [p for p in parameters if p not in known]
  if unknown:
    raise ValueError(
      f"{name!r} has no parameter {unknown[0]!r}"
      f"{_nearest(unknown[0], known)}; {takes}"
    )
  required = [p for p in known.values() if p.default is p.empty]
  missing = [p.name for p in required if p.name not in parameters]
  if missing:
    raise ValueError(f"{name!r} needs the parameter {missing[0]!r}; {takes}")
  return factory(**parameters)


def _signature(parameter):
  if parameter.default is parameter.empty:
    return parameter.name
  return f"{parameter.name}={parameter.default!r}"


def _nearest(word, known):
  close = difflib.get_close_matches(word, list(known), n=1)
  return f" (did you mean {close[0]!r}?)" if close else ""
