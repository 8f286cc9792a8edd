"""A chain whose updates go wrong at chosen steps."""

import enum
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import optax

import runs
from rlvr_jax import transform
from rlvr_jax.training.programs import Programs
from rlvr_jax.transform import LossTransform


class Poison(enum.IntEnum):
  """What becomes of an update."""

  NONE = 0
  NAN_LOSS = 1
  GRADIENT = 2  # and a loss that is finite
  SPIKE = 3  # the loss a million times as large
  STATE = 4  # the new state of the method is not finite, all else is


def method(at: Mapping[int, Poison], steps: int = 32) -> LossTransform:
  """Poisons the steps `at` of the first `steps`; counts updates made."""
  kinds = jnp.array([at.get(step, Poison.NONE) for step in range(steps)])

  def apply(objective, state, context):
    kind = kinds[context.step]
    factor = jnp.where(kind == Poison.NAN_LOSS, jnp.nan, 1.0)
    factor = jnp.where(kind == Poison.SPIKE, 1e6, factor)
    steep = jnp.where(kind == Poison.GRADIENT, 1e38, 0.0)
    x = objective.log_ratio
    nothing = (steep * (x - jax.lax.stop_gradient(x))).sum()
    edited = objective.replace(
      weights=objective.weights * factor, extra=objective.extra + nothing
    )
    return edited, state + jnp.where(kind == Poison.STATE, jnp.nan, 1.0)

  count = lambda example: jnp.zeros((), jnp.float32)
  return LossTransform("poison", count, apply)


def poisoned(
  at: Mapping[int, Poison], names: Sequence[str] = (), **changes: object
) -> Programs:
  """The programs of GRPO and the methods `names` with poison behind them."""
  p = runs.programs("grpo", *names, **changes)
  chain = transform.chain(*p.method.parts, method(at))
  return Programs(p.model, chain, optax.adam(1e-2), p.settings, p.mesh)
