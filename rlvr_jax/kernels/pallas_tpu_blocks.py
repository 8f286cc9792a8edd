"""Sizes of the TPU kernels' tiles, from what a kernel keeps in VMEM."""

import dataclasses

from jax.experimental.pallas import tpu as pltpu

LANES = 128
# A kernel keeps one side of its tiles while the other moves past: tokens in
# the forward sweep and for the gradient of the hidden states, columns for that
# of the weights. A long kept side reads the moving array less often.
_SIDES = (
  (1024, 1024),
  (1024, 512),
  (512, 512),
  (512, 256),
  (256, 256),
  (256, 128),
  (128, 128),
)


@dataclasses.dataclass(frozen=True)
class Blocks:
  """Sizes of a tile of logits.

  Attributes:
    rows: tokens, a multiple of 16; None for what fits.
    columns: of the vocabulary, a multiple of 128; None for what fits.
    strip: tokens of a tile that are summed at a time, a multiple of 16; the
      sums of one strip can overlap the matrix product of the next.
    vmem: bytes of VMEM a kernel may take. A kernel may be compiled where there
      is no TPU to ask, so the default leaves room on each of v5e, v5p and v6e
      (128 MiB) and v7x (64 MiB).
    interpret: pltpu.InterpretParams to run without a TPU, for tests.
  """

  rows: int | None = None
  columns: int | None = None
  strip: int = 512
  vmem: int = 56 * 2**20
  interpret: pltpu.InterpretParams | None = None

  def at_most(self, rows: int) -> "Blocks":
    """Itself: logits exist in a tile only."""
    del rows
    return self

  def forward(self, depth: int, itemsize: int) -> tuple[int, int]:
    """Rows and columns for hidden states of `depth` numbers."""
    return self._given(*self._sides(depth, itemsize, 0))

  def to_hidden(self, depth: int, itemsize: int) -> tuple[int, int]:
    """The same for the gradient of the hidden states."""
    return self._given(*self._sides(depth, itemsize, 1))

  def to_weights(self, depth: int, itemsize: int) -> tuple[int, int]:
    """The same for the gradient of the weights."""
    columns, rows = self._sides(depth, itemsize, 1)
    return self._given(rows, columns)

  def options(self, *order: str) -> dict[str, object]:
    """Arguments of `pallas_call`; the order of the grid's two axes."""
    params = pltpu.CompilerParams(
      dimension_semantics=order, vmem_limit_bytes=self.vmem
    )
    return dict(compiler_params=params, interpret=self.interpret or False)

  def _given(self, rows: int, columns: int) -> tuple[int, int]:
    return self.rows or rows, self.columns or columns

  def _sides(self, depth: int, itemsize: int, gradients: int):
    """The largest kept and moving side that fit; the smallest if none does."""
    fits = lambda s: needed(*s, depth, itemsize, gradients) <= self.vmem
    return next(filter(fits, _SIDES), _SIDES[-1])


def needed(
  kept: int, moving: int, depth: int, itemsize: int, gradients: int
) -> int:
  """Bytes of VMEM, from above.

  Args:
    kept: length of the side of the tile that stays.
    moving: length of the side that moves.
    depth: numbers D of a hidden state.
    itemsize: bytes of each.
    gradients: outputs [kept, D] of the kernel: 0 forward, 1 backward.
  """
  inputs = 2 * (kept + moving) * depth * itemsize  # one is read, one fetched
  # What is added, and two float32 outputs, one of them being written.
  results = gradients * kept * depth * 3 * 4
  tile = 3 * kept * moving * 4  # logits, and what is made of them
  # Nine sums by lane or the factors, and target, temperature, both sides of a
  # cut and output twice each; [N, 1] takes as much as [N, LANES].
  tokens = 19 * max(kept, moving) * LANES * 4
  return inputs + results + tile + tokens
