"""Refuses updates that would do harm: non-finite ones and spikes.

A refused update leaves parameters, optimizer and method state as they were,
all three together, so they never disagree about how many updates happened.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax.types import Array, PyTree

# A minibatch of few unlike rewards has a norm of a few times the usual: that is
# no harm, clipping sees to it, and it is what there is to learn from.
TIMES = 10.0


class GuardState(NamedTuple):
  """What the guard remembers."""

  norms: Array  # f32[window] last accepted gradient norms that are not 0
  remembered: Array  # i32[] norms remembered so far, forgotten ones included
  consecutive: Array  # i32[] refused in a row; gradients of 0 do not count
  refused: Array  # i32[] refused so far


def init(window: int) -> GuardState:
  """A guard that has seen nothing.

  Args:
    window: gradient norms to remember; a spike is told from the rest only
      once half of them are there.
  """
  zero = jnp.zeros((), jnp.int32)
  return GuardState(jnp.zeros(window, jnp.float32), zero, zero, zero)


def accepts(
  state: GuardState,
  loss: Array,
  norm: Array,
  sigmas: float,
  harmless: float = 0.0,
) -> Array:
  """Whether an update may be taken, bool[].

  Args:
    state: of the guard.
    loss: f32[] of the minibatch.
    norm: f32[] gradient norm before clipping.
    sigmas: see `is_spike`.
    harmless: likewise.
  """
  finite = jnp.isfinite(loss) & jnp.isfinite(norm)
  return finite & ~is_spike(state, norm, sigmas, harmless)


def is_spike(
  state: GuardState, norm: Array, sigmas: float, harmless: float = 0.0
) -> Array:
  """Whether a gradient norm is far above the usual, bool[].

  While less than half of the window is known, nothing is.

  Args:
    state: of the guard.
    norm: f32[] before clipping.
    sigmas: a norm this many standard deviations above the mean of the
      remembered ones, and at least `TIMES` the mean, is a spike, unless it is
      harmless.
    harmless: a norm up to here is none, however quiet it was before.
  """
  window = state.norms.shape[0]
  known = jnp.minimum(state.remembered, window)
  used = jnp.arange(window) < known
  usual = mean(state)
  square = jnp.where(used, (state.norms - usual) ** 2, 0.0).sum()
  std = jnp.sqrt(square / jnp.maximum(known, 1))
  most = jnp.maximum(usual + sigmas * std, TIMES * usual)
  most = jnp.maximum(most, harmless)
  warm = known >= max(2, window // 2)
  return warm & (norm > most)


def mean(state: GuardState) -> Array:
  """Mean of the remembered gradient norms, f32[]; 0 if there are none."""
  known = jnp.minimum(state.remembered, state.norms.shape[0])
  return state.norms.sum() / jnp.maximum(known, 1)


def advance(state: GuardState, ok: Array, norm: Array) -> GuardState:
  """The guard after an update was accepted or refused.

  A gradient of 0, as when every group is equally right, says nothing about
  what is usual: remembered, it would make the next real one a spike.
  """
  usual = ok & (norm > 0)
  place = state.remembered % state.norms.shape[0]
  norms = jnp.where(usual, state.norms.at[place].set(norm), state.norms)
  return GuardState(
    norms=norms,
    remembered=state.remembered + usual,
    consecutive=jnp.where(usual, 0, state.consecutive + ~ok),
    refused=state.refused + ~ok,
  )


def tripped(state: GuardState, limit: int) -> Array:
  """Whether no update is taken any more, bool[].

  Once `limit` in a row were refused the run stops after the step; until then
  the state stays the one that the last of them met.
  """
  return state.consecutive >= limit


def finite(tree: PyTree) -> Array:
  """Whether every number of a tree is finite, bool[]."""
  leaves = [jnp.isfinite(x).all() for x in jax.tree.leaves(tree)]
  return jnp.stack(leaves).all() if leaves else jnp.bool(True)


def select(ok: Array, new: PyTree, old: PyTree) -> PyTree:
  """`new` where the update is taken, leaf by leaf, else `old`."""
  return jax.tree.map(lambda n, o: jnp.where(ok, n, o), new, old)
