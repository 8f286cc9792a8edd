"""Mirror descent on logits, exactly, and its flow in closed form."""

import numpy as np
import pytest

from rlvr_jax.analysis import mirror_descent as md

VALUES = np.array([1.0, 0.5, -0.3])
TAU = 0.4


def entropy(logits):
  p = md.policy(logits)
  return -(p * np.log(p)).sum()


def integrate(power, time, initial, steps=20000):
  """Many small exact steps, each with the strength in its middle."""
  z, eta = np.zeros(3), time / steps
  for k in range(steps):
    tau = md.annealed((k + 0.5) * eta, initial, power=power)
    z = md.mirror_step(z, VALUES, eta, tau)
  return z


def test_the_schedule_has_its_known_values():
  found = md.annealed(np.array([0, 100, 300]), 1e-3, period=100)
  np.testing.assert_allclose(found, [1e-3, 5e-4, 2.5e-4])
  found = md.annealed(np.array([0, 300]), 1e-3, period=100, power=0.5)
  np.testing.assert_allclose(found, [1e-3, 5e-4])
  assert md.annealed(1e9, 1e-3, least=1e-4) == 1e-4


@pytest.mark.parametrize("power", [0, 0.5, 1])
@pytest.mark.parametrize("initial", [0.4, 1.0])
def test_the_flow_is_the_limit_of_small_steps(power, initial):
  want = integrate(power, 3.0, initial)
  found = md.flow(VALUES, 3.0, initial, power)
  # 20000 steps leave 2e-5.
  np.testing.assert_allclose(found, want, rtol=1e-4)


def test_the_constant_flow_tends_to_the_regularised_optimum():
  found = md.flow(VALUES, 2.0, TAU, 0)
  np.testing.assert_allclose(found, VALUES / TAU * (1 - np.exp(-TAU * 2.0)))
  limit = md.policy(md.flow(VALUES, 1e3, TAU, 0))
  np.testing.assert_allclose(limit, md.policy(VALUES / TAU))


def test_the_annealed_flow_has_its_known_values():
  found = md.flow(VALUES, 5.0, 1.0, 1)
  want = [2.9166667, 1.4583333, -0.875]  # Q (s + s^2 / 2) / (1 + s)
  np.testing.assert_allclose(found, want, rtol=1e-7)


def test_a_constant_strength_leaves_a_gap_and_a_falling_one_does_not():
  gap = lambda time, power: md.value_gap(
    md.flow(VALUES, time, TAU, power), VALUES
  )
  assert 0.05 < gap(1e4, 0) <= TAU * np.log(3)
  assert gap(1e4, 0) == pytest.approx(gap(1e2, 0))
  assert gap(1e4, 1) < 1e-12 and gap(1e4, 0.5) < 1e-12


def test_the_entropy_of_the_annealed_policy_falls_to_zero():
  found = [entropy(md.flow(VALUES, s, 1.0, 1)) for s in (1, 10, 100, 1000)]
  assert found == sorted(found, reverse=True)
  assert found[-1] < 1e-3 < found[0]


def test_a_full_step_has_no_memory_and_one_without_strength_no_reference():
  reference = np.array([0.2, -0.1, 0.5])
  one = md.mirror_step(np.array([5.0, -3, 0]), VALUES, 2.0, 0.5, reference)
  np.testing.assert_allclose(one, reference + 2 * VALUES)
  old = np.array([5.0, -3, 0])
  found = md.mirror_step(old, VALUES, 2.0, 0.0, reference)
  np.testing.assert_allclose(found, old + 2 * VALUES)


def test_a_step_maximises_the_proximal_objective():
  dice = np.random.default_rng(0)
  old, reference = dice.normal(size=(2, 3))
  how = (VALUES, 0.8, 0.5, reference)
  new = md.mirror_step(old, *how)
  best = md.proximal(new, old, *how)
  assert best > md.proximal(old, old, *how)
  for _ in range(50):
    other = new + 0.1 * dice.normal(size=3)
    assert md.proximal(other, old, *how) <= best


def test_in_the_target_of_a_token_only_the_sampled_one_gains():
  old, reference = np.array([1.0, 0.0, -1.0]), np.zeros(3)
  values = np.array([0.0, 2.0, 0.0])  # the advantage at token 1
  found = md.mirror_step(old, values, 0.5, 0.2, reference)
  np.testing.assert_allclose(found, [0.9, 1.0, -0.9])


def test_numbers_out_of_range_are_named():
  with pytest.raises(ValueError, match="`step_size` = 2.0"):
    md.mirror_step(VALUES, VALUES, 2.0, 1.0)
  with pytest.raises(ValueError, match="`power` = 2"):
    md.flow(VALUES, 1.0, 1.0, 2)
  with pytest.raises(ValueError, match="`time` = -1"):
    md.flow(VALUES, -1.0, 1.0, 1)
