"""The guard refuses what would do harm, and nothing else."""

import jax.numpy as jnp
import numpy as np
import pytest

import runs
from rlvr_jax.training import build, guard


def test_a_spike_is_refused_only_once_the_guard_knows_what_is_usual():
  state = guard.init(8)
  usual = [1.0, 1.1, 0.9, 1.0]
  for norm in usual:
    spike = guard.accepts(state, 0.0, jnp.float32(1e4), 6.0)
    assert spike == (int(state.remembered) < 4)
    state = guard.advance(state, jnp.bool(True), jnp.float32(norm))
  assert not guard.accepts(state, 0.0, jnp.float32(1e4), 6.0)
  assert guard.accepts(state, 0.0, jnp.float32(1.2), 6.0)
  refused = guard.advance(state, jnp.bool(False), jnp.float32(1e4))
  np.testing.assert_array_equal(refused.norms, state.norms)


def test_what_is_a_few_times_the_usual_is_no_spike():
  # The variance is 0: any norm above the mean is sigmas away.
  state = guard.init(8)
  for _ in range(8):
    state = guard.advance(state, jnp.bool(True), jnp.float32(0.4))
  assert guard.accepts(state, 0.0, jnp.float32(3.9), 6.0)
  assert not guard.accepts(state, 0.0, jnp.float32(4.1), 6.0)


def test_quiet_updates_do_not_make_the_next_real_one_a_spike():
  state = guard.init(8)
  for norm in [0.0] * 20 + [1e-3] + [0.0] * 20:
    assert guard.accepts(state, 0.0, jnp.float32(norm), 6.0)
    state = guard.advance(state, jnp.bool(True), jnp.float32(norm))
  assert guard.accepts(state, 0.0, jnp.float32(1.0), 6.0)


def test_what_clipping_lets_pass_is_no_spike_however_quiet_it_was():
  state = guard.init(8)
  for _ in range(8):
    state = guard.advance(state, jnp.bool(True), jnp.float32(2e-3))
  norm = jnp.float32(0.9)
  assert not guard.accepts(state, 0.0, norm, 6.0)
  assert guard.accepts(state, 0.0, norm, 6.0, harmless=1.0)
  assert not guard.accepts(state, 0.0, 2 * norm, 6.0, harmless=1.0)


@pytest.mark.parametrize("norm, harmless", [(2.0, 2.0), (np.inf, 0.0)])
def test_a_run_takes_for_harmless_what_its_clipping_lets_pass(norm, harmless):
  c = runs.config(optimizer__max_gradient_norm=norm, guard__sigmas=7.0)
  assert build.spikes(c) == (7.0, harmless)


def test_quiet_updates_do_not_hide_that_all_others_are_refused():
  state = guard.init(8)
  for ok, norm in [(False, 9.0), (True, 0.0), (False, 9.0)]:
    state = guard.advance(state, jnp.bool(ok), jnp.float32(norm))
  assert int(state.consecutive) == 2


@pytest.mark.parametrize("loss", [np.nan, np.inf, -np.inf])
def test_a_loss_that_is_not_finite_is_refused_at_once(loss):
  assert not guard.accepts(guard.init(8), jnp.float32(loss), 1.0, 6.0)
