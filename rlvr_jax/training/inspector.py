"""What a model expects the right answer to be while it reads a solution."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from rlvr_jax import reduce, stats, tasks
from rlvr_jax.evaluation.batches import batches
from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.models.transformer import Transformer
from rlvr_jax.training.supervised import token_batch
from rlvr_jax.types import Array, Need, PyTree

# Between a solution that breaks off and the answer, so that the answer is what
# comes next.
BRIDGE = "\nThe final answer is \\boxed{"
ENTROPY = Need(stats.Entropy())


class Solution(NamedTuple):
  """A question and one solution, as the inspector reads them."""

  prompt: str  # rendered for the inspector
  steps: list[str]  # texts that give the solution when joined
  answer: str  # the right one; what stands in the box


class Curves(NamedTuple):
  """After k = 0 .. K steps, means over the tokens of the answer, nats."""

  entropy: np.ndarray  # float64[K+1]
  cross_entropy: np.ndarray  # float64[K+1], of the answer's own tokens


class Inspector:
  """Reads solutions up to each step and then the right answer.

  Each step is one forward pass over all that comes before it.

  Args:
    model: the decoder.
    tokenizer: of the model.
    mesh: that the parameters are on.
    rows: that are read at once, at least one for each device of rows.
    bridge: text between what is read of a solution and the answer.
    chunk: tokens of which logits exist at the same time.

  Raises:
    ValueError: fewer rows than devices of rows.
  """

  def __init__(
    self,
    model: Transformer,
    tokenizer: tasks.Tokenizer,
    mesh: jax.sharding.Mesh,
    rows: int = 16,
    bridge: str = BRIDGE,
    chunk: int = 4096,
  ):
    self._tokenizer, self._mesh, self._rows = tokenizer, mesh, rows
    self._bridge = bridge
    parts = mesh_lib.row_parts(mesh)
    if rows < parts:
      raise ValueError(
        f"rows = {rows} must be at least {parts}, one for each of the devices "
        "that rows are split over."
      )
    read = functools.partial(_read, model=model, chunk=chunk)
    self._read = jax.jit(read, out_shardings=mesh_lib.whole(mesh))

  def sizes(self, solutions: Sequence[Solution]) -> tuple[int, int]:
    """Returns the most tokens before an answer, and of an answer."""
    whole = [self._before(s, len(s.steps)) for s in solutions]
    return max(map(len, whole)), max(len(self._answer(s)) for s in solutions)

  def curves(
    self, params: PyTree, solutions: Sequence[Solution]
  ) -> list[Curves]:
    """Returns the curves of solutions, in their order.

    Args:
      params: of the model.
      solutions: at least one; they may have different numbers of steps.

    Raises:
      ValueError: an answer without a token.
    """
    read = [
      (self._before(solution, count), self._answer(solution))
      for solution in solutions
      for count in range(len(solution.steps) + 1)
    ]
    found = self._measured(params, read)
    ends = np.cumsum([len(solution.steps) + 1 for solution in solutions])
    return [Curves(*part.T) for part in np.split(found, ends[:-1])]

  def _measured(
    self, params: PyTree, read: Sequence[tuple[np.ndarray, np.ndarray]]
  ) -> np.ndarray:
    """float64[n, 2]: both entropies of each answer after what stands before."""
    allowed = tasks.prompt_widths(max(len(before) for before, _ in read))
    length = max(len(answer) for _, answer in read)
    widths = [min(w for w in allowed if w >= len(b)) for b, _ in read]
    found = np.zeros((len(read), 2))
    parts = mesh_lib.row_parts(self._mesh)
    for batch in batches(widths, 1, self._rows, parts):
      places = [piece.problem for piece in batch.pieces]
      full = places + places[-1:] * (batch.prompts - len(places))
      rows = self._arrays([read[i] for i in full], batch.width, length)
      rows = mesh_lib.put(rows, mesh_lib.by_row(self._mesh))
      measured = np.stack(self._read(params, rows), axis=1)
      found[places] = measured[: len(places)]
    return found

  def _before(self, solution: Solution, count: int) -> np.ndarray:
    text = solution.prompt + "".join(solution.steps[:count]) + self._bridge
    return np.array(self._tokenizer.encode(text), np.int32)

  def _answer(self, solution: Solution) -> np.ndarray:
    # By itself, so that it has the same tokens after every step.
    tokens = self._tokenizer.encode(solution.answer)
    if not tokens:
      raise ValueError(
        f"the answer {solution.answer!r} to {solution.prompt[:80]!r} has no "
        "token; leave the solution out."
      )
    return np.array(tokens, np.int32)

  def _arrays(
    self,
    read: Sequence[tuple[np.ndarray, np.ndarray]],
    width: int,
    length: int,
  ) -> dict[str, np.ndarray]:
    """What is read, padded on the left, then an answer, padded on the right."""
    shape = len(read), width + length
    tokens = np.full(shape, self._tokenizer.pad_id, np.int32)
    used = np.zeros(shape, bool)
    for row, (before, answer) in enumerate(read):
      here = slice(width - len(before), width + len(answer))
      tokens[row, here] = np.concatenate([before, answer])
      used[row, here] = True
    return {
      "tokens": tokens,
      "prompt_mask": used[:, :width],
      "mask": used[:, width:],
    }


def _read(
  params: PyTree, rows: dict[str, Array], *, model: Transformer, chunk: int
) -> tuple[Array, Array]:
  """Entropy and cross-entropy of the answer of each row, f32[B] nats."""
  batch = token_batch(rows)
  needs, sets = (ENTROPY, stats.LOGP), {"policy": params}
  found = stats.score(needs, sets, batch, model=model, chunk=chunk)
  mean = lambda need: reduce.row_mean(found[need.key], batch.mask)
  return mean(ENTROPY), -mean(stats.LOGP)
