"""Demonstrations of any length in rows of one length."""

from collections.abc import Sequence

import numpy as np

from rlvr_jax.tasks.demonstrations import Demonstration


def fitted(lengths: Sequence[int], room: int) -> list[list[int]]:
  """Returns which items share a row: best fit, the longest first.

  Args:
    lengths: of the items, each in [1, room].
    room: of a row.

  Returns:
    Numbers of items by row, each item once; a pure function of the arguments.
  """
  rows, open_rows = [], [[] for _ in range(room + 1)]
  rooms = 0  # bit r: a row with r left is open
  for item in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
    length = lengths[item]
    fits = rooms >> length
    if fits:
      left = length + (fits & -fits).bit_length() - 1  # the least that does
      row = open_rows[left].pop()
      rooms ^= (not open_rows[left]) << left
    else:
      left, row = room, len(rows)
      rows.append([])
    rows[row].append(item)
    open_rows[left - length].append(row)
    rooms |= 1 << (left - length)
  return rows


class Packed:
  """Rows of demonstrations; every demonstration stands in one of them.

  Args:
    demonstrations: at least one, none longer than a row.
    length: of a row S, tokens.
    pad_id: fills what is left of a row.
    share: whether a row holds as many as fit, or one.
  """

  def __init__(
    self,
    demonstrations: Sequence[Demonstration],
    length: int,
    pad_id: int,
    share: bool = True,
  ):
    self._all, self._length, self._pad = demonstrations, length, pad_id
    sizes = [len(each.tokens) for each in demonstrations]
    alone = [[number] for number in range(len(sizes))]
    self._rows = fitted(sizes, length) if share else alone
    self.fill = sum(sizes) / (len(self._rows) * length)

  def __len__(self) -> int:
    return len(self._rows)

  def arrays(self, rows: Sequence[int]) -> dict[str, np.ndarray]:
    """Returns rows as arrays.

    Args:
      rows: n numbers in [0, len(self)); -1 is a row of padding.

    Returns:
      tokens i32[n, S]; prompt_mask bool[n, 1], the first position, which
      nothing predicts; mask bool[n, S - 1]: the tokens of answers, their ends
      included; segment i32[n, S]: which demonstration of the row a position is
      of, -1 for padding.
    """
    shape = (len(rows), self._length)
    tokens = np.full(shape, self._pad, np.int32)
    segment = np.full(shape, -1, np.int32)
    mask = np.zeros(shape, bool)
    for place, row in enumerate(rows):
      begin = 0
      for number, item in enumerate(self._rows[row] if row >= 0 else ()):
        each = self._all[item]
        end = begin + len(each.tokens)
        tokens[place, begin:end] = each.tokens
        segment[place, begin:end] = number
        mask[place, begin + each.prompt : end] = True
        begin = end
    return {
      "tokens": tokens,
      "prompt_mask": segment[:, :1] >= 0,
      "mask": mask[:, 1:],
      "segment": segment,
    }
