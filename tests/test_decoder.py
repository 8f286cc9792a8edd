import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import decoding
from rlvr_jax.models import DecoderConfig, Transformer
from rlvr_jax.models import decoder as decoder_lib

pytestmark = pytest.mark.usefixtures("quick_compile")

SMALL = DecoderConfig(
  vocabulary=13, width=16, layers=3, heads=4, kv_heads=2, head_dim=8, hidden=24
)
VARIANTS = {
  "plain": SMALL,
  "qk_norm": dataclasses.replace(SMALL, qk_norm=True),
  "untied": dataclasses.replace(SMALL, tied=False),
  "one_kv_head": dataclasses.replace(SMALL, kv_heads=1),
  "no_grouping": dataclasses.replace(SMALL, kv_heads=4),
}
LENGTH = 9
TOKENS = jax.random.randint(jax.random.key(1), (3, LENGTH), 0, 13)
PADDING = jnp.array([0, 2, 4])
VALID = jnp.arange(LENGTH) >= PADDING[:, None]


def full_logits(model, params, tokens=TOKENS, valid=VALID):
  def run(params, tokens, valid):
    return model.logits(params, model.module(params).full(tokens, valid)[0])

  return jax.jit(run)(params, tokens, valid)


@pytest.mark.parametrize("name", VARIANTS)
def test_cached_decode_agrees_with_the_full_pass(name):
  model = Transformer(VARIANTS[name])
  params = model.init(jax.random.key(0))
  want = full_logits(model, params)
  width = 5
  got = decoding.logits(
    model,
    params,
    TOKENS[:, :width],
    VALID[:, :width],
    # What follows the last token is not looked at.
    jnp.pad(TOKENS[:, width:], [(0, 0), (0, 1)]),
  )
  np.testing.assert_allclose(got, want[:, width - 1 :], rtol=0, atol=1e-5)


def test_left_padding_changes_nothing():
  model = Transformer(SMALL)
  params = model.init(jax.random.key(0))
  padded = full_logits(model, params)[1, 2:]
  alone = full_logits(
    model, params, TOKENS[1:2, 2:], jnp.ones((1, LENGTH - 2), bool)
  )
  np.testing.assert_allclose(padded, alone[0], rtol=0, atol=1e-5)


def test_no_position_sees_a_later_token():
  model = Transformer(SMALL)
  params = model.init(jax.random.key(0))
  before = full_logits(model, params)
  changed = TOKENS.at[:, 6].set((TOKENS[:, 6] + 1) % 13)
  after = full_logits(model, params, changed)
  # What stands at padded positions is never read.
  np.testing.assert_array_equal(
    before[:, :6][VALID[:, :6]], after[:, :6][VALID[:, :6]]
  )
  assert jnp.abs(before[:, 6:] - after[:, 6:]).max() > 1e-3


@pytest.mark.parametrize("remat", ["selective", "full"])
def test_remat_changes_no_gradient(remat):
  def gradient(config):
    model = Transformer(config)
    params = model.init(jax.random.key(0))
    loss = lambda p: full_logits(model, p)[:, -1].var()
    return jax.grad(loss)(params)

  plain = gradient(SMALL)
  again = gradient(dataclasses.replace(SMALL, remat=remat))
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
    plain,
    again,
  )


def test_bfloat16_compute_stays_near_float32_and_keeps_float32_weights():
  params = Transformer(SMALL).init(jax.random.key(0))
  half = Transformer(dataclasses.replace(SMALL, dtype="bfloat16"))
  assert {x.dtype for x in jax.tree.leaves(params)} == {jnp.dtype("float32")}
  exact = full_logits(Transformer(SMALL), params)
  rough = full_logits(half, params)
  assert rough.dtype == jnp.float32
  # bfloat16 has 8 bits: 3 layers of unit-scale activations stay within 0.1.
  assert 0 < jnp.abs(exact - rough).max() < 0.1


def test_every_layer_begins_with_its_own_weights():
  params = Transformer(SMALL).init(jax.random.key(0))
  for name in ("query", "gate", "down"):
    first, second, third = params["blocks"][name]
    assert not jnp.allclose(first, second)
    assert not jnp.allclose(second, third)


def test_the_small_vocabulary_embedding_is_the_table_row(monkeypatch):
  model = Transformer(SMALL)
  params = model.init(jax.random.key(0))
  product = model.module(params).embed(TOKENS)
  monkeypatch.setattr(decoder_lib, "SMALL_VOCABULARY", 0)
  gather = model.module(params).embed(TOKENS)
  np.testing.assert_allclose(product, gather, rtol=1e-6)


@pytest.mark.parametrize("field", ["dtype", "param_dtype"])
@pytest.mark.parametrize("value", ["bf16", "float16", "int8", jnp.bfloat16])
def test_a_type_that_the_decoder_does_not_compute_in_is_refused(field, value):
  told = rf"^{field} = {value!r} is not .* \('float32', 'bfloat16'\)"
  with pytest.raises(ValueError, match=told):
    dataclasses.replace(SMALL, **{field: value})


def test_compile_time_does_not_depend_on_depth():
  def program(layers):
    model = Transformer(dataclasses.replace(SMALL, layers=layers))
    params = jax.eval_shape(model.init, jax.random.key(0))
    run = lambda p: model.logits(p, model.module(p).full(TOKENS, VALID)[0])
    return len(jax.jit(run).lower(params).as_text().splitlines())

  assert program(2) == program(24)
