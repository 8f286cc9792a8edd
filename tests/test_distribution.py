"""Distributions that are swept answer as those that are written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from rlvr_jax import methods, stats
from rlvr_jax.kernels.logits import Keep
from rlvr_jax.kernels.sharded import Layout
from rlvr_jax.models.mesh import make_mesh
from rlvr_jax.stats.distribution import Swept, Written
from rlvr_jax.stats.score import reads
from rows import FIRST

pytestmark = pytest.mark.usefixtures("quick_compile")

TOKENS, WIDTH, VOCABULARY = 48, 16, 2072  # 2 blocks of 1024 columns and a bit
TARGETS = jnp.arange(TOKENS) * 7
HEAT = jnp.linspace(0.5, 2, TOKENS)
STATS = {
  "nucleus": stats.NucleusEntropy(0.8),
  "nucleus and its edge": stats.NucleusEntropy(0.8, nucleus="inclusive"),
  "few": stats.NucleusEntropy(0.99, top_k=3),
  "all": stats.NucleusEntropy(1.0, nucleus="inclusive"),
  "clamped": stats.ClampedEntropy(0.3),
  "relative": stats.ProxyLogp(0.02),
  "fixed": stats.ProxyLogp(0.001, filter="fixed"),
  "nothing kept": stats.ProxyLogp(0.9, filter="fixed"),
  "the likeliest": stats.ProxyLogp(1.0),
  "soft": stats.ProxyLogp(0.02, soft=True),
}
PAIRS = {
  "divergence": stats.FullKL(),
  "from the proxy": stats.ProxyKL(),
  "from a proxy of equals": stats.ProxyKL(stats.ProxyLogp(0.9, "fixed")),
  "from the soft proxy": stats.ProxyKL(stats.ProxyLogp(0.05, soft=True)),
}
WAYS = {
  "one device": dict(),
  "a few rows at a time": dict(rows=10),
  "bounded logits": dict(soft_cap=4.0),
  "four parts of the vocabulary": dict(tensor=4),
}


def parameters(seed):
  """Hidden states and weights; the weights of 41 tokens are the same."""
  dice = np.random.default_rng(seed)
  hidden = dice.normal(size=(TOKENS, WIDTH))
  weights = dice.normal(size=(VOCABULARY, WIDTH)) * WIDTH**-0.5 * 2
  weights[100:140] = weights[99]
  # Two states for which those are the likeliest, and one for which all equal.
  hidden[:2], hidden[2] = 2 * weights[99] * np.array([[1], [4]]), 0
  return jnp.float32(hidden), jnp.float32(weights)


def swept(given, rows=4096, soft_cap=None, tensor=None):
  hidden, weights = given
  layout = tensor and Layout(make_mesh(data=8 // tensor, tensor=tensor))
  head = stats.Head(weights, soft_cap, layout)
  return Swept(hidden, head, TARGETS, HEAT, rows)


def written(given, soft_cap=None):
  z = jnp.einsum("nd,vd->nv", *given, precision="highest")
  if soft_cap is not None:
    z = soft_cap * jnp.tanh(z / soft_cap)
  return Written(z / HEAT[:, None], TARGETS)


def asked(stat, make, *given, **how):
  """What a statistic says, and the gradient of a mix of it by what is given."""
  mix = jnp.cos(jnp.arange(TOKENS))

  def total(given):
    found = stat.from_distributions(*(make(g, **how) for g in given))
    return (found * mix).sum(), found

  step = jax.jit(jax.value_and_grad(total, has_aux=True))
  (_, found), slope = step(given)
  return found, jax.tree.leaves(slope)


def assert_same(found, want):
  np.testing.assert_allclose(found[0], want[0], rtol=2e-5, atol=2e-5)
  for one, other in zip(found[1], want[1]):
    np.testing.assert_allclose(
      one, other, atol=2e-5 * (1 + np.abs(other).max())
    )


def cases(*names):
  """Every statistic on one device, those named in every way."""
  first, *others = WAYS
  everything = [(name, first) for name in {**STATS, **PAIRS}]
  more = [(name, how) for name in names for how in others]
  # A third of these in `make test`, all in `make test-long`.
  return everything + [
    pytest.param(*case, marks=[pytest.mark.long] * (k % 3 != k // 3 % 3))
    for k, case in enumerate(more)
  ]


@pytest.mark.parametrize(
  ("name", "how"), cases("nucleus", "few", "soft", "from the proxy")
)
def test_what_is_swept_needs_no_logits(name, how):
  stat, how = STATS.get(name) or PAIRS[name], WAYS[how]
  given = [parameters(seed) for seed in range(1 + (name in PAIRS))]
  bent = {k: v for k, v in how.items() if k == "soft_cap"}
  want = asked(stat, written, *given, **bent)
  assert_same(asked(stat, swept, *given, **how), want)


@pytest.mark.parametrize("mass", [0.3, 0.8])
@pytest.mark.parametrize("inclusive", [True, False])
def test_likeliest_tokens_that_are_too_many_stay_alone(mass, inclusive):
  weights = jnp.full((1100, 1), -5.0).at[jnp.array([7, 1090]), 0].set(3.0)
  head = stats.Head(weights)
  p = Swept(jnp.ones((1, 1)), head, jnp.zeros(1, jnp.int32), jnp.ones(1), 4096)
  for keep in (Keep(mass, inclusive=inclusive), Keep(count=1)):
    found = jax.jit(lambda k=keep: p.nucleus(k).moments("entropy").entropy)()
    np.testing.assert_allclose(found, np.log(2), rtol=1e-5)


@pytest.mark.parametrize("shift", [0.0, 1024.0])
def test_a_divergence_keeps_its_digits_wherever_the_logits_lie(shift):
  # Quarters: the logits are whole sixteenths, which float32 holds exactly.
  dice = np.random.default_rng(0)
  quarters = lambda *size: dice.integers(-3, 4, size=size) / 4
  pair = []
  for _ in range(2):
    hidden, weights = quarters(TOKENS, WIDTH), quarters(VOCABULARY, WIDTH)
    hidden[:, 0], weights[:, 0] = 1, shift
    pair.append((hidden, weights))
  logits = [h @ w.T for h, w in pair]
  p, q = (special.softmax(z, axis=1) for z in logits)
  heads = [stats.Head(jnp.float32(w)) for _, w in pair]
  first, second = (
    Swept(jnp.float32(h), head, TARGETS, jnp.ones(TOKENS), 4096)
    for (h, _), head in zip(pair, heads)
  )
  found = jax.jit(lambda: first.divergence(second))()
  np.testing.assert_allclose(found, (p * np.log(p / q)).sum(1), rtol=5e-6)


def test_what_cannot_be_is_refused():
  p = swept(parameters(0))
  with pytest.raises(ValueError, match="cut again"):
    p.above(HEAT).above(HEAT)
  with pytest.raises(ValueError, match="soft_cap"):
    p.divergence(swept(parameters(1), soft_cap=3.0))


def test_a_distribution_does_not_diverge_from_itself():
  given = parameters(0)
  value, slope = asked(stats.FullKL(), swept, given, given)
  np.testing.assert_allclose(value, 0, atol=2e-6)
  for leaf in slope:
    np.testing.assert_allclose(leaf, 0, atol=1e-5)


def test_a_nucleus_holds_its_mass_and_not_one_token_less():
  p = swept(parameters(2))
  z = np.asarray(written(parameters(2)).logits, np.float64)
  probability = np.exp(z - z.max(1, keepdims=True))
  probability /= probability.sum(1, keepdims=True)
  for mass in (0.1, 0.5, 0.9, 0.999):
    keep = Keep(mass, inclusive=True)
    cut = jax.jit(lambda keep=keep: p.nucleus(keep).cut)()
    kept = z >= np.asarray(cut.least)[:, None]
    total = (probability * kept).sum(1)
    least = np.where(kept, probability, np.inf).min(1)
    equals = np.isclose(probability, least[:, None], rtol=1e-5).sum(1)
    assert (total >= mass - 1e-5).all()
    assert (total - equals * least < mass + 1e-5).all()


def test_no_published_method_needs_logits():
  asked_of = {
    need.stat
    for name in FIRST
    for need in methods.make(name, **FIRST[name].acting).needs
    if not (need.is_note or need.is_hidden)
  }
  for stat in asked_of:
    assert hasattr(stat, "from_distributions") or reads(stat), stat
