"""The slope of the loss by differentiation and by finite differences."""

import functools
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from rlvr_jax.laws import steps
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array, PyTree, TokenBatch

# Central differences in float64: their error is of the order of STEP squared.
STEP = 1e-5
_CALLS = ("jit", "closed_call", "custom_jvp_call", "custom_vjp_call", "remat2")


@functools.partial(jax.jit, static_argnums=(0, 1))
def slopes(
  method: LossTransform,
  draws: steps.Draws,
  batch: TokenBatch,
  params: Mapping[str, Array],
) -> tuple[Array, Array]:
  """Slope of the loss in a random direction: derivative and difference.

  Computed in float64: call it where that is enabled.
  """
  batch, params = jax.tree.map(_double, (batch, params))
  state = method.init(batch)
  batch, state, now = steps.prepare(method, draws, batch, params, state)
  now = jax.tree.map(_double, now)  # sweeps give float32
  loss = lambda now: steps.loss(method, draws, batch, state, now)[0]
  return _slopes(loss, now, batch.mask)


@functools.partial(jax.jit, static_argnums=(0, 1))
def learner_slopes(
  method: LossTransform,
  draws: steps.Draws,
  batch: TokenBatch,
  params: Mapping[str, Array],
) -> tuple[Array, Array]:
  """`slopes` of the loss of a chain's learner."""
  batch, params = jax.tree.map(_double, (batch, params))
  found = jax.tree.map(_double, steps.learner_stats(method, batch, params))
  loss = lambda found: steps.learner_loss(method, draws, batch, found)[0]
  return _slopes(loss, found, batch.mask)


def _slopes(loss, now, mask):
  dice = np.random.default_rng(0)
  direction = {
    k: jnp.where(mask, dice.normal(size=v.shape), 0) for k, v in now.items()
  }
  gradient = jax.grad(loss)(now)
  along = sum((gradient[k] * direction[k]).sum() for k in now)
  held = _holding(loss, now)
  at = lambda size: held({k: now[k] + size * direction[k] for k in now})
  return along, (at(STEP) - at(-STEP)) / (2 * STEP)


def _double(x):
  is_float = jnp.issubdtype(x.dtype, jnp.floating)
  return x.astype(jnp.float64) if is_float else x


def _holding(
  fn: Callable[[PyTree], Array], at: PyTree
) -> Callable[[PyTree], Array]:
  """`fn` with every stopped quantity held at the value it has at `at`.

  Its derivative is then what differentiation of fn gives, whatever the
  stopped quantities depend on.
  """
  closed = jax.make_jaxpr(fn)(at)
  values = []

  def record(x):
    values.append(x)
    return x

  _evaluate(closed, jax.tree.leaves(at), record)

  def held(at):
    replay = iter(values)
    return _evaluate(closed, jax.tree.leaves(at), lambda _: next(replay))[0]

  return held


def _evaluate(
  closed: core.ClosedJaxpr, args: Sequence[Array], stopped: Callable
) -> list[Array]:
  """The outputs of a program whose stopped quantities `stopped` gives."""
  jaxpr = closed.jaxpr
  values = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*closed.consts, *args)))
  read = lambda v: v.val if isinstance(v, core.Literal) else values[v]
  for eqn in jaxpr.eqns:
    inputs = [read(v) for v in eqn.invars]
    if eqn.primitive.name == "stop_gradient":
      outputs = [stopped(*inputs)]
    elif eqn.primitive.name in _CALLS:
      inner = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr"))
      if not isinstance(inner, core.ClosedJaxpr):
        inner = core.ClosedJaxpr(inner, ())
      outputs = _evaluate(inner, inputs, stopped)
    else:
      bound = eqn.primitive.get_bind_params(eqn.params)
      # Releases of JAX differ: (functions, parameters), or parameters alone.
      functions, params = bound if isinstance(bound, tuple) else ((), bound)
      outputs = eqn.primitive.bind(*functions, *inputs, **params)
      if not eqn.primitive.multiple_results:
        outputs = [outputs]
    values.update(zip(eqn.outvars, outputs))
  return [read(v) for v in jaxpr.outvars]
