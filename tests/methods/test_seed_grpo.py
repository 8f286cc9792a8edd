"""SEED-GRPO: advantages scaled by how much answers agree."""

import jax
import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax.methods.seed_grpo import seed_grpo
from rlvr_jax.notes import ANSWER

pytestmark = pytest.mark.usefixtures("quick_compile")


def prepared(method, answers, group=None, logp=None):
  """The batch after the method; advantages were 1."""
  rows = len(answers)
  old = np.zeros((rows, 2)) if logp is None else np.float32(logp)
  batch = common.batch(
    old,
    np.ones((rows, 2)),
    np.ones((rows, 2)),
    group=group,
    notes={ANSWER.key: np.array(answers)},
  )
  return jax.jit(lambda b: common.prepared(method, b))(batch)


def factors(method, *args, **kwargs):
  return np.asarray(prepared(method, *args, **kwargs).advantages)[:, 0]


def test_two_halves_of_eight_are_a_third_of_the_way():
  found = prepared(seed_grpo(), [0, 0, 0, 0, 1, 1, 1, 1])
  np.testing.assert_allclose(found.advantages, 1 - 0.5 / 3, rtol=1e-6)
  entropy = found.metrics["seed_grpo/semantic_entropy"]
  np.testing.assert_allclose(entropy, np.log(2), rtol=1e-6)
  assert found.metrics["seed_grpo/answers"] == 2


def test_one_answer_changes_nothing_and_all_different_scale_by_the_strength():
  answers, group = [5, 5, 5, 0, 1, 2, 3], [0, 0, 0, 1, 1, 1, 1]
  found = factors(seed_grpo(0.7), answers, group)
  np.testing.assert_allclose(found, [1, 1, 1, *[0.3] * 4], rtol=1e-5)


def test_a_row_without_an_answer_has_one_of_its_own():
  found = factors(seed_grpo(1.0), [-1, -1, -1, -1])
  np.testing.assert_allclose(found, 0, atol=1e-6)
  some = factors(seed_grpo(), [-1, -1, 2, 2])
  np.testing.assert_allclose(some, factors(seed_grpo(), [0, 1, 2, 2]))


def test_groups_of_different_sizes_have_ranges_of_their_own():
  # Both groups hold two answers in equal shares: SE = log 2.
  found = factors(seed_grpo(), [0, 1, 0, 0, 1, 1], [0, 0, 1, 1, 1, 1])
  np.testing.assert_allclose(found, [0.5, 0.5, *[0.75] * 4], rtol=1e-6)


def test_a_group_of_one_and_rows_without_a_group_are_left_alone():
  found = factors(seed_grpo(1.0), [0, 1], [0, 1])
  np.testing.assert_array_equal(found, 1)


@pytest.mark.parametrize(
  ("shape", "want"),
  [
    ("linear", 0.75),
    ("exponential", np.exp(-0.25)),
    ("focal", 0.75**3),
    ("reciprocal", 0.8),
  ],
)
def test_the_shapes_are_their_closed_forms(shape, want):
  # SE / log G = 1/2.
  found = factors(seed_grpo(0.5, shape, power=3.0), [0, 0, 1, 1])
  np.testing.assert_allclose(found, want, rtol=1e-6)


def test_the_mass_of_an_answer_may_be_its_probability():
  # Mean log-probs log 3 and 0, so masses 3/4 and 1/4.
  logp = [[np.log(3) + 0.5, np.log(3) - 0.5], [0.0, 0.0]]
  found = prepared(seed_grpo(mass="logprob"), [0, 1], logp=logp)
  want = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
  entropy = found.metrics["seed_grpo/semantic_entropy"]
  np.testing.assert_allclose(entropy, want, rtol=1e-5)
  np.testing.assert_allclose(
    found.advantages, 1 - 0.5 * want / np.log(2), rtol=1e-5
  )


def test_log_probs_that_are_far_apart_leave_one_answer():
  logp = [[-1e4, -1e4], [0.0, 0.0]]
  found = factors(seed_grpo(mass="logprob"), [0, 1], logp=logp)
  np.testing.assert_array_equal(found, 1)


def test_the_mean_over_answers_is_at_least_the_entropy_and_kept_in_range():
  answers = [0, 0, 0, 0, 0, 0, 1, 2]  # shares 3/4, 1/8, 1/8
  found = prepared(seed_grpo(estimator="mc"), answers)
  want = -(np.log(0.75) + 2 * np.log(0.125)) / 3
  entropy = found.metrics["seed_grpo/semantic_entropy"]
  np.testing.assert_allclose(entropy, want, rtol=1e-5)
  exact = prepared(seed_grpo(), answers).metrics["seed_grpo/semantic_entropy"]
  assert np.log(3) < entropy and exact < np.log(3)
  logp = [[0.0, 0.0], [-9.0, -9.0]]
  far = factors(seed_grpo(mass="logprob", estimator="mc"), [0, 1], logp=logp)
  np.testing.assert_allclose(far, 0.5, rtol=1e-6)  # x would be 6.5


def test_advantages_that_sum_to_zero_still_do():
  method = seed_grpo()
  batch = common.batch(
    np.zeros((3, 1)),
    [[0.5], [0.25], [-0.75]],
    np.ones((3, 1)),
    notes={ANSWER.key: np.array([0, 0, 1])},
  )
  found = jax.jit(lambda b: common.prepared(method, b))(batch).advantages
  np.testing.assert_allclose(found.sum(), 0, atol=1e-7)
  assert abs(found[0, 0]) < 0.5


@pytest.mark.parametrize(
  "wrong",
  [
    {"shape": "square"},
    {"mass": "weight"},
    {"estimator": "exact"},
    {"coef": 1.5},
    {"coef": -0.1, "shape": "reciprocal"},
    {"power": 0.0},
  ],
)
def test_a_parameter_out_of_range_is_named(wrong):
  with pytest.raises(ValueError, match=rf"seed_grpo\.{next(iter(wrong))} = "):
    seed_grpo(**wrong)
