"""Small pure update rules that methods keep inside their state.

A controller is a pair of functions, like an optax transformation: its state
sits in the state of the method that uses it and is advanced once per step.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.types import PyTree

Array = jax.Array


class Controller(NamedTuple):
  """(init, update): init() is the state, update(state, error) advances it."""

  init: Callable[[], PyTree]
  update: Callable[[PyTree, Array], tuple[PyTree, Array]]


def _check_range(low: float, high: float) -> None:
  if not low <= high:
    raise ValueError(f"controller range: low = {low} must be <= high = {high}.")


def fixed_step(
  step: float, low: float, high: float, initial: float = 0.0
) -> Controller:
  """Climbs by a fixed step while the error is positive, else falls by it.

  Args:
    step: size of one move, > 0, unit of the output.
    low: smallest output.
    high: largest output.
    initial: output before the first update.

  Returns:
    A Controller whose state f32[] is its output.
  """
  _check_range(low, high)

  def update(state, error):
    moved = state + jnp.where(error > 0, step, -step)
    state = reduce.clamp(moved, low, high)
    return state, state

  return Controller(lambda: jnp.float32(initial), update)


def dual_ascent(
  rate: float, low: float, high: float, initial: float = 0.0
) -> Controller:
  """Integral rule: output += rate * error, kept in [low, high]."""
  _check_range(low, high)

  def update(state, error):
    state = reduce.clamp(state + rate * error, low, high)
    return state, state

  return Controller(lambda: jnp.float32(initial), update)


def proportional(gain: float, low: float, high: float) -> Controller:
  """Output = gain * error, kept in [low, high]; no state."""
  _check_range(low, high)

  def update(state, error):
    return state, reduce.clamp(gain * error, low, high)

  return Controller(lambda: (), update)


def switch(low: float, high: float, initial: bool = True) -> Controller:
  """Hysteresis: on once the error exceeds `high`, off once below `low`."""
  _check_range(low, high)

  def update(state, error):
    state = jnp.where(error > high, True, jnp.where(error < low, False, state))
    return state, state

  return Controller(lambda: jnp.asarray(initial), update)
