"""Grouped-query attention of whole sequences: no [S, S] array of scores.

Shapes: B rows, S positions, C of them and those before, H query heads, K
key-value heads, h head size.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax.experimental.pallas.ops.tpu.splash_attention import (
  splash_attention_kernel as splash,
)
from jax.experimental.pallas.ops.tpu.splash_attention import (
  splash_attention_mask as splash_mask,
)
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.models.attention import Attention

Array = jax.Array

# Queries whose scores exist at a time; and how often the keys that lie in the
# future of a query are left out, which is as often as the program is written.
BLOCK, STAGES = 512, 8


def causal(
  how: Attention,
  q_bshd: Array,
  k_bckd: Array,
  v_bckd: Array,
  valid: Array,
  segment: Array | None = None,
  mesh: Mesh | None = None,
) -> Array:
  """Attention of every position to the valid ones up to itself.

  Args:
    how: scores become weights.
    q_bshd: f[B, S, H, h] queries, of the last positions.
    k_bckd: f[B, C, K, h] keys.
    v_bckd: f[B, C, K, h] values.
    valid: bool[B, C] positions that may be attended to, in one piece.
    segment: i32[B, C]; positions of different numbers do not see each other.
      None for one sequence a row.
    mesh: of the devices; None for one.

  Returns:
    f[B, S, H, h]; of positions that see nothing any finite number.
  """
  number = jnp.zeros(valid.shape, jnp.int32) if segment is None else segment
  number = jnp.where(valid, number, -1)
  if _has_kernel(how, q_bshd, mesh):
    return _kernel(how, q_bshd, k_bckd, v_bckd, number, mesh)
  return _in_blocks(how, q_bshd, k_bckd, v_bckd, number)


def _in_blocks(how: Attention, q, k, v, number) -> Array:
  """Blocks of queries, each against the keys of its stage."""
  length, before = q.shape[1], k.shape[1] - q.shape[1]
  blocks, asking = -(-length // BLOCK), number[:, before:]
  if blocks == 1:
    return _block(how, q, k, v, asking, number, before)
  size = -(-length // blocks)
  pad = lambda x, n: jnp.pad(
    x, [(0, 0), (0, n), *[(0, 0)] * (x.ndim - 2)], constant_values=-1
  )
  stage = -(-blocks // STAGES) * size
  out = []
  for first in range(0, length, stage):
    last = min(first + stage, length)
    own = [pad(x[:, first:last], -(last - first) % size) for x in (q, asking)]
    past = [x[:, : before + last] for x in (k, v, number)]
    done = _stage(how, *own, *past, before + first, size)
    out.append(done[:, : last - first])
  return jnp.concatenate(out, axis=1)


def _stage(how, q, asking, k, v, number, first, size) -> Array:
  """Some blocks, one after the other; scores are made again going back."""
  cut = lambda x: x.reshape(len(x), -1, size, *x.shape[2:]).swapaxes(0, 1)
  places = first + size * jnp.arange(q.shape[1] // size)

  @jax.checkpoint
  def one(inputs):
    q, asking, place = inputs
    return _block(how, q, k, v, asking, number, place)

  out = jax.lax.map(one, (cut(q), cut(asking), places))
  return out.swapaxes(0, 1).reshape(q.shape)


def _block(how: Attention, q, k, v, asking, number, first) -> Array:
  """Attention of the queries from position `first` on to all keys."""
  here = (first + jnp.arange(q.shape[1]))[:, None]
  there = jnp.arange(k.shape[1])
  mask = (here >= there) & how.sees(here, there)
  mask &= asking[:, :, None] == number[:, None, :]
  mask = (mask & (number >= 0)[:, None])[:, None]
  if how.soft_cap is None:
    return jax.nn.dot_product_attention(q, k, v, mask=mask, scale=how.scale)
  return _written_out(how, q, k, v, mask)


def _written_out(how: Attention, q, k, v, mask) -> Array:
  """With capped scores, which the library's attention does not know."""
  grouped = q.reshape(*q.shape[:2], k.shape[2], -1, q.shape[-1])
  products = jnp.einsum(
    "bskrd,btkd->bkrst", grouped, k, preferred_element_type=jnp.float32
  )
  # A padded query sees nothing: any finite number keeps it from NaN.
  least = jnp.finfo(jnp.float32).min
  scores = jnp.where(mask[:, None], how.scores(products), least)
  weights = jax.nn.softmax(scores, axis=-1).astype(q.dtype)
  return jnp.einsum("bkrst,btkd->bskrd", weights, v).reshape(q.shape)


def _has_kernel(how: Attention, q: Array, mesh: Mesh | None) -> bool:
  """Whether the TPU kernel can: it knows no windows that differ by layer."""
  on_tpu = mesh is not None and mesh.devices.flat[0].platform == "tpu"
  fits = q.shape[-1] % 128 == 0 and how.window is None
  return on_tpu and fits and len(q) % mesh_lib.row_parts(mesh) == 0


def _kernel(how: Attention, q, k, v, number, mesh: Mesh) -> Array:
  """Splash attention: each device its own rows and heads."""
  length, heads = q.shape[1:3]
  before = k.shape[1] - length
  split = k.shape[2] % mesh.shape["tensor"] == 0
  local = heads // mesh.shape["tensor"] if split else heads
  size = min(BLOCK, 128 * math.ceil(length / 128))
  own, past = -length % size, -k.shape[1] % size
  # Padded queries must see something: what is added to the keys.
  past = size if own and not past else past
  sizes = length + own, k.shape[1] + past
  attend = _splash(*sizes, before, local, size, how.soft_cap)
  more = lambda x, added, empty: jnp.pad(
    x,
    [(0, 0), (0, added), *[(0, 0)] * (x.ndim - 2)],
    constant_values=empty,
  )

  def one(q, k, v, asking, number):
    return attend(q, k, v, segment_ids=splash.SegmentIds(asking, number))

  def of_device(q, k, v, number):
    first = lambda x, added: more(x, added, 0).swapaxes(1, 2)
    out = jax.vmap(one)(
      first(q * how.scale, own),
      first(k, past),
      first(v, past),
      more(number[:, before:], own, -1),
      more(number, past, -1),
    )
    return out.swapaxes(1, 2)[:, :length]

  rows = mesh_lib.ROWS[0]
  part = P(rows, None, "tensor" if split else None)
  return jax.shard_map(
    of_device,
    mesh=mesh,
    in_specs=(part, part, part, P(rows)),
    out_specs=part,
    check_vma=False,
  )(q, k, v, number)


@functools.cache
def _splash(
  queries: int,
  keys: int,
  before: int,
  heads: int,
  size: int,
  soft_cap: float | None,
):
  """The kernel for one row.

  Args:
    queries: positions that ask.
    keys: positions that are asked.
    before: keys before that of the first query.
    heads: of queries.
    size: of the kernel's blocks.
    soft_cap: of scores, or None.
  """
  causal = splash_mask.CausalMask((queries, keys), before)
  mask = splash_mask.MultiHeadMask([causal] * heads)
  blocks = splash.BlockSizes(
    block_q=size,
    block_kv=size,
    block_q_dkv=size,
    block_kv_dkv=size,
    block_kv_dkv_compute=size,
    use_fused_bwd_kernel=True,
  )
  # Not traced: what is made here serves every program.
  with jax.ensure_compile_time_eval():
    return splash.make_splash_mha(
      mask=mask,
      block_sizes=blocks,
      head_shards=1,
      q_seq_shards=1,
      attn_logits_soft_cap=soft_cap,
    )
