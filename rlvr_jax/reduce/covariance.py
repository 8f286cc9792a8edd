"""Tokens chosen by what they contribute to a covariance."""

import jax

from rlvr_jax.reduce.masked import centred_product, count_of, top_mask

Array = jax.Array


def covariance_window(
  x: Array,
  y: Array,
  mask: Array,
  free: Array,
  dice: Array,
  *,
  fraction: float,
  low: float,
  high: float,
) -> tuple[Array, Array, Array]:
  """Chooses some of the tokens whose covariance term lies in a window.

  Candidates have low < (x - mean x)(y - mean y) < high, means over the counted
  tokens; max(floor(fraction * counted tokens), 1) of them are chosen.

  Args:
    x: f32[B, T], such as the advantages.
    y: f32[B, T], such as the log-probs, nats.
    mask: bool[B, T] counted tokens.
    free: bool[B, T] those of them that may be chosen.
    dice: f32[B, T]; the candidates with the largest are chosen.
    fraction: of the counted tokens, in [0, 1].
    low: lower end of the window, unit of x times y.
    high: upper end of the window.

  Returns:
    (terms f32[B, T], candidates bool[B, T], chosen bool[B, T]).
  """
  cov = centred_product(x, y, mask)
  candidates = free & (cov > low) & (cov < high)
  count = count_of(fraction, mask)
  return cov, candidates, top_mask(dice, candidates, count)
