"""Entropy-SFT: which tokens are learnt, and by what loss."""

import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax import transform
from rlvr_jax.methods.entropy_sft import ENTROPY, entropy_sft
from rlvr_jax.methods.reinforce import reinforce

pytestmark = pytest.mark.usefixtures("quick_compile")

LOGP = np.float32([[-0.1, -2.0, -1.0], [-0.5, -0.2, -4.0]])
NATS = np.float32([[0.2, 1.5, 0.1], [0.9, 0.3, 1.6]])
MASK = np.array([[1, 1, 1], [1, 1, 0]])


def run(method, advantages=1.0, mask=MASK, old=0.0):
  shape = np.ones(LOGP.shape)
  rollout = common.batch(old * shape, advantages * shape, mask)
  now = {ENTROPY.key: NATS}
  return common.loss_and_grad(method, rollout, LOGP, stats=now)


def kept(method, **given):
  return np.asarray(run(method, **given)[1]) != 0


def test_the_whole_share_is_cross_entropy():
  loss, gradient, _ = run(entropy_sft(fraction=1.0))
  want, slope, _ = run(reinforce())
  np.testing.assert_allclose(loss, -LOGP[MASK > 0].mean(), rtol=1e-6)
  np.testing.assert_array_equal(loss, want)
  np.testing.assert_array_equal(gradient, slope)


def test_without_entropy_the_hardest_tokens_are_learnt():
  want = [[False, True, True], [False, False, False]]
  np.testing.assert_array_equal(kept(entropy_sft(0.4, 0.0)), want)


def test_what_is_rightly_unsure_is_left_out_first():
  # CE - H: -0.1, 0.5, 0.9, -0.4, -0.1
  want = [[False, True, True], [False, False, False]]
  np.testing.assert_array_equal(kept(entropy_sft(0.4, 1.0)), want)
  # CE - 2 H: -0.3, -1.0, 0.8, -1.3, -0.4
  want = [[True, False, True], [False, False, False]]
  np.testing.assert_array_equal(kept(entropy_sft(0.4, 2.0)), want)


def test_the_loss_is_a_mean_over_the_tokens_that_are_kept():
  loss, gradient, metrics = run(entropy_sft(0.4, 2.0))
  np.testing.assert_allclose(loss, (0.1 + 1.0) / 2, rtol=1e-6)
  np.testing.assert_allclose(gradient[0], [-0.5, 0, -0.5], rtol=1e-6)
  found = {k: v for k, v in metrics.items() if k.startswith("entropy_sft/")}
  want = {
    "entropy_sft/kept_fraction": 2 / 5,
    "entropy_sft/cross_entropy": 3.8 / 5,
    "entropy_sft/entropy": 3.0 / 5,
    "entropy_sft/kept_entropy": 0.3 / 2,
  }
  assert found.keys() == want.keys()
  for name, value in want.items():
    np.testing.assert_allclose(found[name], value, rtol=1e-6, err_msg=name)


def test_at_least_one_token_is_kept():
  assert kept(entropy_sft(0.05)).sum() == 1


def test_a_part_of_a_step_is_divided_by_the_tokens_of_the_step():
  loss, _, _ = run(entropy_sft(0.4, 2.0, num_items=50))
  np.testing.assert_allclose(loss, (0.1 + 1.0) / 20, rtol=1e-6)


def test_blocks_of_rows_choose_for_themselves():
  want = [[False, False, True], [False, True, False]]
  found = kept(entropy_sft(0.4, 1.0, scope_rows=1))
  np.testing.assert_array_equal(found, want)


def test_of_a_rollout_only_what_has_an_advantage_is_chosen_from():
  right = np.array([[0.0], [1.0]])
  want = [[False] * 3, [False, True, False]]
  found = kept(entropy_sft(0.5, 1.0), advantages=right)
  np.testing.assert_array_equal(found, want)
  assert not kept(entropy_sft(), advantages=0.0).any()


def test_the_loss_does_not_know_what_was_sampled_with():
  first, second = run(entropy_sft()), run(entropy_sft(), old=-3.0)
  np.testing.assert_allclose(first[0], second[0], rtol=1e-6)
  np.testing.assert_allclose(first[1], second[1], rtol=1e-6)


def test_weights_of_another_method_multiply_the_loss():
  double = transform.reweight("double", lambda o, c: 2.0)
  loss = run(transform.chain(entropy_sft(), double))[0]
  np.testing.assert_allclose(loss, 2 * run(entropy_sft())[0], rtol=1e-6)


@pytest.mark.parametrize(
  "wrong",
  [
    {"fraction": 0.0},
    {"fraction": 1.5},
    {"coef": -1.0},
    {"num_items": 1},
    {"scope_rows": 0},
  ],
)
def test_a_parameter_out_of_range_is_named(wrong):
  (name,) = wrong
  with pytest.raises(ValueError, match=rf"entropy_sft\.{name} = .* must"):
    entropy_sft(**wrong)
