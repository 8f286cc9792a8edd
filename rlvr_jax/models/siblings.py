"""Rows that answer one prompt side by side: the model reads it once."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from rlvr_jax import stats
from rlvr_jax.models.lora import Adapted
from rlvr_jax.models.transformer import Transformer
from rlvr_jax.types import Array, PyTree, TokenBatch

Tree = TypeVar("Tree", bound=PyTree)
Decoder = Transformer | Adapted


class Siblings(NamedTuple):
  """A decoder that takes the first of so many rows for the prompt of all."""

  model: Decoder
  count: int

  def hidden(self, params: PyTree, batch: TokenBatch) -> Array:
    """See `Transformer.hidden`."""
    return self.model.hidden(params, batch, self.count)

  def head(self, params: PyTree) -> stats.Head:
    """See `Transformer.head`."""
    return self.model.head(params)

  def logits(self, params: PyTree, hidden: Array) -> Array:
    """See `Transformer.logits`."""
    return self.model.logits(params, hidden)


def read_once(
  fn: Callable[[stats.Model], Tree],
  model: Decoder,
  rows: TokenBatch,
  count: int,
) -> Tree:
  """Calls fn with a model that reads a prompt once, if these rows allow it.

  To rounding fn gets the same from either model. Both are compiled; a model
  inside of fn is not chosen by itself, or a gradient would keep what both of
  them leave to it.

  Args:
    fn: of a model.
    model: that reads the prompt of every row.
    rows: that fn runs it on.
    count: of rows side by side that may have one prompt; divides the rows.
  """
  if count == 1 or rows.segment is not None:
    return fn(model)
  return jax.lax.cond(
    _is_alike(rows, count),
    lambda: fn(Siblings(model, count)),
    lambda: fn(model),
  )


def _is_alike(rows: TokenBatch, count: int) -> Array:
  """bool[]: whether each run of so many rows has one prompt."""
  width = rows.prompt_mask.shape[1]
  prompts = jnp.where(rows.prompt_mask, rows.tokens[:, :width], -1)
  runs = prompts.reshape(-1, count, width)
  return (runs == runs[:, :1]).all()
