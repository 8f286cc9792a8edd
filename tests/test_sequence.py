"""Positions of a full pass over devices: what one device computes, in parts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlvr_jax.models import make_mesh, sequence, splash, whole
from rlvr_jax.models.attention import Attention

LENGTH, PARTS = 24, 4
DICE = np.random.default_rng(0)


def mesh():
  """Devices along every axis that a full pass is split over."""
  shape = dict(data=1, fsdp=2, sequence=PARTS, tensor=1)
  return make_mesh(**shape, devices=jax.devices()[: 2 * PARTS])


def given(size=8, length=LENGTH):
  """Queries, keys, values; a row padded on both sides, and one of three."""
  of = lambda n: jnp.asarray(DICE.normal(size=(2, length, n, size)), "float32")
  place = jnp.arange(length)
  padded = jnp.where((place < 3) | (place > length - 3), -1, 0)
  segment = jnp.stack([padded, place // 10])
  return (of(4), of(2), of(2)), segment


def test_tokens_of_a_device_lie_side_by_side():
  rows, length = 6, 9
  spread = sequence.Spread(rows=2, parts=PARTS)
  x = spread.padded(jnp.arange(rows * length).reshape(rows, length), -1)
  assert x.shape == (rows, 12)
  own = spread.flat(x).reshape(2, PARTS, -1)
  for r, s in np.ndindex(2, PARTS):
    mine = x[3 * r : 3 * r + 3, 3 * s : 3 * s + 3]
    assert (own[r, s] == mine.reshape(-1)).all()
  assert (spread.back(spread.flat(x), rows) == x).all()


@pytest.mark.parametrize(
  "how",
  [
    Attention(0.3),
    Attention(0.3, window=jnp.int32(6)),
    Attention(0.3, soft_cap=2.0),
  ],
  ids=["all", "window", "cap"],
)
@pytest.mark.parametrize(
  "block", [4, pytest.param(512, marks=pytest.mark.long)]
)
def test_attention_of_parts_is_that_of_the_whole(how, block, monkeypatch):
  monkeypatch.setattr(whole, "BLOCK", block)
  tensors, segment = given()
  agrees(how, tensors, segment, 1e-5)


@pytest.mark.long
@pytest.mark.parametrize("tensor", [1, 2])
def test_the_kernel_of_parts_gives_what_blocks_give(tensor, monkeypatch):
  """Interpreted: the kernel needs heads and parts of a multiple of 128."""
  tensors, segment = given(size=128, length=2 * 128)
  make = splash.kernel.make_splash_mha
  monkeypatch.setattr(
    splash.kernel,
    "make_splash_mha",
    lambda **options: make(**options, interpret=True),
  )
  splash._made.cache_clear()
  monkeypatch.setattr(splash, "suits", lambda *given: given[-1])
  shape = dict(data=1, fsdp=2, sequence=2, tensor=tensor)
  devices = make_mesh(**shape, devices=jax.devices()[: 4 * tensor])
  agrees(Attention(0.1), tensors, segment, 2e-4, devices)
  splash._made.cache_clear()


def agrees(how, tensors, segment, tolerance, devices=None):
  """Values and gradients with positions split are those of one device."""
  valid = segment >= 0
  weights = jnp.where(valid[..., None, None], tensors[0], 0)

  def found(*where):
    attend = lambda *x: whole.causal(how, *x, valid, segment, *where)
    loss = lambda *x: (attend(*x) * weights).sum()
    run = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2)))
    return jax.tree.leaves(run(*tensors))

  for got, want in zip(found(devices or mesh(), True), found()):
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)
