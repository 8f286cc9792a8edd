import functools

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rlvr_jax.sampling import distribution

NEUTRAL = {"top_k": 0, "top_p": 1.0, "min_p": 0.0}
CUTS = [
  {},
  {"top_k": 5},
  {"top_p": 0.8},
  {"min_p": 0.1},
  {"top_k": 8, "top_p": 0.9, "min_p": 0.05},
]
# Few values, so that most rows have ties; two zeros that are equal.
TIED = hnp.arrays(
  np.float32, (3, 9), elements=st.sampled_from([-1.0, -0.0, 0.0, 1.0, 2.5])
)
draw = jax.jit(distribution.draw, static_argnames="block")


def truncate(logits, **cut):
  return distribution.truncate(jnp.asarray(logits), **(NEUTRAL | cut))


def kept(logits, **cut):
  return np.isfinite(truncate(logits, **cut))


def likeliest_first(logits):
  """Token ids by falling logit, of equals the lower id first."""
  return np.argsort(-np.asarray(logits), axis=-1, kind="stable")


def softmax(row):
  p = np.exp(np.asarray(row, np.float64) - np.max(row))
  return p / p.sum()


def truncated(row, top_k=0, top_p=1.0, min_p=0.0):
  """The renormalised distribution by the words of the definition, float64."""
  order = likeliest_first(row)
  left = list(order[: top_k or None])
  p = softmax(row)
  mass = np.cumsum(p[left]) / p[left].sum()
  left = left[: 1 + int((mass < top_p - 1e-9).sum())]
  left = [token for token in left if p[token] >= min_p * p[order[0]]]
  out = np.zeros_like(p)
  out[left] = p[left] / p[left].sum()
  return out


def edges(row):
  """Uniforms at and around every step of the row's cumulative weight."""
  steps = np.float32(np.cumsum(softmax(row)))
  # The spacing of the uniforms is 2**-23; float32 is finer below 1/2.
  near = steps[:, None] + np.float32(2.0**-24) * np.arange(-12, 13)
  ends = [0.0, 2.0**-149, 2.0**-24, 2.0**-23, 0.5, 1 - 2.0**-23, 1 - 2.0**-24]
  found = np.unique(np.float32([*near.ravel(), *ends]))
  return found[(found >= 0) & (found < 1)]


def draws_at(row, uniforms, block=512):
  """One token per pair of uniforms, all from the same row."""
  rows = jnp.broadcast_to(row, (len(uniforms), row.shape[-1]))
  return np.asarray(draw(rows, jnp.asarray(uniforms), block=block))


def wide_rows(count=6, size=512):
  return 3 * jax.random.normal(jax.random.key(7), (count, size))


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("block", [5, 512])
def test_draws_follow_the_truncated_renormalised_distribution(cut, block):
  row = 1.5 * jax.random.normal(jax.random.key(3), (12,))
  want, count = truncated(row, **cut), 100_000
  uniforms = jax.random.uniform(jax.random.key(0), (count, 2))
  tokens = draws_at(truncate(row[None], **cut)[0], uniforms, block)
  found = np.bincount(tokens, minlength=12)
  assert found[want == 0].sum() == 0
  expected = count * want[want > 0]
  chi_square = ((found[want > 0] - expected) ** 2 / expected).sum()
  freedom = len(expected) - 1
  # Mean and variance of chi-square are the freedom and twice the freedom.
  assert chi_square < freedom + 5 * np.sqrt(2 * freedom)


@pytest.mark.parametrize(
  "cut", [{"top_k": 20}, {"top_p": 0.8}, {"min_p": 0.1}, CUTS[-1]]
)
def test_a_cut_token_is_drawn_by_no_uniform(cut):
  logits = np.asarray(truncate(wide_rows(), **cut))
  uniforms = [edges(row) for row in logits]
  rows = np.repeat(logits, [len(u) for u in uniforms], axis=0)
  u = np.concatenate(uniforms)
  # One block, where the second uniform decides, and blocks of one token, where
  # the first does.
  for block in (512, 1):
    tokens = np.asarray(draw(rows, np.stack([u, u], axis=1), block=block))
    assert np.isfinite(np.take_along_axis(rows, tokens[:, None], 1)).all()


@pytest.mark.parametrize("block", [1, 2, 3, 512])
@pytest.mark.parametrize(
  "row",
  [
    [-np.inf, 0.0, 1.0, -np.inf, -np.inf],
    # Weights of e^-100 are no normal float32, and of e^-200 nothing.
    [-np.inf, -100.0, -np.inf, 0.0, -np.inf],
    [-np.inf, -200.0, -np.inf, 0.0, -np.inf],
  ],
)
def test_the_ends_of_the_unit_interval_stay_in_the_support(row, block):
  row = jnp.float32(row)
  u = edges(row)
  pairs = np.stack(np.meshgrid(u, u), axis=-1).reshape(-1, 2)
  assert np.isfinite(row[draws_at(row, pairs, block)]).all()


def test_a_draw_inverts_the_cumulative_distribution():
  for row in (wide_rows(1)[0], truncate(wide_rows(1), top_k=20)[0]):
    u = np.asarray(jax.random.uniform(jax.random.key(1), (2000,)))
    tokens = draws_at(row, np.stack([u, u], axis=1))
    p = softmax(row)
    upto = np.cumsum(p)[tokens]
    assert (u <= upto + 1e-6).all() and (u >= upto - p[tokens] - 1e-6).all()


def test_truncations_keep_what_their_definitions_say():
  row = np.log(np.float32([[0.4, 0.3, 0.2, 0.1]]))
  keeps = lambda **cut: kept(row, **cut)[0].tolist()
  assert keeps() == [True] * 4
  assert keeps(top_k=2) == [True, True, False, False]
  # 0.4 + 0.3 first reaches 0.6, so the token that crosses it stays.
  assert keeps(top_p=0.6) == [True, True, False, False]
  assert keeps(top_p=1e-6) == [True, False, False, False]
  # 0.5 of the likeliest token's 0.4.
  assert keeps(min_p=0.45) == [True, True, True, False]
  assert keeps(min_p=0.6, top_k=3) == [True, True, False, False]


def test_of_equally_likely_tokens_the_lower_ids_stay():
  keeps = lambda row, **cut: kept(np.float32([row]), **cut)[0].tolist()
  assert keeps([1, 1, 1, 0], top_k=2) == [True, True, False, False]
  assert keeps([0, 1, 1, 1], top_k=2) == [False, True, True, False]
  assert keeps([-0.0, 0.0], top_k=1) == [True, False]
  # A quarter each: 0.25 is reached by one, 0.3 and 0.5 by two.
  for mass, count in ((0.25, 1), (0.3, 2), (0.5, 2), (0.51, 3), (0.99, 4)):
    assert keeps([0, 0, 0, 0], top_p=mass) == [i < count for i in range(4)]
  assert keeps([0, 9, 0, 9, 9], top_p=0.6) == [False, True, False, True, False]


@hypothesis.given(TIED, st.integers(1, 11))
def test_top_k_keeps_exactly_the_k_first_of_the_likeliest(logits, top_k):
  want = np.zeros(logits.shape, bool)
  np.put_along_axis(want, likeliest_first(logits)[:, :top_k], True, axis=-1)
  np.testing.assert_array_equal(kept(logits, top_k=top_k), want)


@hypothesis.given(TIED, st.floats(0.01, 1.0), st.integers(0, 9))
def test_top_p_keeps_the_smallest_set_of_the_mass(logits, top_p, top_k):
  cut = truncate(logits, top_k=top_k, top_p=jnp.float32(top_p))
  before = truncate(logits, top_k=top_k)
  for row, old, order in zip(cut, before, likeliest_first(logits)):
    count = int(np.isfinite(row).sum())
    assert set(np.flatnonzero(np.isfinite(row))) == set(order[:count])
    mass = np.append(0.0, np.cumsum(softmax(old)[order]))
    assert mass[count] >= top_p - 1e-6 and mass[count - 1] < top_p + 1e-6


@pytest.mark.parametrize("top_k", [1, 20, 511])
def test_top_k_is_exact_for_logits_of_few_bits(top_k):
  coarse = wide_rows(64).astype(jnp.bfloat16).astype(jnp.float32)
  assert (kept(coarse, top_k=top_k).sum(axis=-1) == top_k).all()


@hypothesis.given(TIED)
def test_what_stays_keeps_its_logit(logits):
  for cut in CUTS:
    stays = truncate(logits, **cut)
    assert ((stays == logits) | (stays == -np.inf)).all()
    assert np.isfinite(stays).any(axis=-1).all()


def test_traced_neutral_truncations_keep_every_token():
  # e^-30 of the mass is lost in a float32 sum that has reached 1.
  row = jnp.array([[0.0, -30.0, -31.0, -32.0, -33.0]])
  traced = jax.jit(functools.partial(distribution.truncate, top_k=0))
  np.testing.assert_array_equal(traced(row, top_p=1.0, min_p=0.0), row)


def test_no_truncation_sorts_nothing_and_top_k_sorts_once():
  def sorts(**cut):
    text = str(jax.make_jaxpr(lambda x: truncate(x, **cut))(wide_rows()))
    return text.count("sort") + text.count("top_k[")

  assert sorts() == sorts(min_p=0.1) == 0
  assert sorts(top_k=5) == 1


def test_temperature_divides_row_by_row_and_zero_keeps_the_first_maximum():
  logits = jnp.array([[1.0, 2.0, 2.0]] * 3)
  got = distribution.temper(logits, jnp.array([0.0, 0.5, 2.0]))
  want = [[-np.inf, 0.0, -np.inf], [2.0, 4.0, 4.0], [0.5, 1.0, 1.0]]
  np.testing.assert_array_equal(got, want)
