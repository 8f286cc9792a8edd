"""Floating-point operations of a traced program, loops counted in full."""

import math
from typing import NamedTuple

from jax.extend import core


class Runs(NamedTuple):
  """How often a program does what its text leaves open."""

  loop: float = 1.0  # a loop that ends when its rows do; one inside it: once
  choice: float = 1.0  # of the times that it may leave a part out


ONCE = Runs()


def flops(jaxpr: core.Jaxpr, runs: Runs = ONCE) -> float:
  """Operations of all matrix products, of all devices together.

  Args:
    jaxpr: of the program.
    runs: what it leaves open.
  """
  return sum(_of(eqn, runs) for eqn in jaxpr.eqns)


def _of(eqn: core.JaxprEqn, runs: Runs) -> float:
  name, params = eqn.primitive.name, eqn.params
  if name == "dot_general":
    return _product(eqn)
  deeper = runs._replace(loop=1.0) if name == "while" else runs
  inside = [flops(jaxpr, deeper) for jaxpr in _inner(params)]
  if name == "cond":
    return max(inside) * runs.choice
  return sum(inside) * _times(name, params, runs)


def _product(eqn: core.JaxprEqn) -> float:
  (contracted, _), _ = eqn.params["dimension_numbers"]
  shape = eqn.invars[0].aval.shape
  depth = math.prod(shape[axis] for axis in contracted)
  return 2.0 * math.prod(eqn.outvars[0].aval.shape) * depth


def _inner(params: dict) -> list[core.Jaxpr]:
  """The programs that an operation runs."""
  values = [
    value
    for held in params.values()
    for value in (held if isinstance(held, (tuple, list)) else (held,))
  ]
  closed = (getattr(value, "jaxpr", value) for value in values)
  return [jaxpr for jaxpr in closed if isinstance(jaxpr, core.Jaxpr)]


def _times(name: str, params: dict, runs: Runs) -> float:
  """How often an operation runs what is inside."""
  if name == "scan":
    return params["length"]
  if name == "while":
    return runs.loop
  if name == "shard_map":
    return math.prod(
      params["mesh"].shape[a] for a in params["newly_manual_axes"]
    )
  if name == "pallas_call":
    return math.prod(params["grid_mapping"].grid)
  return 1
