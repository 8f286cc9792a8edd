"""Random pairs and chains of the catalogue through real training steps."""

import itertools
import random

import jax
import numpy as np
import pytest

import runs
from rows import FIRST

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("quick_compile")]

STEPS = 3


def drawn(size, count):
  """So many random chains of methods that do not collide."""
  dice = random.Random(size)
  found = []
  while len(found) < count:
    chain = runs.composed(dice.sample(sorted(FIRST), size))
    if chain and chain not in found:
      found.append(chain)
  return found


@pytest.mark.parametrize(
  "names",
  list(itertools.chain(drawn(2, 40), drawn(5, 10))),
  ids="+".join,
)
def test_three_real_steps_are_finite(names):
  p = runs.programs(*names)
  state, ref = runs.start(p)
  before = jax.device_get(state.params)
  for _ in range(STEPS):
    state, lines = runs.step(p, state, ref)
    for line in lines:
      bad = [k for k, v in line.items() if not np.isfinite(v)]
      # Of problems of a difficulty that none has there is no number.
      bad = [k for k in bad if "covariance/prompt_" not in k]
      assert not bad, bad
  moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), before, state.params)
  assert max(jax.tree.leaves(moved)) > 0
