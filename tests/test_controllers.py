"""Controllers by their closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlvr_jax import controllers


def outputs(controller, errors):
  """The outputs for a sequence of errors, and the last state."""
  state, found = controller.init(), []
  for error in errors:
    state, output = controller.update(state, jnp.float32(error))
    found.append(output)
  return np.array(found), state


def test_a_fixed_step_climbs_while_the_error_is_positive():
  climb = controllers.fixed_step(0.1, low=0.0, high=0.25)
  got, state = outputs(climb, [1, 5, 0.01, -1, -100, 0, -1])
  # Up by one step whatever the size, held at both ends; 0 falls.
  np.testing.assert_allclose(got, [0.1, 0.2, 0.25, 0.15, 0.05, 0, 0], atol=1e-7)
  assert state == got[-1]


def test_dual_ascent_integrates_the_error_inside_its_range():
  ascent = controllers.dual_ascent(0.5, low=-1.0, high=1.0, initial=0.5)
  got, _ = outputs(ascent, [0.4, 10.0, -1.0, -100.0])
  np.testing.assert_allclose(got, [0.7, 1.0, 0.5, -1.0], atol=1e-6)


def test_the_proportional_rule_has_no_memory():
  rule = controllers.proportional(2.0, low=0.0, high=3.0)
  got, state = outputs(rule, [1.0, 5.0, -1.0, 1.0])
  np.testing.assert_allclose(got, [2.0, 3.0, 0.0, 2.0])
  assert state == ()


def test_a_switch_keeps_its_position_between_its_thresholds():
  switch = controllers.switch(low=-1.0, high=1.0, initial=False)
  got, _ = outputs(switch, [0.5, 1.5, 0.0, -0.5, -1.5, 0.9])
  assert got.tolist() == [False, True, True, True, False, False]


@pytest.mark.parametrize(
  "make",
  [
    lambda low, high: controllers.fixed_step(0.1, low, high),
    lambda low, high: controllers.dual_ascent(0.1, low, high),
    lambda low, high: controllers.proportional(0.1, low, high),
  ],
)
def test_an_empty_range_is_refused_with_both_ends(make):
  with pytest.raises(ValueError, match="low = 2 must be <= high = 1"):
    make(2, 1)


@pytest.mark.parametrize(
  "controller",
  [
    controllers.fixed_step(0.1, 0.0, 1.0),
    controllers.dual_ascent(0.1, 0.0, 1.0),
    controllers.proportional(0.1, 0.0, 1.0),
    controllers.switch(-1.0, 1.0),
  ],
)
def test_the_state_keeps_its_shape_and_type_under_jit(controller):
  state = controller.init()
  after, _ = jax.jit(controller.update)(state, jnp.float32(0.3))
  spec = lambda tree: jax.tree.map(lambda x: (x.shape, x.dtype), tree)
  assert spec(after) == spec(state)
