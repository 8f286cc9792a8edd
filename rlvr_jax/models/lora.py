"""Low-rank adapters: apart from the weights they change, and merged into them.

Training keeps the adapters alone in its state; the weights below them are the
reference policy, without a second copy.
"""

import jax.numpy as jnp

from rlvr_jax.models.block import LORA_A, LORA_B
from rlvr_jax.models.config import DecoderConfig, Lora
from rlvr_jax.types import Array, PyTree

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


def merged(params: PyTree, config: DecoderConfig) -> PyTree:
  """Weights that act as weights and adapters did.

  Args:
    params: of the decoder.
    config: of the decoder; without adapters the parameters are returned.

  Returns:
    Parameters of the decoder without adapters.
  """
  if config.lora is None:
    return params
  base, adapters = split(params)
  low = adapters["blocks"]
  blocks = dict(base["blocks"])
  for name in config.lora.targets:
    pair = low[name + LORA_A], low[name + LORA_B]
    blocks[name] = _added(blocks[name], *pair, config.lora)
  return base | {"blocks": blocks}


def _added(weight: Array, a: Array, b: Array, lora: Lora) -> Array:
  """W + scale A B for all layers, in float32."""
  layers, rank = b.shape[:2]
  flat = a.reshape(layers, -1, rank) @ b.reshape(layers, rank, -1)
  change = lora.scale * flat.reshape(weight.shape)
  return (weight.astype(jnp.float32) + change).astype(weight.dtype)
