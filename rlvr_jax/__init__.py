"""Entropy methods of RL with verifiable rewards that compose."""

from rlvr_jax import (
  controllers,
  laws,
  methods,
  objective,
  reduce,
  rng,
  stats,
  testing,
)
from rlvr_jax.methods import make
from rlvr_jax.objective import loss, prepare
from rlvr_jax.transform import (
  LossTransform,
  add,
  chain,
  estimate,
  monitor,
  reshape,
  reweight,
  scheduled,
)
from rlvr_jax.types import (
  Clock,
  Context,
  Draw,
  Need,
  Objective,
  TokenBatch,
)

__version__ = "0.1.0"

__all__ = [
  "Clock",
  "Context",
  "Draw",
  "LossTransform",
  "Need",
  "Objective",
  "TokenBatch",
  "add",
  "chain",
  "controllers",
  "estimate",
  "laws",
  "loss",
  "make",
  "methods",
  "monitor",
  "objective",
  "prepare",
  "reduce",
  "reshape",
  "reweight",
  "rng",
  "scheduled",
  "stats",
  "testing",
]
