"""The slow copy of the policy: how far it lags, and the penalty towards it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import runs
from rlvr_jax import methods, testing
from rlvr_jax.methods.kl_penalty import REF_LOGP
from rlvr_jax.sampling import sampler
from rlvr_jax.training.programs import Programs
from rlvr_jax.transform import chain

pytestmark = pytest.mark.usefixtures("quick_compile")

UPDATES = 4
NAMES = "prompts", "per_prompt", "length"
SGD = optax.sgd(0.5)


def programs(anchor, tx=SGD, **changes):
  """RLOO with a penalty on the distance to an anchor."""
  p = runs.programs("rloo", updates=UPDATES, **changes)
  penalty = methods.make("kl_penalty", coef=0.5, anchor=anchor)
  method = chain(*p.method.parts, penalty)
  return Programs(p.model, method, tx, p.settings, p.mesh)


def begin(p):
  """A state whose reference is the policy that training begins with."""
  state, _ = runs.start(p)
  return state, jax.tree.map(jnp.copy, state.params)


@pytest.fixture(scope="module")
def rollout():
  """Made-up tokens with the log-probs of that policy, half of them right."""
  p = programs("ref")
  state, ref = begin(p)
  sizes = p.settings.prompts, p.settings.main.per_prompt, p.settings.length
  batch = testing.tiny(None, **dict(zip(NAMES, sizes)), vocabulary=14).batch
  needs = sampler.OLD_LOGP, REF_LOGP
  score = jax.jit(lambda state, ref: p.scored(needs, state, ref, batch))
  found = score(state, ref)
  batch = batch.replace(
    old_logp=found[sampler.OLD_LOGP.key],
    advantages=(2 * batch.reward - 1)[:, None] * batch.mask,
    stats={REF_LOGP.key: found[REF_LOGP.key]},
  )
  return jax.device_get(batch)


def updated(p, batch, state=None, first=0):
  """Weights and slow copy after each update, and the divergences it saw."""
  start, ref = begin(p)
  state, seen, kl = state or start, [], []
  for index in range(first, UPDATES):
    state, metrics = p.update(state, ref, batch, index)
    seen.append(jax.device_get((state.params, state.ema)))
    kl.append(float(metrics["kl_penalty/kl"]))
  return seen, kl


def close(got, want, rtol=1e-5):
  for g, w in zip(jax.tree.leaves(got), jax.tree.leaves(want)):
    np.testing.assert_allclose(g, w, rtol=rtol, atol=1e-7)


@pytest.mark.long
def test_a_slow_copy_that_never_moves_is_the_frozen_reference(rollout):
  frozen, kl = updated(programs("ref"), rollout)
  slow, also = updated(programs("ema", ema_decay=1.0), rollout)
  np.testing.assert_allclose(also, kl, rtol=1e-4, atol=1e-7)
  assert kl[0] < 1e-7 and min(kl[1:]) > 1e-5
  close(slow[-1][0], frozen[-1][0])


def test_a_slow_copy_that_keeps_nothing_is_the_policy_of_the_last_update(
  rollout,
):
  seen, kl = updated(programs("ema", ema_decay=0.0), rollout)
  assert max(kl) < 1e-7
  for params, slow in seen:
    jax.tree.map(np.testing.assert_array_equal, slow, params)
  # It is the penalty that is nothing, not the step.
  first, last = jax.tree.leaves(seen[0][0])[0], jax.tree.leaves(seen[-1][0])[0]
  assert (first != last).any()


@pytest.fixture(scope="module")
def resting():
  """Weights stand still, and every second update halves the gap to them."""
  return programs("ema", optax.sgd(0.0), ema_decay=0.5, ema_every=2)


def gaps(p, rollout, refused=0):
  """How far the slow copy is after each update, of 1 at the beginning.

  The first updates of the step are refused.
  """
  state, _ = begin(p)
  guard = state.guard._replace(refused=state.guard.refused + refused)
  apart = jax.tree.map(lambda x: x + 1.0, state.ema)
  state = state.replace(ema=apart, guard=guard)
  seen, _ = updated(p, rollout, state, refused)
  distance = lambda x, s: np.asarray(s - x, np.float64).mean()
  return [
    np.mean(jax.tree.leaves(jax.tree.map(distance, *pair))) for pair in seen
  ]


def test_the_gap_to_weights_at_rest_shrinks_by_the_decay_at_every_move(
  resting, rollout
):
  np.testing.assert_allclose(
    gaps(resting, rollout), [1.0, 0.5, 0.5, 0.25], rtol=1e-5
  )


def test_refused_updates_are_none_that_the_slow_copy_waits_for(
  resting, rollout
):
  np.testing.assert_allclose(
    gaps(resting, rollout, refused=1), [1.0, 0.5, 0.5], rtol=1e-5
  )


@pytest.mark.long
def test_slices_and_devices_change_no_update_towards_the_slow_copy(rollout):
  whole, kl = updated(programs("ema"), rollout)
  split = dict(slices=2, devices=2, shape=dict(data=2))
  parts, also = updated(programs("ema", **split), rollout)
  np.testing.assert_allclose(also, kl, rtol=1e-4, atol=1e-7)
  close(parts[-1], whole[-1])
