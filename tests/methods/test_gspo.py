"""GSPO: ratios of whole responses."""

import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax import methods, transform
from rlvr_jax.methods.gspo import FORMS, gspo

pytestmark = pytest.mark.usefixtures("quick_compile")

MODE = "seq-mean-token-mean"
MASK = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]])
LENGTH = MASK.sum(axis=1, keepdims=True)
ADVANTAGES = np.array([[1.0], [-2.0], [0.5]]) * MASK
OLD = np.float32(-np.arange(1.0, 13.0).reshape(3, 4) / 10)
WIDE = {"low": 1.0, "high": float("inf")}


def run(method, d, advantages=ADVANTAGES, mode=MODE):
  rollout = common.batch(OLD, advantages, MASK)
  return common.loss_and_grad(method, rollout, OLD + np.float32(d), mode=mode)


@pytest.mark.parametrize("form", FORMS)
def test_the_loss_is_that_of_the_geometric_mean_of_the_ratios(form):
  d = 0.3 * np.random.default_rng(0).normal(size=OLD.shape)
  loss, gradient, metrics = run(gspo(**WIDE, form=form), d)
  mean = (d * MASK).sum(axis=1, keepdims=True) / LENGTH
  per_row = -(ADVANTAGES[:, :1] * np.exp(mean))
  np.testing.assert_allclose(loss, per_row.mean(), rtol=1e-5)
  want = per_row * MASK / LENGTH / 3
  np.testing.assert_allclose(gradient, want, rtol=1e-5, atol=1e-7)
  size = (np.abs(mean) * LENGTH).sum() / MASK.sum()
  found = metrics["gspo/log_ratio_abs_nats"]
  np.testing.assert_allclose(found, size, rtol=1e-5)


def test_the_forms_differ_where_the_advantage_varies_inside_a_response():
  advantages = ADVANTAGES * np.array([1.0, 0.0, 1.0, 1.0])
  d = np.zeros_like(OLD)
  _, token, _ = run(gspo(**WIDE), d, advantages)
  _, sequence, _ = run(gspo(**WIDE, form="sequence"), d, advantages)
  np.testing.assert_allclose(token, -advantages / LENGTH / 3, atol=1e-7)
  mean = advantages.sum(axis=1, keepdims=True) / LENGTH
  want = -mean * MASK / LENGTH / 3
  np.testing.assert_allclose(sequence, want, atol=1e-7)


def test_a_response_beyond_its_bound_has_no_gradient_at_all():
  # The first moves up by 5e-4 on average, the second down by 3.5e-4.
  d = np.array([[2e-3, 0, 0, 0], [-7e-4, 0, 9, 9], [0, 9, 9, 9]])
  _, gradient, metrics = run(gspo(), d)
  assert not np.asarray(gradient[:2]).any()
  np.testing.assert_allclose(gradient[2, 0], -0.5 / 3, rtol=1e-6)
  np.testing.assert_allclose(metrics["loss/clipped_fraction"], 6 / 7, rtol=1e-6)
  # The other way is back towards the policy that sampled.
  _, gradient, _ = run(gspo(), -d)
  assert (np.asarray(gradient) != 0).sum() == MASK.sum()


def test_responses_of_one_token_are_as_in_ppo():
  old = OLD[:, :1]
  advantages = np.array([[1.0], [-2.0], [0.5]])
  rollout = common.batch(old, advantages, np.ones((3, 1)))
  now = old + np.float32([[0.5], [-0.1], [-0.3]])
  ours, theirs = (
    common.loss_and_grad(method, rollout, now)
    for method in (gspo(0.2, 0.2), methods.make("ppo_clip"))
  )
  np.testing.assert_array_equal(ours[0], theirs[0])
  np.testing.assert_array_equal(ours[1], theirs[1])


def test_the_ratio_of_a_response_stops_at_ten_nats():
  d = np.zeros_like(OLD)
  d[1, :2] = 11.0
  loss, gradient, _ = run(gspo(**WIDE), d)
  want = -(1.0 - 2.0 * np.exp(10) + 0.5) / 3
  np.testing.assert_allclose(loss, want, rtol=1e-5)
  assert not np.asarray(gradient[1]).any()


def test_tokens_that_another_method_took_out_do_not_count_in_the_mean():
  keep = MASK * np.array([0, 1, 1, 1])
  out = transform.LossTransform(
    "first_out", apply=lambda o, s, c: (o.replace(mask=o.mask * keep), s)
  )
  d = np.zeros_like(OLD)
  d[:, 0] = 5.0
  _, _, metrics = run(transform.chain(out, gspo()), d)
  assert metrics["gspo/log_ratio_abs_nats"] == 0.0


@pytest.mark.parametrize("wrong", [{"low": 1.5}, {"high": -1.0}, {"form": "x"}])
def test_a_parameter_out_of_range_is_named(wrong):
  with pytest.raises(ValueError, match=rf"gspo\.{list(wrong)[0]} = "):
    gspo(**wrong)


def test_on_the_policy_that_sampled_each_token_pulls_by_its_advantage():
  _, gradient, _ = run(gspo(), 0 * OLD)
  want = -ADVANTAGES / LENGTH / 3
  np.testing.assert_allclose(gradient, want, rtol=1e-6)
