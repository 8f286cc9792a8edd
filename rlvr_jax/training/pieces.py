"""What the model runs on at a time: knobs of memory and speed."""

import math
from typing import NamedTuple

import jax

from rlvr_jax.training.settings import Settings
from rlvr_jax.types import PyTree


class Pieces(NamedTuple):
  """What the model runs on at a time. Changes no result but its rounding.

  Attributes:
    slices: of rows; divides B.
    chunk: tokens whose logits exist at the same time.
    widths: that slices may run at, see `ragged`.
    siblings: rows side by side that stay so in a slice, and whose prompt is
      read once if they have the same; divides B / slices.
  """

  slices: int = 1
  chunk: int = 4096
  widths: int = 1
  siblings: int = 1

  def cut(self, tree: PyTree) -> PyTree:
    """[B, ...] leaves to [slices, B / slices, ...].

    Rows are dealt like cards, or in packs of siblings, so every part of the
    devices that a full pass splits rows over holds some of every slice.
    """

    def deal(x):
      packs = x.reshape(-1, self.slices, self.siblings, *x.shape[1:])
      return packs.swapaxes(0, 1).reshape(self.slices, -1, *x.shape[1:])

    return jax.tree.map(deal, tree)

  def join(self, tree: PyTree) -> PyTree:
    """The inverse of `cut`."""

    def back(x):
      packs = x.reshape(self.slices, -1, self.siblings, *x.shape[2:])
      return packs.swapaxes(0, 1).reshape(-1, *x.shape[2:])

    return jax.tree.map(back, tree)


WHOLE = Pieces()


def of(settings: Settings, slices: int, rows: int, groups: int = 0) -> Pieces:
  """The pieces of so many rows, all of one part of a full pass.

  Args:
    settings: of the run.
    slices: that the rows are cut into.
    rows: of each part, see `mesh.pass_parts`.
    groups: rows of a prompt that stand side by side are a multiple of it; 0
      for those of the main draw.
  """
  s, own = settings, rows // slices
  count = math.gcd(groups or s.main.per_prompt, own) if s.share_prompts else 1
  return Pieces(slices, s.chunk, s.widths, count)
