"""Grouped-query attention of whole sequences: no [S, S] array of scores.

Shapes: B rows, S positions, C of them and those before, H query heads, K
key-value heads, h head size.
"""

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.models import sequence, splash
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
  split: bool = False,
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
    split: whether a device asks for a part of the positions alone, of all its
      rows; the devices along `sequence` divide S, and C is S.

  Returns:
    f[B, S, H, h]; of positions that see nothing any finite number.
  """
  number = jnp.zeros(valid.shape, jnp.int32) if segment is None else segment
  number = jnp.where(valid, number, -1)
  if splash.suits(how, q_bshd, mesh, split):
    return splash.attend(how, q_bshd, k_bckd, v_bckd, number, mesh, split)
  if split:
    return _in_parts(how, q_bshd, k_bckd, v_bckd, number, mesh)
  return _in_blocks(how, q_bshd, k_bckd, v_bckd, number)


def _in_blocks(how: Attention, q, k, v, number) -> Array:
  """Blocks of queries, each against the keys of its stage."""
  length, before = q.shape[1], k.shape[1] - q.shape[1]
  blocks, asking = -(-length // BLOCK), number[:, before:]
  if blocks == 1:
    return _block(how, q, k, v, asking, number, before)
  size = -(-length // blocks)
  stage = -(-blocks // STAGES) * size
  out = []
  for first in range(0, length, stage):
    last = min(first + stage, length)
    own = [x[:, first:last] for x in (q, asking)]
    past = [x[:, : before + last] for x in (k, v, number)]
    out.append(_stage(how, *own, *past, before + first, size))
  return jnp.concatenate(out, axis=1)


def _in_parts(how: Attention, q, k, v, number, mesh: Mesh) -> Array:
  """Each device its own queries, against the keys of all positions."""

  def of_device(q, asking, k, v, number):
    first = jax.lax.axis_index("sequence") * q.shape[1]
    size = -(-q.shape[1] // -(-q.shape[1] // BLOCK))
    return _stage(how, q, asking, k, v, number, first, size)

  rows, heads = mesh_lib.LONG_ROWS, mesh_lib.heads_over(mesh, k.shape[2])
  asking, asked = P(rows, "sequence", heads), P(rows, None, heads)
  return jax.shard_map(
    of_device,
    mesh=mesh,
    in_specs=(asking, P(rows, "sequence"), asked, asked, P(rows)),
    out_specs=asking,
    check_vma=False,
  )(q, number, k, v, number)


def _stage(how, q, asking, k, v, number, first, size) -> Array:
  """Some blocks, one after the other; scores are made again going back."""
  length, added = q.shape[1], -q.shape[1] % size
  q, asking = (sequence.longer(x, added, -1) for x in (q, asking))
  cut = lambda x: x.reshape(len(x), -1, size, *x.shape[2:]).swapaxes(0, 1)
  places = first + size * jnp.arange(q.shape[1] // size)

  @jax.checkpoint
  def one(inputs):
    q, asking, place = inputs
    return _block(how, q, k, v, asking, number, place)

  out = jax.lax.map(one, (cut(q), cut(asking), places))
  return out.swapaxes(0, 1).reshape(q.shape)[:, :length]


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
