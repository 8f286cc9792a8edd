"""The entropy of a nucleus, the tokens it is held at, and the anchor."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rlvr_jax
from golden_adapters import common
from golden_adapters.siren import of_logits, total
from rlvr_jax.methods.siren import siren
from rlvr_jax.stats import LOGP, NucleusEntropy
from rlvr_jax.types import Clock, Need

pytestmark = pytest.mark.usefixtures("quick_compile")

DISTRIBUTION = np.float32([0.5, 0.25, 0.15, 0.1])


def entropy(logits, **parameters):
  need = Need(NucleusEntropy(**parameters))
  return of_logits((need,), jnp.asarray(logits))[need.key]


def test_the_token_that_crosses_the_mass_is_out_or_in():
  logits = np.log(DISTRIBUTION)[None]
  # Mass 0.75 < 0.8 holds two tokens of odds 2 : 1; the third one crosses.
  two = -(2 / 3 * np.log(2 / 3) + 1 / 3 * np.log(1 / 3))
  q = np.array([0.5, 0.25, 0.15]) / 0.9
  three = -(q * np.log(q)).sum()
  np.testing.assert_allclose(entropy(logits, top_p=0.8), [two], rtol=1e-6)
  found = entropy(logits, top_p=0.8, nucleus="inclusive")
  np.testing.assert_allclose(found, [three], rtol=1e-6)
  found = entropy(logits, top_p=1.0, top_k=2, nucleus="inclusive")
  np.testing.assert_allclose(found, [two], rtol=1e-6)


def test_tokens_as_likely_as_the_last_one_of_a_nucleus_belong_to_it():
  # Two of the four are enough for half the mass, or all that may be kept.
  logits = np.zeros((1, 4), np.float32)
  for options in ({"top_p": 0.6}, {"top_p": 1.0, "top_k": 2}):
    np.testing.assert_allclose(entropy(logits, **options), np.log(4))


@pytest.mark.parametrize(
  ("nucleus", "top_p"), [("exclusive", 0.85), ("inclusive", 0.5)]
)
def test_a_nucleus_of_no_or_one_token_has_entropy_and_gradient_zero(
  nucleus, top_p
):
  logits = jnp.log(jnp.array([[0.9, 0.06, 0.04]]))
  fn = lambda z: entropy(z, top_p=top_p, nucleus=nucleus)[0]
  value, gradient = jax.jit(jax.value_and_grad(fn))(logits)
  assert value == 0 and not gradient.any()


VALUE_AND_GRADIENT = jax.jit(
  jax.value_and_grad(lambda z: entropy(z, top_p=0.9).sum())
)


@given(st.lists(st.floats(-20, 20, width=32), min_size=6, max_size=6))
def test_the_gradient_by_the_logits_is_the_closed_form(logits):
  logits = jnp.asarray(logits, jnp.float32)[None]
  value, gradient = VALUE_AND_GRADIENT(logits)
  p = np.exp(np.asarray(jax.nn.log_softmax(logits), np.float64))
  # By the logits: probabilities of unlike ones may round to the same.
  order = np.argsort(-np.asarray(logits)[0], kind="stable")
  mass = np.cumsum(np.asarray(jax.nn.softmax(logits))[0][order])
  if (abs(mass - 0.9) < 1e-5).any():
    return  # rounding decides
  kept = np.zeros(6, bool)
  kept[order[mass < 0.9]] = True
  if kept.any():
    kept |= np.asarray(logits)[0] >= np.asarray(logits)[0][kept].min()
  q = np.where(kept, p, 0) / max(np.where(kept, p, 0).sum(), 1e-300)
  log_q = np.log(np.where(q > 0, q, 1))
  want = -(q * log_q).sum()
  np.testing.assert_allclose(value, want, rtol=1e-4, atol=1e-6)
  np.testing.assert_allclose(gradient, -q * (log_q + want), atol=1e-5)
  np.testing.assert_allclose(gradient.sum(), 0, atol=1e-6)
  assert value <= np.log(max(kept.sum(), 1)) + 1e-6


def selected(nats, quantile=0.8, **parameters):
  """How many of the tokens of one row are chosen."""
  method = siren(quantile=quantile, anchor=99.0, **parameters)
  mask = np.arange(14)[None] < len(nats)
  nats = np.pad(np.float32(nats), (0, 14 - len(nats)))[None]
  fn = lambda x: total(method, {method.needs[0].key: x}, mask)[0]
  return int((jax.jit(jax.grad(fn))(jnp.asarray(nats)) != 0).sum())


def test_about_a_fifth_of_the_tokens_of_each_row_is_chosen():
  count = {n: selected(np.arange(n) + 1.0) for n in (14, 5, 1)}
  assert count == {14: 3, 5: 1, 1: 0}
  assert selected([1.0, 1.0, 1.0]) == 0
  # The least of all is the only one at or below the quantile of 0.
  assert selected(np.arange(6) + 1.0, quantile=0.0) == 5
  # At the quantile too: padding, here at 0 nats, never is.
  assert selected([1.0, 1.0, 1.0], strict=False) == 3
  assert selected(np.zeros(3), strict=False) == 3


def test_the_loss_is_the_squared_distance_of_the_mean_over_rows():
  # Tokens 4 and 3 lie above the medians 2 and 2; the last row has none.
  nats = np.float32([[1, 2, 4], [3, 2, 1], [5, 9, 9]])
  mask = np.array([[1, 1, 1], [1, 1, 1], [1, 0, 0]])
  method = siren(coef=0.5, quantile=0.5, anchor=1.0)
  stats = {method.needs[0].key: nats}
  loss, metrics = total(method, stats, mask)
  level = (4 + 3 + 0) / 3
  np.testing.assert_allclose(loss, 0.5 * (level - 1) ** 2, rtol=1e-6)
  np.testing.assert_allclose(metrics["siren/entropy"], level, rtol=1e-6)
  np.testing.assert_allclose(metrics["siren/selected_fraction"], 2 / 7)
  blocks = siren(coef=0.5, quantile=0.5, anchor=1.0, scope_rows=2)
  loss, _ = total(blocks, stats, mask)
  # Blocks of two rows and of one, by their rows.
  want = 0.5 * (2 * (3.5 - 1) ** 2 + (0 - 1) ** 2) / 3
  np.testing.assert_allclose(loss, want, rtol=1e-6)


def test_the_anchor_is_the_entropy_of_the_first_rollout_for_good():
  method = siren(quantile=0.0)
  (need,) = (n for n in method.needs if n.when == "rollout")
  prepare = rlvr_jax.prepare(method)
  mask = np.ones((3, 2))
  # The last row is of another draw.
  rollout = common.batch(0 * mask, None, mask, source=np.array([0, 0, 1]))

  def after(state, nats):
    given_nats = {need.key: jnp.asarray(nats, jnp.float32)}
    clock = Clock(0, 0, jax.random.key(0))
    return prepare(rollout.replace(stats=given_nats), state, clock)[1]

  state = rlvr_jax.chain(method).init(rollout)
  state = after(state, [[1, 3], [2, 4], [0, 90]])
  assert state["siren"].anchor == 3.5
  state = after(state, [[1, 1], [1, 8], [0, 90]])
  assert state["siren"].anchor == 3.5


def test_rows_of_a_further_draw_are_neither_in_the_anchor_nor_in_the_loss():
  method = rlvr_jax.chain(siren(quantile=0.0))
  now, then = method.needs
  nats = jnp.array([[1.0, 3.0], [2.0, 4.0], [0.0, 90.0]])
  rollout = common.batch(
    0 * nats,
    None,
    np.ones((3, 2)),
    source=np.array([0, 0, 1]),
    stats={then.key: nats},
  )
  clock = Clock(0, 0, jax.random.key(0))
  state = method.init(rollout)
  rollout, state = rlvr_jax.prepare(method)(rollout, state, clock)
  stats = {LOGP.key: rollout.old_logp, now.key: nats}
  loss, (_, metrics) = rlvr_jax.loss(method)(stats, rollout, state, clock)
  assert metrics["siren/entropy"] == metrics["siren/anchor"] == 3.5
  assert metrics["siren/selected_fraction"] == 0.5
  assert loss == 0


def test_at_the_anchor_there_is_no_loss_and_no_gradient():
  nats = jnp.array([[1.0, 2.0, 4.0]])
  method = siren(quantile=0.5, anchor=4.0)
  (need,) = method.needs
  fn = lambda x: total(method, {need.key: x}, np.ones((1, 3)))[0]
  loss, gradient = jax.jit(jax.value_and_grad(fn))(nats)
  assert loss == 0 and not gradient.any()


@pytest.mark.parametrize(
  "wrong",
  [
    {"coef": -1.0},
    {"top_p": 0.0},
    {"top_k": 0},
    {"quantile": 1.1},
    {"nucleus": "closed"},
    {"anchor": -1.0},
    {"scope_rows": 0},
  ],
)
def test_a_parameter_out_of_range_is_named(wrong):
  ((name, value),) = wrong.items()
  with pytest.raises(ValueError, match=rf"siren\.{name} = {value!r} must"):
    siren(**wrong)
