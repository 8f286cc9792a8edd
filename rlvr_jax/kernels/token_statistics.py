"""`token_statistics`: one function, several implementations, one gradient."""

import functools
from collections.abc import Collection

import flax
import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from rlvr_jax.kernels import engines, pullback, reference, sums
from rlvr_jax.kernels.engines import Blocks, Engine
from rlvr_jax.kernels.logits import Form, Tokens
from rlvr_jax.kernels.sharded import Layout
from rlvr_jax.kernels.sums import OUTPUTS
from rlvr_jax.types import Array, Moments


def token_statistics(
  hidden: Array,
  weights: Array,
  targets: Array,
  *,
  temperature: Array | float = 1.0,
  soft_cap: float | None = None,
  by_column: bool = False,
  outputs: Collection[str] = OUTPUTS,
  implementation: str | None = None,
  blocks: Blocks | None = None,
  rows: int | None = None,
  layout: Layout | None = None,
) -> Moments:
  """Moments of next-token distributions, without their logits.

  Args:
    hidden: f[N, D] states that predict the tokens, bfloat16 or float32.
    weights: f[V, D] output matrix of the same type.
    targets: i32[N] the token whose log-prob is wanted.
    temperature: f32[N] or f32[], divides the logits; constant for the gradient.
    soft_cap: c of c tanh(z / c), taken before the temperature; None for none.
    by_column: the weights are [D, V].
    outputs: fields of Moments to compute; the others are None.
    implementation: one of `engines.NAMES`; None takes the best one that the
      backend has.
    blocks: sizes for it; None for its own.
    rows: most tokens whose logits exist at a time, where they exist at all;
      None for what the blocks say.
    layout: of tokens and vocabulary on a mesh; None for one device.

  Returns:
    Moments f32[N], differentiable by hidden states and weights, all but
    max_prob, which is constant. A field whose cotangent is known to be zero
    costs nothing backward.

  Raises:
    ValueError: an unknown output or implementation.
  """
  outputs, form = _checked(outputs), Form(by_column, soft_cap)
  inverse = 1 / jnp.asarray(temperature, jnp.float32)
  inverse = jnp.broadcast_to(inverse, targets.shape)[:, None]
  tokens = Tokens(hidden, targets[:, None], jax.lax.stop_gradient(inverse))
  name = implementation or engines.best()
  if name == "reference":
    z, _ = form.logits(hidden, weights, tokens.inverse)
    found = reference.moments(z, targets)
  else:
    engine = engines.make(name, form, outputs, blocks, rows, layout)
    found = _statistics(engine, *tokens, weights)
    found = jax.tree.map(lambda x: x[:, 0], found)
  if found.max_prob is not None:
    found = found.replace(max_prob=jax.lax.stop_gradient(found.max_prob))
  return found.replace(**{n: None for n in OUTPUTS if n not in outputs})


def _checked(outputs: Collection[str]) -> tuple[str, ...]:
  for name in outputs:
    if name not in OUTPUTS:
      raise ValueError(
        f"token_statistics has no output {name!r}; choose from {OUTPUTS}."
      )
  return tuple(name for name in OUTPUTS if name in outputs)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _statistics(
  engine: Engine, hidden: Array, target: Array, inverse: Array, weights: Array
) -> Moments:
  """Moments f32[N, 1]: those asked for, and those the way back needs."""
  found = engine.forward(Tokens(hidden, target, inverse), weights)
  wanted = {*engine.outputs, "log_z", "entropy"}
  if "cov_p_logp" in wanted:
    wanted.add("sum_p2")
  return sums.moments(found, wanted, engine.form.vocabulary(weights))


@flax.struct.dataclass
class _Residuals:
  tokens: Tokens
  weights: Array
  moments: Moments
  to_hidden: bool = flax.struct.field(pytree_node=False)  # is it asked for?
  to_weights: bool = flax.struct.field(pytree_node=False)


def _remember(engine, hidden, target, inverse, weights):
  tokens = Tokens(hidden.value, target.value, inverse.value)
  found = _statistics(engine, *tokens, weights.value)
  asked = (hidden.perturbed, weights.perturbed)
  return found, _Residuals(tokens, weights.value, found, *asked)


def _pull(engine, residuals: _Residuals, cotangents: Moments):
  r, given = residuals, {}
  for name in pullback.DIFFERENTIABLE:
    cotangent = getattr(cotangents, name)
    if cotangent is not None and not isinstance(cotangent, SymbolicZero):
      given[name] = cotangent
  if not given:
    return None, None, None, None
  factors = pullback.factors(given, r.moments)
  to_hidden, to_weights = engine.backward(r.tokens, r.weights, factors)
  return (
    to_hidden.astype(r.tokens.hidden.dtype) if r.to_hidden else None,
    None,
    None,
    to_weights.astype(r.weights.dtype) if r.to_weights else None,
  )


_statistics.defvjp(_remember, _pull, symbolic_zeros=True)
