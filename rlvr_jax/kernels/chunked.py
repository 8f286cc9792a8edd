"""Token statistics in plain XLA: any backend, bounded memory."""

from collections.abc import Collection

from rlvr_jax.kernels import pullback, sums
from rlvr_jax.kernels.logits import Form, Tokens
from rlvr_jax.kernels.pullback import Factors
from rlvr_jax.kernels.sums import Sums
from rlvr_jax.kernels.walk import Blocks, Source, Walk
from rlvr_jax.types import Array


def forward(
  tokens: Tokens,
  weights: Array,
  form: Form,
  outputs: Collection[str],
  blocks: Blocks,
) -> Sums:
  """The sums over all columns of the weights.

  Args:
    tokens: N of them.
    weights: f[V, D], or [D, V] as the form says.
    form: of the logits.
    outputs: names of the moments that will be asked.
    blocks: sizes.

  Returns:
    Sums, f32[N, 1] each.
  """

  def add(total, blocks, target):
    (b,) = blocks
    return sums.merge(total, sums.of_block(b.z, b.column == target, outputs))

  start = lambda target: sums.start(target.shape, outputs)
  return _walk(tokens, weights, form, blocks).fold(add, start, tokens.target)


def backward(
  tokens: Tokens,
  weights: Array,
  form: Form,
  factors: Factors,
  blocks: Blocks,
) -> tuple[Array, Array]:
  """The gradient by hidden states and weights.

  Args:
    tokens: N of them.
    weights: f[V, D], or [D, V] as the form says.
    form: of the logits.
    factors: of the pullback.
    blocks: sizes.

  Returns:
    f32[N, D] and f32 of the shape of the weights.
  """

  def cotangent(blocks, known):
    (b,), (target, factors) = blocks, known
    return (pullback.of_block(b.z, b.column == target, factors),)

  known = tokens.target, factors
  walk = _walk(tokens, weights, form, blocks)
  (to_hidden,), (to_weights,) = walk.pull(cotangent, known)
  return to_hidden, to_weights


def _walk(tokens, weights, form, blocks) -> Walk:
  source = Source(tokens.hidden, weights, tokens.inverse, tokens.cut)
  return Walk((source,), form, blocks)
