"""Low-rank adapters: apart from the weights they change, and merged into them.

Training keeps the adapters alone in its state; the weights below them are the
reference policy, without a second copy.
"""

import jax
import jax.numpy as jnp

from rlvr_jax import stats
from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.models.block import LORA_A, LORA_B
from rlvr_jax.models.transformer import Transformer
from rlvr_jax.types import Array, PyTree, TokenBatch

_ENDS = (LORA_A, LORA_B)


def split(params: PyTree) -> tuple[PyTree, PyTree]:
  """(weights, adapters) of the parameters of a decoder with adapters."""
  blocks = params["blocks"]
  adapters = {k: v for k, v in blocks.items() if k.endswith(_ENDS)}
  rest = {k: v for k, v in blocks.items() if k not in adapters}
  return params | {"blocks": rest}, {"blocks": adapters}


def join(base: PyTree, adapters: PyTree) -> PyTree:
  """The inverse of `split`; copies nothing."""
  return base | {"blocks": base["blocks"] | adapters["blocks"]}


def with_new(
  params: PyTree, model: Transformer, mesh: jax.sharding.Mesh, key: Array
) -> PyTree:
  """The parameters with adapters that do not change anything yet.

  Args:
    params: of `model.without_adapters()`.
    model: the decoder; without adapters the parameters are returned.
    mesh: where things live.
    key: of the adapters' random numbers.
  """
  if model.config.lora is None:
    return params
  draw = lambda key: split(model.init(key))[1]
  where = mesh_lib.shardings(jax.eval_shape(draw, key), mesh)
  return join(params, jax.jit(draw, out_shardings=where)(key))


def added(weight: Array, a: Array, b: Array, scale: float) -> Array:
  """The weight that acts as a weight and its adapters do.

  Args:
    weight: f[*inputs, *outputs].
    a: f[*inputs, r].
    b: f[r, *outputs].
    scale: of the adapters.

  Returns:
    W + scale A B, added in float32, of the weight's type.
  """
  change = scale * jnp.tensordot(a, b, 1)
  return (weight.astype(jnp.float32) + change).astype(weight.dtype)


class Adapted:
  """A decoder with frozen weights, as functions of its adapters alone.

  Where functions of the decoder take parameters, those of this take adapters,
  or None for the decoder without them: the reference policy.

  Args:
    model: with adapters in its configuration.
    base: its weights without adapters, the first part of `split`.
  """

  def __init__(self, model: Transformer, base: PyTree):
    self._model, self._plain = model, model.without_adapters()
    self._base = base

  def _of(self, adapters: PyTree | None) -> tuple[Transformer, PyTree]:
    if adapters is None:
      return self._plain, self._base
    return self._model, join(self._base, adapters)

  def hidden(
    self, params: PyTree | None, batch: TokenBatch, siblings: int = 1
  ) -> Array:
    """See `Transformer.hidden`."""
    model, whole = self._of(params)
    return model.hidden(whole, batch, siblings)

  def head(self, params: PyTree | None) -> stats.Head:
    """See `Transformer.head`."""
    model, whole = self._of(params)
    return model.head(whole)

  def logits(self, params: PyTree | None, hidden: Array) -> Array:
    """See `Transformer.logits`."""
    model, whole = self._of(params)
    return model.logits(whole, hidden)
