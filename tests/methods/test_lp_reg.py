"""What the proxy keeps, which tokens it pulls, and how strongly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from golden_adapters import common
from golden_adapters.clip_cov import edited
from golden_adapters.siren import of_logits
from rlvr_jax.methods.lp_reg import lp_reg
from rlvr_jax.stats import ProxyKL, ProxyLogp
from rlvr_jax.types import Need

pytestmark = pytest.mark.usefixtures("quick_compile")

P = np.float32([[0.9, 0.09, 0.01]])
LOGITS = np.log(np.repeat(P, 3, axis=0))  # one row per sampled token

# Ten tokens of negative advantage, then two of positive advantage.
LOGP = -np.float32([[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]])
ADVANTAGES = np.float32([[-1] * 10 + [1] * 2])
MASK = np.ones((1, 12))


def proxy(**parameters):
  need = Need(ProxyLogp(**parameters))
  return of_logits((need,), LOGITS, np.arange(3))[need.key]


def run(method, target, logp=LOGP, old=LOGP, advantages=ADVANTAGES):
  """Loss, gradient and metrics, the proxy's log-probs given."""
  stats = {method.needs[0].key: np.float32(target)}
  rollout = common.batch(old, advantages, MASK, stats=stats)
  return common.loss_and_grad(method, rollout, logp)


def pulled(target=LOGP + 0.5, **parameters):
  """Number of the tokens pulled, from 1."""
  method = lp_reg(**parameters)
  stats = {method.needs[0].key: np.float32(target)}
  rollout = common.batch(LOGP, ADVANTAGES, MASK, stats=stats)
  added = np.asarray(edited(method, rollout, LOGP).added)[0]
  return [int(i) + 1 for i in np.flatnonzero(added)]


def test_the_proxy_renormalises_what_is_left():
  found = np.exp(proxy(min_p=0.02))
  # 0.01 < 0.02 * 0.9, so that 0.99 of the mass is kept.
  np.testing.assert_allclose(found, [0.9 / 0.99, 0.09 / 0.99, 0.0], rtol=1e-5)
  np.testing.assert_allclose(np.exp(proxy(min_p=1.0)), [1, 0, 0])
  found = np.exp(proxy(min_p=0.095, filter="fixed"))
  np.testing.assert_allclose(found, [1, 0, 0])
  found = np.exp(proxy(min_p=0.2, soft=True))  # 0.09 becomes as rare as 0.01
  want = [0.9 / 0.92, 0.01 / 0.92, 0.01 / 0.92]
  np.testing.assert_allclose(found, want, rtol=1e-5)


def test_the_divergence_over_the_vocabulary_is_that_of_the_kept_mass():
  need = Need(ProxyKL(ProxyLogp(0.02)))
  fn = lambda z: of_logits((need,), z, np.arange(3))[need.key].sum()
  value, gradient = jax.jit(jax.value_and_grad(fn))(jnp.asarray(LOGITS))
  # q = p / 0.99 where kept, so KL(q || p) = -log 0.99, and its slope is p - q.
  np.testing.assert_allclose(value, -3 * np.log(0.99), rtol=1e-4)
  q = np.float32([0.9, 0.09, 0.0]) / 0.99
  np.testing.assert_allclose(gradient, np.repeat(P - q, 3, 0), atol=1e-6)


def test_the_least_likely_of_the_punished_tokens_are_pulled():
  assert pulled(negative_share=0.3) == [8, 9, 10]
  assert pulled(negative_share=0.1) == []  # the code takes no single token
  assert pulled(negative_share=0.2, positive_share=1.0) == [9, 10, 11, 12]
  # The median of all twelve is -6.5.
  assert pulled(negative_share=0.5, population="all") == [7, 8, 9, 10]


def test_tokens_that_the_proxy_removed_or_left_alone_are_not_pulled():
  target = LOGP + 0.5
  target[0, 8] = -1e4  # removed
  target[0, 9] = LOGP[0, 9]  # nothing was removed at this position
  assert pulled(target, negative_share=0.3) == [8]
  metrics = run(lp_reg(), target)[2]
  np.testing.assert_allclose(metrics["lp_reg/kept_fraction"], 11 / 12)
  assert "lp_reg/kept_fraction" not in run(lp_reg(soft=True), target)[2]


def test_a_pulled_token_has_the_unclipped_gradient_and_that_of_k3():
  now = LOGP - 0.4
  _, plain, _ = run(lp_reg(negative_share=0.0), now + 0.5, logp=now)
  _, gradient, metrics = run(
    lp_reg(negative_share=0.3, coef=2.0), now + 0.5, logp=now
  )
  same = np.r_[0:7, 10:12]
  np.testing.assert_array_equal(gradient[0, same], plain[0, same])
  np.testing.assert_array_equal(plain[0, 7:10], 0)  # below the lower bound
  want = (np.exp(-0.4) + 2 * (1 - np.exp(0.5))) / 12
  np.testing.assert_allclose(gradient[0, 7:10], want, rtol=1e-5)
  divergence = np.exp(0.5) - 1.5
  np.testing.assert_allclose(
    metrics["lp_reg/divergence_nats"], divergence, rtol=1e-5
  )
  np.testing.assert_allclose(metrics["lp_reg/selected_fraction"], 3 / 12)


@pytest.mark.parametrize(
  ("kl_type", "want"), [("kl", -0.5), ("abs", 0.5), ("mse", 0.125)]
)
def test_the_other_divergences_have_their_closed_forms(kl_type, want):
  method = lp_reg(negative_share=0.3, kl_type=kl_type)
  metrics = run(method, LOGP + 0.5)[2]
  found = metrics["lp_reg/divergence_nats"]
  np.testing.assert_allclose(found, want, rtol=1e-6)


def test_a_divergence_beyond_its_bound_pulls_no_more():
  low = np.full_like(LOGP, -1e3)
  method = lp_reg(negative_share=0.3)
  _, gradient, metrics = run(method, low + 999, logp=low, old=low)
  assert metrics["lp_reg/divergence_nats"] == 10.0
  # The advantage alone, at ratio 1.
  np.testing.assert_allclose(gradient, -ADVANTAGES / 12, rtol=1e-6)


def test_the_full_divergence_needs_a_proxy_whose_distribution_is_known():
  with pytest.raises(ValueError, match="lp_reg.kl_type = 'full' must"):
    lp_reg(kl_type="full")
  for proxy_of, pair in (("current", ("policy",)), ("ref", ("ref", "policy"))):
    needs = lp_reg(kl_type="full", proxy=proxy_of).needs
    assert needs[1].params == pair


@pytest.mark.parametrize(
  "wrong",
  [
    {"coef": -1.0},
    {"min_p": 2.0},
    {"negative_share": 1.5},
    {"positive_share": -0.5},
    {"filter": "none"},
    {"kl_type": "k9"},
    {"proxy": "ema"},
    {"population": "positive"},
    {"scope_rows": 0},
  ],
)
def test_a_parameter_out_of_range_is_named(wrong):
  ((name, value),) = wrong.items()
  with pytest.raises(ValueError, match=rf"lp_reg\.{name} = {value!r} must"):
    lp_reg(**wrong)
