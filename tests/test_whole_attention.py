"""Attention of whole sequences: the same in blocks, stages and a kernel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlvr_jax.models import make_mesh, splash, whole
from rlvr_jax.models.attention import Attention

LENGTH = 37
DICE = np.random.default_rng(0)


def tensors(length=LENGTH, heads=4, kv_heads=2, size=8):
  of = lambda n: jnp.asarray(DICE.normal(size=(2, length, n, size)), "float32")
  return of(heads), of(kv_heads), of(kv_heads)


def plain(how, q, k, v, valid, segment):
  """The definition, one query at a time, in float64."""
  q, k, v, valid, segment = (np.asarray(x) for x in (q, k, v, valid, segment))
  place, share = np.arange(q.shape[1]), q.shape[2] // k.shape[2]
  out = np.zeros(q.shape)
  for b, s, h in np.ndindex(q.shape[:3]):
    near = place > s - (LENGTH if how.window is None else int(how.window))
    sees = valid[b] & (segment[b] == segment[b, s]) & (place <= s) & near
    if not valid[b, s]:
      continue
    scores = how.scale * (k[b, sees, h // share] @ q[b, s, h])
    if how.soft_cap is not None:
      scores = how.soft_cap * np.tanh(scores / how.soft_cap)
    weights = np.exp(scores - scores.max())
    out[b, s, h] = weights / weights.sum() @ v[b, sees, h // share]
  return out


def rows():
  """A row padded on the left, and one of three sequences and padding."""
  place = jnp.arange(LENGTH)
  packed = jnp.where(place < 30, place // 11, -1)
  segment = jnp.stack([jnp.where(place < 5, -1, 0), packed])
  return segment >= 0, segment


@pytest.mark.parametrize(
  "how",
  [
    Attention(0.3),
    Attention(0.3, window=jnp.int32(6)),
    Attention(0.3, soft_cap=2.0),
  ],
  ids=["all", "window", "cap"],
)
@pytest.mark.parametrize("block", [4, 7, 512])
def test_blocks_give_the_definition(how, block, monkeypatch):
  monkeypatch.setattr(whole, "BLOCK", block)
  valid, segment = rows()
  q, k, v = tensors()
  got = whole.causal(how, q, k, v, valid, segment)
  got = jnp.where(valid[..., None, None], got, 0)
  want = plain(how, q, k, v, valid, segment)
  np.testing.assert_allclose(got, want, rtol=0, atol=2e-6)


def test_blocks_have_the_gradient_of_the_whole(monkeypatch):
  how, given = Attention(0.3), tensors()
  valid, segment = rows()
  weights = jnp.asarray(DICE.normal(size=given[0].shape), "float32")
  weights = jnp.where(valid[..., None, None], weights, 0)

  def gradient():
    loss = lambda *x: (whole.causal(how, *x, valid, segment) * weights).sum()
    return jax.grad(loss, argnums=(0, 1, 2))(*given)

  want = gradient()
  monkeypatch.setattr(whole, "BLOCK", 4)
  for got, expected in zip(gradient(), want):
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("block", [7, 512])
def test_the_last_queries_alone_find_what_they_find_among_all(
  block, monkeypatch
):
  monkeypatch.setattr(whole, "BLOCK", block)
  how, (valid, segment) = Attention(0.3, window=jnp.int32(20)), rows()
  q, k, v = tensors()
  want = whole.causal(how, q, k, v, valid, segment)[:, -13:]
  got = whole.causal(how, q[:, -13:], k, v, valid, segment)
  counts = valid[:, -13:, None, None]
  zero = lambda x: jnp.where(counts, x, 0)
  np.testing.assert_allclose(zero(got), zero(want), rtol=0, atol=2e-6)


def test_no_array_is_as_large_as_all_scores(monkeypatch):
  monkeypatch.setattr(whole, "BLOCK", 4)
  valid, segment = rows()
  loss = lambda *x: whole.causal(Attention(0.3), *x, valid, segment).sum()
  traced = jax.make_jaxpr(jax.grad(loss, argnums=(0, 1, 2)))(*tensors())
  sizes = [v.aval.shape for v in _variables(traced.jaxpr)]
  assert not [s for s in sizes if s.count(LENGTH) > 1]
  assert [s for s in sizes if LENGTH in s]


def _variables(jaxpr):
  for equation in jaxpr.eqns:
    yield from equation.outvars
    for inner in jax.core.jaxprs_in_params(equation.params):
      yield from _variables(inner)


@pytest.mark.long
@pytest.mark.parametrize("asking", [LENGTH, 13])
@pytest.mark.parametrize("block", [512, 128])
def test_the_kernel_gives_what_blocks_give(asking, block, monkeypatch):
  """Interpreted: the kernel needs heads of a multiple of 128."""
  # Of 128 positions: padded queries meet no padded key unless there are some.
  length = 128 if block == 128 else LENGTH
  how, (q, k, v) = Attention(0.1), tensors(length=length, size=128)
  valid, segment = (
    jnp.pad(x, [(0, 0), (0, length - LENGTH)], mode="edge") for x in rows()
  )
  given = q[:, -asking:], k, v
  weights = jnp.where(valid[:, -asking:, None, None], given[0], 0)
  monkeypatch.setattr(splash, "MOST", block)
  mesh = make_mesh(devices=jax.devices()[:1])
  make = splash.kernel.make_splash_mha
  monkeypatch.setattr(
    splash.kernel,
    "make_splash_mha",
    lambda **options: make(**options, interpret=True),
  )
  splash._made.cache_clear()

  def found(attend):
    loss = lambda *x: (attend(*x) * weights).sum()
    return jax.value_and_grad(loss, argnums=(0, 1, 2))(*given)

  number = jnp.where(valid, segment, -1)
  kernel = found(lambda *x: splash.attend(how, *x, number, mesh, False))
  blocks = found(lambda *x: whole.causal(how, *x, valid, segment))
  splash._made.cache_clear()
  for got, want in zip(jax.tree.leaves(kernel), jax.tree.leaves(blocks)):
    np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-4)
