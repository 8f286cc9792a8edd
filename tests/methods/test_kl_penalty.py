"""The penalty on the divergence: its adapted coefficient."""

import jax
import numpy as np
import pytest

import rlvr_jax
from golden_adapters import common
from rlvr_jax.methods.kl_penalty import REF_LOGP, kl_penalty
from rlvr_jax.types import LOGP_KEY, Clock

pytestmark = pytest.mark.usefixtures("quick_compile")

MASK = np.array([[1, 1, 1], [1, 0, 0]])
CLOCK = Clock(0, 0, jax.random.key(0))


def rollout(kl):
  """Two responses whose mean log ratio to the reference is kl each."""
  logp = np.full(MASK.shape, -1.0)
  ref = {REF_LOGP.key: np.float32(logp - np.array([kl]).T)}
  return common.batch(logp, None, MASK, stats=ref)


def coefficients(method, divergences):
  """The coefficient of each step in whose rollout k1 is this."""
  state, found = rlvr_jax.chain(method).init(rollout([0.0, 0.0])), []
  prepare = jax.jit(rlvr_jax.prepare(method))
  for kl in divergences:
    batch, state = prepare(rollout(kl), state, CLOCK)
    found.append(float(state["kl_penalty"].applied))
  return batch, state, found


def test_the_coefficient_follows_the_divergence_one_step_late():
  method = kl_penalty(0.1, "k1", target=0.5, horizon=10.0)
  # The means are 0.55, 5 and 0.1: errors of 0.1, then clipped at +-0.2.
  steps = [(0.5, 0.6), (4.0, 6.0), (0.1, 0.1), (0.0, 0.0)]
  _, _, found = coefficients(method, steps)
  second = 0.1 * (1 + 0.1 * 2 / 10)
  third = second * (1 + 0.2 * 2 / 10)
  want = [0.1, second, third, third * (1 - 0.2 * 2 / 10)]
  np.testing.assert_allclose(found, want, rtol=1e-6)


def test_the_coefficient_in_force_is_the_weight_of_the_penalty():
  method = kl_penalty(0.1, "k1", target=0.5, horizon=10.0)
  batch, state, found = coefficients(method, [(5.0, 5.0), (0.5, 0.7)])
  np.testing.assert_allclose(batch.metrics["kl_penalty/measured"], 0.6, 1e-6)
  now = {LOGP_KEY: batch.old_logp}
  loss = rlvr_jax.loss(method)
  _, (_, metrics) = loss(now, batch, state, CLOCK)
  np.testing.assert_allclose(metrics["kl_penalty/coef"], found[1], rtol=1e-6)
  # A mean over four tokens here, over two responses there.
  mean = (3 * 0.5 + 0.7) / 4
  np.testing.assert_allclose(metrics["loss/added"], found[1] * mean, rtol=1e-6)


@pytest.mark.parametrize("wrong", [{"target": 0.0}, {"horizon": 0.0}])
def test_a_parameter_out_of_range_is_named(wrong):
  with pytest.raises(ValueError, match=rf"kl_penalty\.{list(wrong)[0]} = "):
    kl_penalty(**wrong)
