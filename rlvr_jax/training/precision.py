"""Weights in 16 bits for the model, and in 32 for the optimizer."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from rlvr_jax.types import PyTree


class MasterState(NamedTuple):
  """The optimizer's own weights, and the state of the optimizer within."""

  copies: PyTree  # f32
  inner: optax.OptState


def exact(params: PyTree, opt: optax.OptState) -> PyTree:
  """The weights unrounded: the optimizer's copies, if it keeps any.

  Args:
    params: of the model.
    opt: state of its optimizer.
  """
  return opt.copies if isinstance(opt, MasterState) else params


def with_master_copies(
  tx: optax.GradientTransformation,
) -> optax.GradientTransformation:
  """Keeps float32 copies of the weights and makes every step on them.

  A step of a thousandth is lost in a bfloat16 weight, which has 8 bits; the
  copies collect such steps, and the weights are the copies rounded.

  Args:
    tx: an optimizer; it sees gradients and weights in float32.

  Returns:
    An optimizer whose updates, added to the weights, give the rounded copies.
  """
  wide = lambda tree: jax.tree.map(lambda x: x.astype(jnp.float32), tree)

  def init(params):
    copies = wide(params)
    return MasterState(copies, tx.init(copies))

  def update(gradient, state, params):
    steps, inner = tx.update(wide(gradient), state.inner, state.copies)
    copies = optax.apply_updates(state.copies, steps)

    def change(copy, param):
      rounded = copy.astype(param.dtype)
      return rounded.astype(jnp.float32) - param.astype(jnp.float32)

    return jax.tree.map(change, copies, params), MasterState(copies, inner)

  return optax.GradientTransformation(init, update)
