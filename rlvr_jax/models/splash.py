"""Grouped-query attention of whole sequences by JAX's kernel for TPU.

Letters as in `whole`.
"""

import functools
import math

import jax
from jax.experimental.pallas.ops.tpu.splash_attention import (
  splash_attention_kernel as kernel,
)
from jax.experimental.pallas.ops.tpu.splash_attention import (
  splash_attention_mask as masks,
)
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.models.attention import Attention
from rlvr_jax.models.sequence import longer

Array = jax.Array
MOST = 512  # positions of the kernel's blocks


def suits(how: Attention, q: Array, mesh: Mesh | None, split: bool) -> bool:
  """Whether the TPU kernel can: it knows no windows that differ by layer."""
  on_tpu = mesh is not None and mesh.devices.flat[0].platform == "tpu"
  fits = q.shape[-1] % 128 == 0 and how.window is None
  return on_tpu and fits and (split or not len(q) % mesh_lib.row_parts(mesh))


def attend(
  how: Attention,
  q: Array,
  k: Array,
  v: Array,
  number: Array,
  mesh: Mesh,
  split: bool,
) -> Array:
  """Each device its own rows, positions and heads.

  Args:
    how: scores become weights.
    q: f[B, S, H, h] queries, of the last positions.
    k: f[B, C, K, h] keys.
    v: f[B, C, K, h] values.
    number: i32[B, C] of the sequence that a position is of; -1: of none.
    mesh: of the devices.
    split: whether the devices along `sequence` split the queries, a multiple of
      128 each; C is S then.

  Returns:
    f[B, S, H, h].
  """
  rows, over = mesh_lib.ROWS[0], None
  if split:
    rows, over = mesh_lib.LONG_ROWS, "sequence"
  parts = mesh.shape[over] if split else 1
  length, heads = q.shape[1] // parts, q.shape[2]
  before = k.shape[1] - q.shape[1]
  tensor = mesh_lib.heads_over(mesh, k.shape[2])
  local = heads // mesh.shape["tensor"] if tensor else heads
  size = _block_size(length, split)
  own, past = -length % size, -k.shape[1] % size
  # Padded queries must see something: what is added to the keys.
  past = size if own and not past else past
  sizes = parts * (length + own), k.shape[1] + past
  one_row = _made(*sizes, before, local, size, how.soft_cap, parts)

  def of_device(one_row, q, asking, k, v, number):
    first = lambda x, added: longer(x, added, 0).swapaxes(1, 2)
    one = lambda q, k, v, *numbers: one_row(
      q, k, v, segment_ids=kernel.SegmentIds(*numbers)
    )
    out = jax.vmap(one)(
      first(q * how.scale, own),
      first(k, past),
      first(v, past),
      longer(asking, own, -1),
      longer(number, past, -1),
    )
    return out.swapaxes(1, 2)[:, :length]

  mask = one_row.manual_sharding_spec(NamedSharding(mesh, P(None, over)))
  asking, asked = P(rows, over, tensor), P(rows, None, tensor)
  return jax.shard_map(
    of_device,
    mesh=mesh,
    in_specs=(mask, asking, P(rows, over), asked, asked, P(rows)),
    out_specs=asking,
    check_vma=False,
  )(one_row, q, number[:, before:], k, v, number)


def _block_size(length: int, split: bool) -> int:
  """Positions of the kernel's blocks; parts of rows hold whole ones."""
  if split:
    return math.gcd(length, MOST)
  return min(MOST, 128 * math.ceil(length / 128))


@functools.cache
def _made(
  queries: int,
  keys: int,
  before: int,
  heads: int,
  size: int,
  soft_cap: float | None,
  parts: int,
):
  """The kernel for one row.

  Args:
    queries: positions that ask.
    keys: positions that are asked.
    before: keys before that of the first query.
    heads: of queries.
    size: of the kernel's blocks.
    soft_cap: of scores, or None.
    parts: of the queries, each on devices of its own.
  """
  causal = masks.CausalMask((queries, keys), before)
  mask = masks.MultiHeadMask([causal] * heads)
  blocks = kernel.BlockSizes(
    block_q=size,
    block_kv=size,
    block_q_dkv=size,
    block_kv_dkv=size,
    block_kv_dkv_compute=size,
    use_fused_bwd_kernel=True,
  )
  # Not traced: what is made here serves every program.
  with jax.ensure_compile_time_eval():
    return kernel.make_splash_mha(
      mask=mask,
      block_sizes=blocks,
      head_shards=1,
      q_seq_shards=parts,
      attn_logits_soft_cap=soft_cap,
    )
