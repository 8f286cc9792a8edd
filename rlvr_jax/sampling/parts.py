"""Prompts in parts, one after the other, where not all rows fit in memory."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from rlvr_jax.types import Array, PyTree


def count(prompts: int, per_prompt: int, rows: int, devices: int) -> int:
  """Into how many equal parts prompts are split.

  Args:
    prompts: of a draw.
    per_prompt: rows of each.
    rows: most at a time; 0 for no limit.
    devices: that each part's prompts must fall on evenly, if all do.

  Returns:
    The fewest parts of at most so many rows; if none is so small, the most
    parts there can be.
  """
  even = devices if prompts % devices == 0 else 1
  units = prompts // even
  parts = [n for n in range(1, units + 1) if units % n == 0]
  fitting = [n for n in parts if not rows or prompts // n * per_prompt <= rows]
  return fitting[0] if fitting else parts[-1]


def pick(x: Array, parts: int, part: Array) -> Array:
  """A part of an array [P, ...] of prompts.

  Prompts are dealt like cards, so every device that holds prompts holds some of
  every part.
  """
  dealt = x.reshape(-1, parts, *x.shape[1:])
  return jax.lax.dynamic_index_in_dim(dealt, part, 1, keepdims=False)


def each(fn: Callable[[Array], PyTree], parts: int) -> PyTree:
  """Calls fn(part) for every part and puts prompts back in their order.

  Args:
    fn: makes arrays [P / parts, ...].
    parts: how many.

  Returns:
    Arrays [P, ...].
  """
  made = jax.lax.map(fn, jnp.arange(parts))
  whole = lambda x: x.swapaxes(0, 1).reshape(-1, *x.shape[2:])
  return jax.tree.map(whole, made)
