"""How entropy is shared out among the tokens of responses, and who has most.

Source: Wang et al., Beyond the 80/20 Rule, arXiv 2506.01939, section 2: most
tokens are nearly certain, and the fifth with the highest entropy, the forking
tokens, holds nearly all of it.
"""

import collections
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rlvr_jax import reduce

CERTAIN = 0.01  # nats, below which a token counts as certain


class Word(NamedTuple):
  """A text among the forking tokens."""

  text: str
  count: int  # how often it is one
  entropy: float  # mean over these, nats


class Forks(NamedTuple):
  """The tokens of highest entropy of a batch."""

  chosen: np.ndarray  # bool, of the shape of the entropies
  threshold: float  # least entropy of one of them, nats; 0 if nothing counts
  mass: float  # their share of the sum of entropies; 0 if that is 0
  certain: float  # share of the counted tokens with less than 0.01 nats


def forks(entropy: np.ndarray, mask: np.ndarray, share: float = 0.2) -> Forks:
  """Finds the share of the tokens that has the highest entropy.

  They are those that the method `forking_tokens` trains on.

  Args:
    entropy: float[B, T] nats; anything where the mask does not count.
    mask: bool[B, T] true where a token counts.
    share: of the counted tokens, rounded up, in (0, 1].

  Raises:
    ValueError: a share out of range.
  """
  if not 0 < share <= 1:
    raise ValueError(f"`share` = {share} must lie in (0, 1].")
  mask = np.asarray(mask, bool)
  nats = np.where(mask, np.asarray(entropy, np.float64), 0.0)
  count = reduce.count_of(share, mask, "ceil")
  chosen = np.asarray(reduce.top_mask(nats, mask, count))
  return Forks(
    chosen,
    float(nats[chosen].min()) if chosen.any() else 0.0,
    float(nats[chosen].sum() / nats.sum()) if nats.sum() > 0 else 0.0,
    float((nats[mask] < CERTAIN).sum() / max(int(mask.sum()), 1)),
  )


def words(
  pieces: Sequence[Sequence[str]], entropy: np.ndarray, chosen: np.ndarray
) -> list[Word]:
  """Counts the texts of the chosen tokens, the most frequent first.

  Args:
    pieces: [B][T] text of each token; blanks around it are not told apart.
    entropy: float[B, T] nats.
    chosen: bool[B, T], of `forks`.

  Returns:
    Words; of equal count the one of higher mean entropy comes first.
  """
  found = collections.defaultdict(list)
  for row, column in np.argwhere(chosen):
    found[pieces[row][column].strip()].append(float(entropy[row, column]))
  told = [Word(text, len(x), float(np.mean(x))) for text, x in found.items()]
  return sorted(told, key=lambda word: (-word.count, -word.entropy, word.text))
