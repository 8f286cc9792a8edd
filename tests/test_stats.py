"""Token statistics against float64 numpy, and `score` in chunks."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlvr_jax import stats, testing
from rlvr_jax.kernels import reference
from rlvr_jax.types import LOGP_KEY, Need, View

pytestmark = pytest.mark.usefixtures("quick_compile")
ENTROPY, COV = Need(stats.Entropy()), Need(stats.CovProbLogp())
REF = Need(stats.Logp(), params=("ref",), when="rollout")
KL = Need(stats.FullKL(), params=("policy", "ref"))
HOT = Need(stats.Entropy(), view=View(temperature=2.0))
NEEDS = (stats.LOGP, ENTROPY, COV, REF, KL, HOT)


def exact(logits, targets):
  """Every moment in float64 by its definition."""
  z = np.asarray(logits, np.float64)
  top = z.max(axis=-1, keepdims=True)
  log_z = top + np.log(np.exp(z - top).sum(axis=-1, keepdims=True))
  log_p = z - log_z
  p = np.exp(log_p)
  log_p = np.where(p > 0, log_p, 0.0)
  mean = lambda x: (p * x).sum(axis=-1)
  entropy = -mean(log_p)
  return {
    "logp": np.take_along_axis(z - log_z, targets[:, None], axis=-1)[:, 0],
    "log_z": log_z[:, 0],
    "entropy": entropy,
    "varentropy": mean((log_p + entropy[:, None]) ** 2),
    "sum_p2": mean(p),
    "cov_p_logp": mean(p * (log_p + entropy[:, None])),
    "max_prob": p.max(axis=-1),
  }


def cases():
  dice = np.random.default_rng(0)
  normal = dice.normal(size=(6, 11))
  one_hot = np.zeros((6, 11))
  one_hot[np.arange(6), np.arange(6)] = 1e4
  padded = normal.copy()
  padded[:, 8:] = -1e30
  absent = normal.copy()
  absent[:, 8:] = -np.inf
  return {
    "normal": normal,
    "sharp": 30 * normal,
    "huge": 1e4 * np.sign(normal),
    "one-hot": one_hot,
    "uniform": np.zeros((6, 11)),
    "padding columns": padded,
    "absent columns": absent,
    "far from zero": normal + 1000,
  }


@pytest.mark.parametrize("name", cases())
def test_moments_equal_their_definitions_in_float64(name):
  logits = cases()[name].astype(np.float32)
  targets = np.array([0, 1, 2, 3, 4, 7])
  got = jax.jit(reference.moments)(logits, targets)
  for field, want in exact(logits, targets).items():
    have = np.asarray(getattr(got, field), np.float64)
    # The log-prob and log_z carry the float32 grid of the logits' size.
    scale = np.abs(np.where(np.isfinite(want), want, 0)).max()
    atol = max(1e-6, 3e-7 * scale)
    np.testing.assert_allclose(have, want, rtol=2e-5, atol=atol, err_msg=field)


@pytest.mark.parametrize("name", cases())
def test_moments_have_finite_gradients(name):
  logits = jnp.asarray(cases()[name], jnp.float32)
  targets = jnp.array([0, 1, 2, 3, 4, 7])

  def total(logits):
    found = reference.moments(logits, targets)
    return sum(leaf.sum() for leaf in jax.tree.leaves(found))

  slope = jax.jit(jax.grad(total))(logits)
  assert np.isfinite(slope).all()


def test_the_entropy_has_its_closed_form_gradient():
  logits = jnp.asarray(cases()["normal"], jnp.float32)
  targets = jnp.zeros(6, jnp.int32)
  entropy = lambda z: reference.moments(z, targets).entropy.sum()
  p = jax.nn.softmax(logits)
  h = -(p * jnp.log(p)).sum(-1, keepdims=True)
  # dH/dz = -p (log p + H)
  want = -p * (jnp.log(p) + h)
  np.testing.assert_allclose(jax.grad(entropy)(logits), want, atol=1e-6)


def test_extreme_distributions_have_their_known_moments():
  one_hot, uniform = cases()["one-hot"][:1], cases()["uniform"][:1]
  both = jnp.asarray(np.concatenate([one_hot, uniform]), jnp.float32)
  got = reference.moments(both, jnp.array([0, 0]))
  np.testing.assert_allclose(got.entropy, [0.0, np.log(11)], atol=1e-6)
  np.testing.assert_allclose(got.max_prob, [1.0, 1 / 11], rtol=1e-6)
  np.testing.assert_allclose(got.sum_p2, [1.0, 1 / 11], rtol=1e-6)
  np.testing.assert_allclose(got.varentropy, [0.0, 0.0], atol=1e-6)
  np.testing.assert_allclose(got.cov_p_logp, [0.0, 0.0], atol=1e-6)


@pytest.fixture(scope="module")
def example():
  return testing.tiny(prompts=2, per_prompt=2, length=7)


def scored(example, chunk, needs=NEEDS):
  """Statistics, and the gradient of a mix of them by both tables."""

  def run(tables):
    params = example.params | tables
    found = stats.score(
      needs, params, example.batch, model=example.model, chunk=chunk
    )
    mix = sum((k + 1) * found[n.key].sum() for k, n in enumerate(needs))
    return mix, found

  tables = {name: example.params[name] for name in ("policy", "ref")}
  (_, found), slope = jax.jit(jax.value_and_grad(run, has_aux=True))(tables)
  return found, slope


@pytest.fixture(scope="module")
def at_once(example):
  return scored(example, 4096)


# 4 rows of 7 positions: pieces of 3 positions do not divide 7, a piece of 1
# is the least, and 1000 is everything.
@pytest.mark.parametrize("chunk", [1, 12, 15, 1000])
def test_score_in_chunks_is_score_at_once(example, at_once, chunk):
  found, slope = scored(example, chunk)
  want, want_slope = at_once
  assert found.keys() == want.keys() == {n.key for n in NEEDS}
  for key in want:
    np.testing.assert_allclose(found[key], want[key], rtol=1e-6, atol=1e-6)
  for name in want_slope:
    np.testing.assert_allclose(slope[name], want_slope[name], atol=2e-5)


def test_score_gives_what_its_definition_says(example, at_once):
  found, _ = at_once
  batch, policy, ref = (
    example.batch,
    example.params["policy"],
    example.params["ref"],
  )
  before = batch.tokens[:, 2:-1]
  log_p = jax.nn.log_softmax(policy[before])
  log_q = jax.nn.log_softmax(ref[before])
  pick = lambda x: jnp.take_along_axis(x, batch.response[..., None], -1)[..., 0]
  want = {
    stats.LOGP: pick(log_p),
    REF: pick(log_q),
    ENTROPY: -(jnp.exp(log_p) * log_p).sum(-1),
    KL: (jnp.exp(log_p) * (log_p - log_q)).sum(-1),
  }
  hot = jax.nn.log_softmax(policy[before] / 2.0)
  want[HOT] = -(jnp.exp(hot) * hot).sum(-1)
  for need, values in want.items():
    np.testing.assert_allclose(found[need.key], values, atol=2e-6)


def test_the_scoring_temperature_of_a_row_divides_its_logits(example):
  batch = example.batch.replace(score_temperature=jnp.full(4, 2.0))
  score = lambda needs, batch: stats.score(
    needs, example.params, batch, model=example.model
  )
  warm, hot = score((ENTROPY,), batch), score((HOT,), example.batch)
  np.testing.assert_allclose(warm[ENTROPY.key], hot[HOT.key], rtol=1e-6)


def test_equal_needs_are_computed_once():
  count = []

  @dataclasses.dataclass(frozen=True)
  class Counted:
    def from_logits(self, *logits, targets):
      count.append(len(logits))
      return logits[0].sum(-1)

    def from_moments(self, moments):
      return None

  example = testing.tiny(prompts=1, per_prompt=2, length=2)
  needs = (Need(Counted()), Need(Counted()))
  found = jax.eval_shape(
    lambda batch: stats.score(
      needs, example.params, batch, model=example.model
    ),
    example.batch,
  )
  assert len(found) == 1 and count == [1]


def test_parameters_that_are_not_given_are_named(example):
  lean = {"policy": example.params["policy"]}
  with pytest.raises(KeyError, match=r"the parameters \['ref'\]"):
    stats.score((REF,), lean, example.batch, model=example.model)


def test_the_divergence_from_oneself_is_zero_and_of_absent_tokens_finite():
  logits = jnp.array([[0.0, 1.0, -jnp.inf], [0.0, 1.0, 2.0]])
  targets = jnp.zeros(2, jnp.int32)
  same = stats.FullKL().from_logits(logits, logits, targets=targets)
  np.testing.assert_allclose(same, 0.0, atol=1e-6)


def test_keys_are_distinct_and_the_log_prob_has_its_own():
  assert len({n.key for n in NEEDS}) == len(NEEDS)
  assert stats.LOGP.key == LOGP_KEY
