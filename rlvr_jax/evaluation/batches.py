"""Which problems and samples are drawn together: batches of a few shapes."""

from collections.abc import Sequence
from typing import NamedTuple


class Piece(NamedTuple):
  """Some consecutive samples of one problem."""

  problem: int  # place among all problems
  first: int  # number of the first sample


class Batch(NamedTuple):
  """Pieces that run together.

  The shape depends on all problems and never on which of them are still to
  do: what is sampled again after a kill has the same bits.
  """

  width: int  # tokens that prompts are padded to
  prompts: int  # pieces that fit; fewer may be there
  per_prompt: int  # samples of a piece
  pieces: tuple[Piece, ...]


def batches(
  widths: Sequence[int], samples: int, rows: int, parts: int
) -> list[Batch]:
  """Returns batches that hold every sample of every problem once.

  Args:
    widths: tokens that the prompt of each problem is padded to.
    samples: of each problem.
    rows: responses at once at most, at least `parts`; 0 for no limit.
    parts: that the prompts of a batch must be a multiple of.

  Returns:
    Batches, widest first, so that what does not fit in memory fails at once;
    pieces of a problem follow each other.
  """
  per_prompt = _divisor(samples, rows // parts if rows else samples)
  found = []
  for width in sorted(set(widths), reverse=True):
    pieces = [
      Piece(problem, first)
      for problem, its in enumerate(widths)
      if its == width
      for first in range(0, samples, per_prompt)
    ]
    size = _size(len(pieces), rows // per_prompt, parts)
    found += [
      Batch(width, size, per_prompt, tuple(pieces[i : i + size]))
      for i in range(0, len(pieces), size)
    ]
  return found


def _divisor(number: int, limit: int) -> int:
  """The largest divisor of a number that is not above a limit."""
  return next(d for d in range(min(number, limit), 0, -1) if number % d == 0)


def _size(pieces: int, limit: int, parts: int) -> int:
  """Pieces of a batch: as few batches as possible, all about equally full."""
  most = limit // parts * parts or pieces
  count = -(-pieces // most)
  return -(-pieces // (count * parts)) * parts
