"""Which tokens the 80/20 rule keeps, and what they weigh."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden_adapters import common
from golden_adapters.clip_cov import edited
from rlvr_jax.methods.forking_tokens import forking_tokens

pytestmark = pytest.mark.usefixtures("quick_compile")

ENTROPY = np.float32(
  [[0.1, 2.0, 0.0, 0.3], [1.5, 0.2, 0.7, 9.0], [0.4, 0.6, 9.0, 9.0]]
)
MASK = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0]])
OLD = np.full(MASK.shape, -1.0, np.float32)
LOGP = np.float32(OLD + [[0.1], [-0.1], [0.05]])
ADVANTAGES = np.float32(np.broadcast_to([[1.0], [-2.0], [0.5]], MASK.shape))
ROLLOUT = common.batch(OLD, ADVANTAGES, MASK)


def kept(entropy=ENTROPY, mask=MASK, **parameters):
  method = forking_tokens(denominator="all", **parameters)
  rollout = common.batch(OLD, ADVANTAGES, mask)
  stats = {method.needs[0].key: entropy}
  return np.asarray(edited(method, rollout, LOGP, stats=stats).weights)


def run(method):
  stats = {need.key: ENTROPY for need in method.needs}
  return common.loss_and_grad(method, ROLLOUT, LOGP, stats=stats)


def test_the_share_of_highest_entropy_is_kept():
  # Of 9 counted tokens 3, and entropies of padding are none.
  want = [[0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]
  np.testing.assert_array_equal(kept(fraction=0.3), want)
  want = [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
  np.testing.assert_array_equal(kept(fraction=0.3, rounding="floor"), want)
  assert kept(fraction=0.01).sum() == 1


@given(
  st.lists(st.integers(0, 500), min_size=12, max_size=12, unique=True),
  st.integers(1, 9),
)
def test_no_token_left_out_is_more_uncertain_than_one_kept(entropy, ninths):
  entropy = np.float32(entropy).reshape(MASK.shape) / 100
  found = kept(entropy, fraction=ninths / 9)
  assert found.sum() == ninths and not found[MASK == 0].any()
  out = entropy[(found == 0) & (MASK == 1)]
  assert out.size == 0 or entropy[found == 1].min() > out.max()
  # Only the order of the entropies counts.
  again = kept(np.exp(entropy), fraction=ninths / 9)
  np.testing.assert_array_equal(again, found)


def test_the_denominator_sets_the_scale_of_loss_and_gradient():
  _, _, metrics = run(forking_tokens(0.3))
  selected, all_tokens = (
    run(forking_tokens(0.3, denominator=d))[:2] for d in ("selected", "all")
  )
  for one, other in zip(selected, all_tokens):
    np.testing.assert_allclose(one, np.multiply(other, 9 / 3), rtol=1e-6)
  zero = np.asarray(selected[1]) == 0
  np.testing.assert_array_equal(zero, kept(fraction=0.3) == 0)
  np.testing.assert_allclose(
    metrics["forking_tokens/selected_fraction"], 3 / 9, rtol=1e-6
  )
  threshold = metrics["forking_tokens/threshold_nats"]
  assert threshold == np.float32(0.7)


def test_bottom_keeps_what_the_rest_of_the_share_leaves():
  top = kept(fraction=1 / 3)
  bottom = kept(fraction=2 / 3, bottom=True)
  np.testing.assert_array_equal(top + bottom, MASK)
  quantile = {"selection": "quantile"}
  top = kept(fraction=0.3, **quantile)
  bottom = kept(fraction=0.7, bottom=True, **quantile)
  np.testing.assert_array_equal(top + bottom, MASK)


def test_each_row_by_itself_keeps_the_same_share_of_every_row():
  found = kept(fraction=0.5, population="row")
  want = [[0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 0]]
  np.testing.assert_array_equal(found, want)


def test_blocks_of_rows_are_ranked_apart():
  found = kept(fraction=0.25, scope_rows=2)
  want = [[0, 1, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]]
  np.testing.assert_array_equal(found, want)


def test_ties_at_the_quantile_are_all_kept_or_all_dropped():
  tied = np.where(ENTROPY > 0.5, 1.0, 0.0)
  quantile = {"entropy": tied, "fraction": 0.2, "selection": "quantile"}
  np.testing.assert_array_equal(kept(**quantile), MASK * tied)
  assert not kept(**quantile, strict=True).any()
  # Of equal entropies K go first in reading order.
  np.testing.assert_array_equal(
    kept(tied, fraction=0.2), [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
  )


def test_without_counted_tokens_nothing_is_kept_and_nothing_lost():
  nothing = np.zeros_like(MASK)
  for selection in ("top_k", "quantile"):
    assert not kept(mask=nothing, selection=selection).any()
  method = forking_tokens()
  loss, gradient, _ = common.loss_and_grad(
    method,
    common.batch(OLD, ADVANTAGES, nothing),
    LOGP,
    stats={method.needs[0].key: ENTROPY},
  )
  assert loss == 0 and not np.asarray(gradient).any()


def test_the_old_entropy_is_that_of_the_rollout():
  method = forking_tokens(0.3, denominator="all", entropy="old")
  (need,) = method.needs
  assert need.when == "rollout"
  rollout = ROLLOUT.replace(stats={need.key: ENTROPY})
  found = edited(method, rollout, LOGP).weights
  np.testing.assert_array_equal(found, kept(fraction=0.3))


@pytest.mark.parametrize(
  "wrong",
  [
    {"fraction": 0.0},
    {"fraction": 1.5},
    {"denominator": "kept"},
    {"selection": "best"},
    {"population": "group"},
    {"rounding": "half"},
    {"entropy": "new"},
    {"scope_rows": 0},
  ],
)
def test_a_parameter_out_of_range_is_named(wrong):
  ((name, value),) = wrong.items()
  told = rf"forking_tokens\.{name} = {value!r} must"
  with pytest.raises(ValueError, match=told):
    forking_tokens(**wrong)
