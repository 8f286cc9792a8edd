"""The sweep over the vocabulary: every implementation against float64."""

import functools
from typing import NamedTuple

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from rlvr_jax.kernels import chunked, engines, pallas_gpu, pallas_tpu, pullback
from rlvr_jax.kernels.logits import Cut, Form, Tokens
from rlvr_jax.kernels.pallas_tpu_blocks import needed
from rlvr_jax.kernels.sharded import Layout
from rlvr_jax.kernels.sums import OUTPUTS
from rlvr_jax.kernels.token_statistics import token_statistics
from rlvr_jax.models.mesh import make_mesh
from rlvr_jax.types import Moments

pytestmark = pytest.mark.usefixtures("quick_compile")

SMALL = {
  "chunked": chunked.Blocks(rows=16, columns=64),
  "pallas_tpu": pallas_tpu.Blocks(
    rows=16, columns=128, strip=8, interpret=pallas_tpu.NAN_FILLED
  ),
  "pallas_gpu": pallas_gpu.Blocks(
    rows=16,
    columns=32,
    depth=64,
    parts=3,
    gradient=chunked.Blocks(rows=16, columns=64),
    interpret=True,
  ),
}
SHAPES = [(37, 128, 301), (16, 256, 256), (5, 128, 37), (33, 384, 1000)]
FORMS = {
  "plain": {},
  "capped": dict(soft_cap=5.0),
  "wide": dict(by_column=True),
  # About 40 % of the vocabulary all but lose their probability, or share one.
  "cut": dict(
    cut=lambda n: Cut(
      jnp.full(n, -0.5), jnp.where(jnp.arange(n) % 2 == 0, -30.0, -1.0)
    )
  ),
}


class Problem(NamedTuple):
  """What a sweep is given; the cotangents are of the sums of all moments."""

  hidden: jax.Array
  weights: jax.Array
  target: jax.Array
  temperature: jax.Array
  cotangents: dict[str, jax.Array]
  options: dict


def problem(shape, dtype="float32", form="plain"):
  n, d, v = shape
  dice = np.random.default_rng(0)
  weights = 2 * d**-0.5 * dice.normal(size=(v, d))  # logits of a few nats
  options = {k: x(n) if callable(x) else x for k, x in FORMS[form].items()}
  return Problem(
    jnp.asarray(dice.normal(size=(n, d)), dtype),
    jnp.asarray(weights.T if form == "wide" else weights, dtype),
    jnp.asarray(dice.integers(0, v, n), jnp.int32),
    jnp.linspace(0.5, 2, n, dtype=jnp.float32),
    {k: jnp.float32(dice.normal(size=n)) for k in pullback.DIFFERENTIABLE},
    options,
  )


def definition(hidden, weights, target, temperature, form):
  """The moments from all logits, as they are defined."""
  x = hidden @ (weights if form.get("by_column") else weights.T)
  if "soft_cap" in form:
    x = form["soft_cap"] * jnp.tanh(x / form["soft_cap"])
  z = x / temperature[:, None]
  if "cut" in form:
    least, fill = (side[:, None] for side in form["cut"])
    z = jnp.where(z >= least, z, fill)
  log_p = jax.nn.log_softmax(z)
  p, is_target = jnp.exp(log_p), jnp.arange(z.shape[1]) == target[:, None]
  log_p = jnp.where(is_target | (p > 0), log_p, 0.0)
  entropy = -(p * log_p).sum(1)
  surprise = jnp.where(p > 0, log_p + entropy[:, None], 0.0)
  return dict(
    logp=jnp.where(is_target, log_p, 0.0).sum(1),
    log_z=jax.nn.logsumexp(z, axis=1),
    entropy=entropy,
    varentropy=(p * surprise**2).sum(1),
    sum_p2=(p * p).sum(1),
    cov_p_logp=(p * p * surprise).sum(1),
    max_prob=p.max(1),
    energy=((is_target - p) ** 2).sum(1),
  )


def pulled(fn, p, names=pullback.DIFFERENTIABLE):
  """The moments fn gives, and the gradient by hidden states and weights."""

  def total(hidden, weights):
    found = fn(hidden, weights)
    return sum((found[k] * p.cotangents[k]).sum() for k in names), found

  step = jax.jit(jax.value_and_grad(total, (0, 1), has_aux=True))
  (_, found), gradient = step(p.hidden, p.weights)
  return jax.device_get((found, gradient))


def swept(p, names=pullback.DIFFERENTIABLE, outputs=OUTPUTS, **how):
  """`pulled` of token_statistics."""

  def fn(hidden, weights):
    found = token_statistics(
      hidden,
      weights,
      p.target,
      temperature=p.temperature,
      outputs=outputs,
      **p.options,
      **how,
    )
    return {k: getattr(found, k) for k in outputs}

  return pulled(fn, p, names)


def exact(p, names=pullback.DIFFERENTIABLE):
  """`pulled` of the definition in float64."""
  with jax.enable_x64(True):
    wide = lambda x: jnp.asarray(np.asarray(x, np.float64))
    q = p._replace(hidden=wide(p.hidden), weights=wide(p.weights))
    temperature = wide(p.temperature)
    return pulled(
      lambda h, w: definition(h, w, q.target, temperature, p.options), q, names
    )


def assert_same(found, want, moments=1e-5, gradient=2e-5):
  """To these shares of the largest entry of each array."""
  for name, value in found[0].items():
    close(value, want[0][name], moments, name)
  for value, right, name in zip(found[1], want[1], ("hidden", "weights")):
    close(value, right, gradient, name)


def close(found, want, share, name):
  want = np.asarray(want, np.float64)
  error = np.abs(np.asarray(found, np.float64) - want).max()
  assert error <= share * np.abs(want).max(), (name, error)


@pytest.mark.parametrize(
  ("shape", "form"),
  [(shape, "plain") for shape in SHAPES] + [(SHAPES[0], f) for f in FORMS][1:],
  ids=str,
)
@pytest.mark.parametrize("name", engines.NAMES)
def test_every_implementation_is_the_definition(name, shape, form):
  p = problem(shape, form=form)
  found = swept(p, implementation=name, blocks=SMALL.get(name))
  assert_same(found, exact(p))


@pytest.mark.parametrize(
  "form",
  [pytest.param(f, marks=[pytest.mark.long] * (f != "plain")) for f in FORMS],
)
@pytest.mark.parametrize("name", engines.NAMES)
def test_in_bfloat16_only_products_are_rounded(name, form):
  p = problem((37, 128, 301), "bfloat16", form)
  found = swept(p, implementation=name, blocks=SMALL.get(name))
  # Cotangents of logits are rounded to 8 bits before they are multiplied.
  assert_same(found, exact(p), gradient=1e-2)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(
  "names",
  [("logp",), ("entropy", "logp"), ("sum_p2",), ("log_z", "varentropy")],
)
def test_a_moment_that_is_not_asked_for_is_neither_made_nor_missed(name, names):
  p = problem((16, 128, 256))
  how = dict(implementation=name, blocks=SMALL[name])
  found = swept(p, names, outputs=names, **how)
  assert_same(found, exact(p, names))


@pytest.mark.parametrize(
  ("name", "tensor", "form"),
  [
    ("chunked", 2, "wide"),
    ("chunked", 4, "capped"),
    ("chunked", 8, "plain"),
    ("chunked", 4, "cut"),
    ("pallas_gpu", 2, "plain"),
  ],
)
def test_a_vocabulary_on_many_devices_gives_the_same(name, tensor, form):
  p = problem((32, 128, 304), form=form)
  layout = Layout(make_mesh(data=8 // tensor, tensor=tensor))
  how = dict(implementation=name, blocks=SMALL[name])
  found = swept(p, layout=layout, **how)
  one = swept(p, **how)
  assert_same(found, one)


@pytest.mark.parametrize("tokens", [33, 7, 1])
def test_tokens_and_columns_that_devices_do_not_divide_are_exact(tokens):
  p = problem((tokens, 128, 301))
  layout = Layout(make_mesh(data=1, fsdp=2, sequence=2, tensor=2))
  assert layout.column(301) is None and layout.column(302) == "tensor"
  how = dict(implementation="chunked", blocks=SMALL["chunked"])
  assert_same(swept(p, layout=layout, **how), swept(p, **how))


@pytest.mark.parametrize("name", SMALL)
def test_a_target_of_another_device_is_nobody_s(name):
  p = problem((9, 128, 37))
  target = jnp.arange(-4, 5)[:, None]
  target = jnp.where(target < 0, target, 37 + target)  # 37 to 41 are padding
  engine = engines.make(name, Form(), ("logp",), SMALL[name], None, None)
  tokens = Tokens(p.hidden, target, jnp.ones((9, 1)))
  found = jax.jit(engine.forward)(tokens, p.weights)
  np.testing.assert_array_equal(found.chosen, 0)


@pytest.mark.parametrize("name", SMALL)
def test_columns_of_no_probability_change_nothing_and_stay_still(name):
  p = problem((16, 128, 256))
  bias = jnp.zeros((16, 128)).at[:, 0].set(1.0)
  dead = jnp.zeros((40, 128)).at[:, 0].set(-1e30)
  first = p.weights.at[:, 0].set(0.0)
  p = p._replace(hidden=p.hidden * (1 - bias) + bias, weights=first)
  wider = p._replace(weights=jnp.concatenate([first, dead]))
  how = dict(implementation=name, blocks=SMALL[name])
  (moments, gradient), (same, other) = swept(p, **how), swept(wider, **how)
  for key in moments:
    close(same[key], moments[key], 1e-6, key)
  close(other[1][:256], gradient[1], 1e-5, "weights")
  assert (other[1][256:] == 0).all()


def test_the_gradient_of_unused_moments_is_not_computed():
  p = problem((16, 128, 256))

  def flops(names):
    def total(hidden):
      found = token_statistics(
        hidden, p.weights, p.target, implementation="chunked"
      )
      return sum(getattr(found, k).sum() for k in names)

    compiled = jax.jit(jax.grad(total)).lower(p.hidden).compile()
    return compiled.cost_analysis()["flops"]

  least = flops(("logp",))
  for name in set(pullback.DIFFERENTIABLE) - {"logp", "log_z"}:
    assert least < flops(("logp", name)), name


def test_a_cotangent_that_is_not_there_leaves_no_factor():
  one = jnp.ones((3, 1))
  m = Moments(**{name: one for name in OUTPUTS}, vocabulary=5)
  found = {
    name: {
      field
      for field, factor in pullback.factors({name: one}, m)._asdict().items()
      if factor is not None
    }
    - {"log_z"}
    for name in pullback.DIFFERENTIABLE
  }
  curve = {"entropy", "a1"}
  assert found == {
    "logp": {"target", "a0"},
    "log_z": {"a0"},
    "entropy": curve,
    "varentropy": curve | {"a0", "a2"},
    "sum_p2": {"a0", "b0"},
    "cov_p_logp": curve | {"a0", "b0", "b1"},
    "energy": {"target", "a0", "b0"},
  }


@pytest.mark.parametrize("name", engines.NAMES)
def test_the_energy_of_nearly_sure_tokens_keeps_its_digits(name):
  # The first of 300 columns has all but 1e-3, ..., 1e-6 of the mass.
  n, rest = 4, 10.0 ** -jnp.arange(3.0, 7.0)
  gap = jnp.log((1 - rest) / rest * 299)
  hidden = jnp.zeros((n, 128)).at[:, 0].set(gap)
  weights = jnp.zeros((300, 128)).at[0, 0].set(1.0)
  target = jnp.zeros(n, jnp.int32)
  p = problem((n, 128, 300))._replace(
    hidden=hidden, weights=weights, target=target, temperature=jnp.ones(n)
  )
  how = dict(implementation=name, blocks=SMALL.get(name))
  found, want = swept(p, **how)[0], exact(p)[0]
  np.testing.assert_allclose(found["energy"], want["energy"], rtol=2e-5)
  # Of the others a sum that contains 1 swallows about 1e-6.
  for key in ("entropy", "varentropy", "cov_p_logp"):
    np.testing.assert_allclose(found[key], want[key], atol=1e-5, err_msg=key)


def test_what_is_unknown_is_refused_by_name():
  p = problem((5, 128, 37))
  call = functools.partial(token_statistics, p.hidden, p.weights, p.target)
  with pytest.raises(ValueError, match="'renyi'.*logp"):
    call(outputs=("renyi",))
  with pytest.raises(ValueError, match="'triton'.*pallas_gpu"):
    call(implementation="triton")
  with pytest.raises(ValueError, match="'chunked' got blocks"):
    call(implementation="chunked", blocks=pallas_tpu.Blocks())


@pytest.mark.parametrize(
  ("platform", "name"), [("tpu", "pallas_tpu"), ("cuda", "pallas_gpu")]
)
@pytest.mark.parametrize(
  "vocabulary",
  [151_936, 37]
  + [
    pytest.param(v, marks=pytest.mark.long) for v in (128_256, 262_144, 32_000)
  ],
)
def test_forward_and_backward_lower_for_the_accelerator(
  platform, name, vocabulary
):
  def total(hidden, weights, target):
    found = token_statistics(hidden, weights, target, implementation=name)
    return sum(getattr(found, k).sum() for k in pullback.DIFFERENTIABLE)

  like = jax.ShapeDtypeStruct
  shapes = (
    like((1000, 896), jnp.bfloat16),
    like((vocabulary, 896), jnp.bfloat16),
    like((1000,), jnp.int32),
  )
  known = jax.export.DisabledSafetyCheck.custom_call("__gpu$xla.gpu.triton")
  exported = jax.export.export(
    jax.jit(jax.grad(total, (0, 1))),
    platforms=[platform],
    disabled_checks=[known],
  )(*shapes)
  text = exported.mlir_module()
  calls = text.count("tpu_custom_call") + text.count("xla.gpu.triton")
  assert calls == (3 if platform == "tpu" else 1)


@pytest.mark.parametrize("itemsize", [2, 4])
@pytest.mark.parametrize("depth", [896, 2048, 3584, 4096, 5120, 8192])
def test_the_tiles_for_tpu_fit_its_memory(depth, itemsize):
  blocks = pallas_tpu.Blocks()
  rows, columns = blocks.to_hidden(depth, itemsize)
  assert blocks.to_weights(depth, itemsize) == (columns, rows)
  assert needed(rows, columns, depth, itemsize, 1) <= blocks.vmem
  forward = blocks.forward(depth, itemsize)
  assert needed(*forward, depth, itemsize, 0) <= blocks.vmem
