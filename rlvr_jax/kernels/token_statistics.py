"""`token_statistics`: one function, several implementations, one gradient."""

import functools
from collections.abc import Collection

import flax
import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero, custom_vjp_primal_tree_values

from rlvr_jax.kernels import engines, pullback, reference, sums
from rlvr_jax.kernels.engines import Blocks, Engine
from rlvr_jax.kernels.logits import Cut, Form, Tokens
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
  cut: Cut | None = None,
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
    cut: of the distributions, f32[N] each; they are normalised anew. None for
      none.
    outputs: fields of Moments to compute; the others are None.
    implementation: one of `engines.NAMES`; None takes the best one for the
      devices. "reference" makes all logits and reads nothing below.
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
  inverse = jnp.broadcast_to(1 / jnp.float32(temperature), targets.shape)
  known = jax.tree.map(lambda x: x[:, None], (targets, inverse, cut))
  tokens = Tokens(hidden, *jax.lax.stop_gradient(known))
  name = implementation or engines.best(layout)
  if name == "reference":
    z, _ = form.logits(hidden, weights, tokens.inverse, tokens.cut)
    found = reference.moments(z, targets)
  else:
    engine = engines.make(name, form, outputs, blocks, rows, layout)
    found = _statistics(engine, tokens, weights)
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
def _statistics(engine: Engine, tokens: Tokens, weights: Array) -> Moments:
  """Moments f32[N, 1]: those asked for, and those the way back needs."""
  found = engine.forward(tokens, weights)
  wanted = {*engine.outputs, "log_z", "entropy"}
  if "cov_p_logp" in wanted:
    wanted.add("sum_p2")
  if "energy" in wanted:
    wanted |= {"logp", "sum_p2"}
  return sums.moments(found, wanted, engine.form.vocabulary(weights))


@flax.struct.dataclass
class _Residuals:
  tokens: Tokens
  weights: Array
  moments: Moments
  to_hidden: bool = flax.struct.field(pytree_node=False)  # is it asked for?
  to_weights: bool = flax.struct.field(pytree_node=False)


def _remember(engine, tokens, weights):
  asked = (tokens.hidden.perturbed, weights.perturbed)
  tokens = custom_vjp_primal_tree_values(tokens)
  found = _statistics(engine, tokens, weights.value)
  return found, _Residuals(tokens, weights.value, found, *asked)


def _pull(engine, residuals: _Residuals, cotangents: Moments):
  r, given = residuals, {}
  for name in pullback.DIFFERENTIABLE:
    cotangent = getattr(cotangents, name)
    if cotangent is not None and not isinstance(cotangent, SymbolicZero):
      given[name] = cotangent
  if not given:
    return None, None
  factors = pullback.factors(given, r.moments)
  to_hidden, to_weights = engine.backward(r.tokens, r.weights, factors)
  to_hidden = to_hidden.astype(r.tokens.hidden.dtype)
  to_weights = to_weights.astype(r.weights.dtype)
  return (
    Tokens(to_hidden, None, None) if r.to_hidden else None,
    to_weights if r.to_weights else None,
  )


_statistics.defvjp(_remember, _pull, symbolic_zeros=True)
