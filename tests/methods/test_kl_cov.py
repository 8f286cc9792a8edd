"""KL-Cov: where the penalty acts and what it does there."""

import functools

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rlvr_jax
from golden_adapters import common
from rlvr_jax import objective
from rlvr_jax.methods import make
from rlvr_jax.methods.kl_cov import PENALTIES, kl_cov
from rlvr_jax.types import LOGP_KEY, Context

pytestmark = pytest.mark.usefixtures("quick_compile")

ROWS, LENGTH = 4, 5


def arrays(seed=0):
  dice = np.random.default_rng(seed)
  old = -dice.exponential(size=(ROWS, LENGTH)).astype(np.float32)
  logp = np.float32(old + 0.3 * dice.normal(size=old.shape))
  advantages = np.float32(dice.normal(size=(ROWS, 1)) + np.zeros(old.shape))
  lengths = dice.integers(1, LENGTH + 1, (ROWS, 1))
  return old, logp, advantages, np.arange(LENGTH) < lengths


@functools.partial(jax.jit, static_argnames=("fraction", "rows"))
def selected(logp, advantages, mask, fraction=0.3, rows=None):
  """Tokens with a penalty: k1 at log ratio -1 adds one."""
  rollout = common.batch(logp + 1, None, np.ones(logp.shape))
  rollout = rollout.replace(mask=mask, advantages=advantages)
  now = {LOGP_KEY: logp}
  context = Context(0, 0, jax.random.key(0), rollout, now)
  method = kl_cov(fraction, penalty="k1", scope_rows=rows)
  record = objective.initial(now, rollout)
  return method.apply(record, (), context)[0].added > 0.5


@jax.jit
def plain_policy_gradient(old, logp, advantages, mask):
  loss = lambda x: -(advantages * np.e ** (x - old) * mask).sum() / mask.sum()
  return jax.value_and_grad(loss)(logp)


@given(st.floats(-8, 8), st.floats(-8, 8), st.floats(0.1, 10))
def test_the_choice_ignores_shifts_and_the_scale_of_advantages(a, b, scale):
  _, logp, advantages, mask = arrays(1)
  before = selected(logp, advantages, mask)
  moved = np.float32(logp + b), np.float32(advantages * scale + a)
  np.testing.assert_array_equal(before, selected(*moved, mask))


def test_exactly_the_fraction_of_counted_tokens_is_chosen():
  for seed in range(5):
    _, logp, advantages, mask = arrays(seed)
    choice = np.asarray(selected(logp, advantages, mask))
    assert choice.sum() == max(int(0.3 * mask.sum() + 1e-4), 1)
    assert not (choice & ~mask).any()


def test_fraction_one_penalises_every_counted_token():
  _, logp, advantages, mask = arrays(2)
  choice = selected(logp, advantages, mask, fraction=1.0)
  np.testing.assert_array_equal(choice, mask)


def test_blocks_of_rows_choose_on_their_own():
  _, logp, advantages, mask = arrays(3)
  blocks = selected(logp, advantages, mask, rows=2)
  halves = [selected(*(x[r] for x in (logp, advantages, mask)))
            for r in (slice(2), slice(2, 4))]  # fmt: skip
  np.testing.assert_array_equal(blocks, np.concatenate(halves))


@pytest.mark.parametrize("penalty", [p for p in PENALTIES if p != "k1"])
def test_on_policy_it_is_the_unclipped_policy_gradient(penalty):
  old, _, advantages, mask = arrays(4)
  method = kl_cov(0.5, penalty=penalty)
  rollout = common.batch(old, advantages, mask)
  loss, gradient, _ = common.loss_and_grad(method, rollout, old)
  expected = plain_policy_gradient(old, old, advantages, mask)
  common.assert_close("loss", loss, expected[0])
  common.assert_close("gradient", gradient, expected[1])


def test_coefficient_zero_is_the_unclipped_policy_gradient():
  old, logp, advantages, mask = arrays(5)
  # So far apart that the clip bounds of the chain would bite.
  logp = np.float32(old + 3 * (logp - old))
  rollout = common.batch(old, advantages, mask)
  loss, gradient, _ = common.loss_and_grad(kl_cov(coef=0.0), rollout, logp)
  expected = plain_policy_gradient(old, logp, advantages, mask)
  common.assert_close("loss", loss, expected[0])
  common.assert_close("gradient", gradient, expected[1])


def test_the_penalty_pulls_a_chosen_token_back_to_the_old_policy():
  # One token with A = 1 and r = e^0.5; the other balances the mean.
  old, logp = np.float32([[-2.0, -2.0]]), np.float32([[-1.5, -2.0]])
  rollout = common.batch(old, np.float32([[1.0, -1.0]]), np.ones((1, 2)))
  method = kl_cov(fraction=0.5, coef=0.7)
  _, gradient, _ = common.loss_and_grad(method, rollout, logp)
  # Two tokens in the mean: (-A r + coef) / 2 and -A r / 2 with A = -1, r = 1.
  expected = np.array([[(-np.exp(0.5) + 0.7) / 2, 0.5]])
  common.assert_close("gradient", gradient, expected)


def test_with_clip_it_stands_beside_another_owner_of_the_surrogate():
  dual = make("ppo_clip", dual=3.0)
  rlvr_jax.chain(dual, kl_cov(clip=True))
  with pytest.raises(ValueError, match="'ppo_clip' and 'kl_cov' both set"):
    rlvr_jax.chain(dual, kl_cov())


@pytest.mark.parametrize(
  "wrong",
  [
    {"fraction": 0.0},
    {"coef": -1.0},
    {"penalty": "k4"},
    {"max_log_ratio": 0.0},
    {"scope_rows": 0},
  ],
)
def test_a_parameter_out_of_range_is_named(wrong):
  (name,) = wrong
  with pytest.raises(ValueError, match=rf"kl_cov\.{name} = "):
    kl_cov(**wrong)
