"""The loss of open-set adaptation, and what its selection is for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlvr_jax.analysis import open_set

pytestmark = pytest.mark.usefixtures("quick_compile")


def logits(rows=6, classes=4, seed=0):
  draw = np.random.default_rng(seed).normal(size=(rows, classes))
  return jnp.asarray(draw, jnp.float32)


def test_the_unchanged_model_keeps_everything_and_its_loss_is_tent():
  z = logits()
  assert open_set.confidence(z, z).kept.all()
  np.testing.assert_allclose(
    open_set.open_set_loss(z, z, 0.0), open_set.tent_loss(z), rtol=1e-6
  )


@pytest.mark.parametrize(("tau", "kept"), [(2.0, True), (0.5, False)])
def test_sharper_predictions_keep_all_and_flatter_ones_none(tau, kept):
  z = logits()
  assert (open_set.confidence(tau * z, z).kept == kept).all()


def test_a_constant_added_to_the_logits_changes_nothing():
  now, before = logits(seed=1), logits()
  shift = jnp.arange(6.0)[:, None]
  np.testing.assert_allclose(
    open_set.open_set_loss(now + shift, before + 3),
    open_set.open_set_loss(now, before),
    rtol=1e-5,
  )


def test_dropped_samples_have_no_slope_but_through_the_mean_prediction():
  now, before = 2 * logits() + logits(seed=1), logits()
  kept = open_set.confidence(now, before).kept
  assert kept.any() and not kept.all()
  slope = jax.grad(open_set.open_set_loss)(now, before, 0.0)
  np.testing.assert_array_equal((slope != 0).any(axis=1), kept)


def test_if_nothing_is_kept_the_mean_prediction_alone_is_left():
  z = logits()
  loss = open_set.open_set_loss(0.5 * z, z, 0.25)
  want = -0.25 * open_set.marginal_entropy(0.5 * z)
  np.testing.assert_allclose(loss, want, rtol=1e-6)
