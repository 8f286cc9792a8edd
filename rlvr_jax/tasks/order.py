"""In which order problems come: pure functions of the seed and a place."""

import fractions
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# Weights are rounded to ratios of numbers up to this, and places of the order
# are exact up to 2⁶³ divided by it.
_FINEST = 10**6


class Part(NamedTuple):
  """A block of consecutive problems and how often they come."""

  size: int  # problems, at least 1
  weight: float  # above 0, relative to the weights of the other parts


def prompts_at(
  seed: int, cursor: int, count: int, size: int, stream: int = 0
) -> np.ndarray:
  """Returns which problems come at places cursor .. cursor + count - 1.

  The data order as a pure function: place i of the endless order lies in epoch
  i // size, and every epoch is its own permutation of the problems. So nothing
  but `cursor` need be saved, and a process that wants a part of a batch asks
  for that part.

  Args:
    seed: at least 0; another seed gives another order.
    cursor: prompts consumed so far, at least 0.
    count: prompts wanted, at least 0.
    size: problems in the split, at least 1.
    stream: at least 0; another one gives another order.

  Returns:
    Rows of the split, i64[count], each in [0, size).

  Raises:
    ValueError: an argument is below its least value.
  """
  for name, value, least in (
    ("seed", seed, 0),
    ("cursor", cursor, 0),
    ("count", count, 0),
    ("size", size, 1),
    ("stream", stream, 0),
  ):
    if value < least:
      raise ValueError(f"prompts_at: {name} = {value} must be >= {least}.")
  return _shuffled(seed, np.arange(cursor, cursor + count), size, stream)


def check(parts: Sequence[Part]) -> None:
  """Raises if one of the parts would never, or hardly ever, come.

  Raises:
    ValueError: no parts, an empty part, or a weight that is not above 0 or less
      than a millionth of all.
  """
  if not parts:
    raise ValueError("A mixture needs at least one part.")
  total = sum(part.weight for part in parts)
  for part in parts:
    # Written so that NaN is refused, too.
    if part.size < 1 or not math.inf > part.weight * _FINEST >= total:
      raise ValueError(
        f"{part} of a mixture must have a size >= 1 and a finite weight of at "
        f"least a millionth of all, {total / _FINEST:g}."
      )


def mixed_at(
  seed: int, cursor: int, count: int, parts: Sequence[Part]
) -> np.ndarray:
  """Returns which problems of a mixture come at cursor .. cursor + count - 1.

  Which part comes at a place is a pure function of the place, and among any n
  consecutive places a part has its share of n to within the number of parts.
  Each part is in an order of its own, as `prompts_at` gives it: all its
  problems come before one of them comes again.

  Args:
    seed: at least 0; another seed gives another order within the parts.
    cursor: prompts consumed so far, at least 0.
    count: prompts wanted, at least 0.
    parts: blocks of the split one after the other, at least one. A single one
      gives what `prompts_at` gives.

  Returns:
    Rows of the split, i64[count].

  Raises:
    ValueError: `check` refuses the parts, or an argument is below its least
      value.
  """
  if len(parts) == 1:
    return prompts_at(seed, cursor, count, parts[0].size)
  check(parts)
  if seed < 0 or cursor < 0 or count < 0:
    raise ValueError(
      f"mixed_at: seed, cursor and count = {(seed, cursor, count)} must be "
      ">= 0."
    )
  rows = np.empty(count, np.int64)
  # Places that no earlier part took, and their numbers among such places.
  free, number = np.arange(count), np.arange(cursor, cursor + count)
  start = 0
  for stream, (part, share) in enumerate(zip(parts, _shares(parts))):
    before = _taken(number, share)
    takes = _taken(number + 1, share) > before
    row = _shuffled(seed, before[takes], part.size, stream)
    rows[free[takes]] = start + row
    free, number = free[~takes], (number - before)[~takes]
    start += part.size
  return rows


def _shares(parts: Sequence[Part]) -> list[fractions.Fraction]:
  """What each part takes of the places that those before it leave."""
  left = np.cumsum([part.weight for part in parts[::-1]])[::-1]
  shares = [
    fractions.Fraction(part.weight / rest).limit_denominator(_FINEST)
    for part, rest in zip(parts, left)
  ]
  return [*shares[:-1], fractions.Fraction(1)]


def _taken(number: np.ndarray, share: fractions.Fraction) -> np.ndarray:
  """How many of the first `number` places are taken, spread evenly."""
  return number * share.numerator // share.denominator


def _shuffled(
  seed: int, places: np.ndarray, size: int, stream: int
) -> np.ndarray:
  """The problems at sorted places of the order of one stream, i64[n]."""
  epochs, places = np.divmod(places, size)
  rows = np.empty(len(places), np.int64)
  # The 3 keeps these numbers apart from those of `encode`.
  further = (3, stream) if stream else ()
  for epoch in np.unique(epochs):
    here = epochs == epoch
    order = np.random.default_rng((seed, int(epoch), *further))
    rows[here] = order.permutation(size)[places[here]]
  return rows
