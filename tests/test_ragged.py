"""Slices of rows of about one length give what padded ones give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import runs
from rlvr_jax.training import ragged
from rlvr_jax.training.pieces import Pieces

pytestmark = pytest.mark.usefixtures("quick_compile")

LENGTH, SLICES = 12, 4


@pytest.mark.parametrize("slices", [1, 2, 4])
def test_a_slice_holds_rows_of_neighbouring_lengths(slices):
  length = np.random.default_rng(0).integers(0, LENGTH + 1, 8)
  mask = jnp.arange(LENGTH) < length[:, None]
  place = ragged.order(mask, slices)
  assert sorted(place.tolist()) == [*range(8)]
  dealt = Pieces(slices)
  cut = np.asarray(dealt.cut(ragged.lengths(mask)[place]))
  assert cut.ravel().tolist() == sorted(length, reverse=True)
  np.testing.assert_array_equal(dealt.join(dealt.cut(place)), place)


def test_packs_of_siblings_stay_together_in_the_order_of_their_longest():
  mask = jnp.arange(LENGTH) < jnp.array([1, 2, 9, 0, 3, 3, 12, 1])[:, None]
  place = ragged.order(mask, 2, 2)
  dealt = Pieces(slices=2, siblings=2).cut(place)
  assert dealt.tolist() == [[6, 7, 2, 3], [4, 5, 0, 1]]


def test_the_length_of_a_row_with_holes_ends_at_its_last_counted_token():
  mask = jnp.array([[0, 1, 0, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], bool)
  assert ragged.lengths(mask).tolist() == [4, 0, 5]


def stepped(chain, widths, rescore, **where):
  """The metrics and weights after a step of ragged responses."""
  p = runs.programs(
    *chain,
    length=LENGTH,
    slices=SLICES,
    widths=widths,
    rescore=rescore,
    vocabulary=5,  # Responses end early, at many lengths.
    **where,
  )
  state, ref = runs.start(p)
  state, lines = runs.step(p, state, ref)
  return lines, jax.device_get(state.params)


@pytest.mark.parametrize(
  "chain, rescore, where",
  [
    pytest.param(
      ("grpo", "kl_penalty", "siren"), False, {}, marks=pytest.mark.long
    ),
    pytest.param(("grpo", "lp_reg"), True, {}, marks=pytest.mark.long),
    pytest.param(
      *(("grpo", "steer"), True, dict(devices=2, shape=dict(data=2))),
      marks=pytest.mark.long,
    ),
  ],
  ids=["sampler", "rescored", "devices"],
)
def test_no_metric_and_no_weight_depends_on_the_widths(chain, rescore, where):
  want, weights = stepped(chain, 1, rescore, **where)
  got, changed = stepped(chain, 3, rescore, **where)
  lengths = want[0]["rollout/length_min"], want[0]["rollout/length_max"]
  assert lengths[0] < LENGTH / 3 < lengths[1]
  for a, b in zip(want, got):
    assert a.keys() == b.keys()
    for name in a:
      np.testing.assert_allclose(
        b[name], a[name], rtol=1e-4, atol=1e-5, err_msg=name
      )
  for a, b in zip(jax.tree.leaves(weights), jax.tree.leaves(changed)):
    np.testing.assert_allclose(b, a, rtol=0, atol=1e-5)


def test_a_slice_runs_at_the_least_width_that_its_rows_fit_in():
  p = runs.programs("grpo", length=LENGTH)
  batch = runs.sample(p, *runs.start(p))
  for longest, width in [(0, 4), (4, 4), (5, 8), (8, 8), (9, 12), (12, 12)]:
    rows = batch.replace(mask=jnp.arange(LENGTH) < jnp.full((32, 1), longest))
    seen = lambda rows, _: jnp.int32(rows.mask.shape[1])
    assert ragged.at_width(seen, rows, (), 3) == width


def test_widths_without_slices_are_refused():
  told = runs.message(runs.config(train__widths=2))
  assert "config.train.widths = 2, but a single slice" in told
