"""State entropy: reward for responses whose hidden states lie apart."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.stats import Features
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array, Need, TokenBatch

CHOICES = {
  "granularity": ("response", "last", "chunk"),
  "population": ("group", "batch"),
  "gate": ("correct", "all"),
}
# Squared distances of unit vectors below this are rounding.
SAME = 1e-6
BLOCK = 256  # particles whose distances exist at the same time


class _Particles(NamedTuple):
  """Points whose distances are compared."""

  points: Array  # f32[N, K]
  real: Array  # bool[N]
  group: Array  # i32[N] those of one number form a population; -1 none


def state_entropy_reg(
  granularity: str = "response",
  population: str = "group",
  gate: str = "correct",
  neighbour: int = 3,
  mean_distance: bool = False,
  coef_start: float = 0.05,
  coef_end: float = 0.01,
  steps: int = 400,
  chunk: int = 64,
  discount: float = 1.0,
  size: int = 64,
) -> LossTransform:
  """Rewards responses for hidden states far from those of the others.

  Particles are hidden states less their mean, scaled to length 1; b = ln(1 +
  rho), rho the distance to the k-th nearest of the population, 0 for
  populations of k particles or fewer. With c falling linearly over the steps:
    response, last  reward += c gate (b - mean b) / (std b + 1e-6)
    chunk           A += c gate (b - mean b) on the tokens of the chunk
  The first two stand before the advantage estimator, the last behind it. Take
  one that does not divide by the group's deviation, `dr_grpo`: where all are
  right the reward differs by this alone, and `grpo` divides c away.

  The states are those that predict the tokens, so "last" is the state before
  the last token, and a "response" includes the state after the prompt. Before
  the mean each is scaled to unit root mean square and projected. Chunks are
  gated like responses, which their published formula, A + c (b - mean b), is
  not; gate = "all" is that.

  Edits:   if granularity is not "chunk" batch.reward (+); if it is,
           batch.advantages (+)
  Needs:   hidden state of the policy at rollout, projected to `size` numbers
  State:   none
  Scope:   group; step if population is "batch"
  Neutral: coef_start = coef_end = 0

  Args:
    granularity: a particle is the mean over a "response", its "last" token's
      state, or the mean over each "chunk" of tokens; not published, as are
      all numbers below.
    population: particles of the same "group", or of the whole "batch", where
      distances mix prompts.
    gate: "correct" multiplies by the reward, as far as it is positive; "all"
      by 1, which pays for garbage too.
    neighbour: k, >= 1; 3 in groups of 8 to 16, 5 in a batch.
    mean_distance: rho is the mean over the k nearest.
    coef_start: c of step 0, unit of the reward, >= 0; 0.05.
    coef_end: c from the last step on, >= 0; 0.01.
    steps: over which c moves from one to the other, >= 1; those of the run.
    chunk: tokens of a chunk, >= 1; 64.
    discount: multiplies b once per earlier chunk of the response, in [0, 1];
      1. Read by "chunk".
    size: numbers per hidden state after a fixed random projection, >= 1; 64.

  Returns:
    A LossTransform named "state_entropy_reg".

  Raises:
    ValueError: an unknown choice, or a number out of range.

  Metrics:
    state_entropy_reg/bonus: mean of b, logarithm of a distance.
    state_entropy_reg/coef: c.
    state_entropy_reg/edit: mean absolute value of what is added.

  Source:
    Ashlag et al., State Entropy Regularization for Robust Reinforcement
    Learning, arXiv 2506.07085, on the states of a control problem; the
    estimator by neighbours is that of RE3 and APT, its use on responses this
    library's.
    Differs from that code: not comparable; the repository could not be found.
  """
  given = {
    "granularity": granularity,
    "population": population,
    "gate": gate,
  }
  for name, value in given.items():
    if value not in CHOICES[name]:
      raise ValueError(
        f"state_entropy_reg.{name} = {value!r} must be in {CHOICES[name]}."
      )
  least = {
    "neighbour": (neighbour, 1),
    "coef_start": (coef_start, 0),
    "coef_end": (coef_end, 0),
    "steps": (steps, 1),
    "chunk": (chunk, 1),
    "size": (size, 1),
  }
  for name, (value, bound) in least.items():
    if not value >= bound:
      raise ValueError(
        f"state_entropy_reg.{name} = {value!r} must be >= {bound}."
      )
  if not 0 <= discount <= 1:
    raise ValueError(
      f"state_entropy_reg.discount = {discount!r} must lie in [0, 1]."
    )
  need = Need(Features(size), when="rollout")
  width = chunk if granularity == "chunk" else None

  def edit(batch, bonus, particles):
    """What is added to each particle but for the coefficient."""
    right = jnp.maximum(batch.reward, 0.0)
    paid = right if gate == "correct" else jnp.ones_like(right)
    paid = jnp.repeat(paid, len(bonus) // len(paid))
    mean = reduce.group_mean(bonus, particles.group)
    change = bonus - mean
    if granularity != "chunk":
      change /= reduce.group_std(bonus, particles.group, ddof=0) + 1e-6
    return jnp.where(particles.real, paid * change, 0.0)

  def prepare(batch, state, context):
    mask = batch.mask
    if granularity == "last":
      mask = reduce.last_token(mask)
    particles = _particles(batch, mask, context.stat(need), width, population)
    bonus = _bonus(particles, neighbour, mean_distance)
    rows = len(batch.group)
    if granularity == "chunk":
      parts = len(bonus) // rows
      bonus *= jnp.tile(discount ** jnp.arange(parts, dtype=jnp.float32), rows)
    share = jnp.minimum(context.step / steps, 1.0)
    coef = coef_start + share * (coef_end - coef_start)
    change = coef * edit(batch, bonus, particles)
    metrics = {
      "state_entropy_reg/bonus": reduce.masked_mean(bonus, particles.real),
      "state_entropy_reg/coef": coef,
      "state_entropy_reg/edit": reduce.masked_mean(
        jnp.abs(change), particles.real
      ),
    }
    batch = batch.replace(metrics=batch.metrics | metrics)
    if granularity != "chunk":
      return batch.replace(reward=batch.reward + change), state
    length = batch.mask.shape[1]
    tokens = jnp.repeat(change.reshape(rows, -1), chunk, axis=1)[:, :length]
    return batch.replace(
      advantages=batch.advantages + jnp.where(batch.mask, tokens, 0.0)
    ), state

  return LossTransform("state_entropy_reg", prepare=prepare, needs=(need,))


def _particles(
  batch: TokenBatch,
  mask: Array,
  features: Array,
  width: int | None,
  population: str,
) -> _Particles:
  """Mean features of rows, or of pieces of `width` positions, on the sphere.

  The mean over all particles is taken away first: what all responses share
  says nothing about how they differ.
  """
  rows, length = mask.shape
  width = length if width is None else min(width, length)
  pad = -length % width
  mask = jnp.pad(mask & (batch.group >= 0)[:, None], [(0, 0), (0, pad)])
  features = jnp.pad(features, [(0, 0), (0, pad), (0, 0)])
  mask = mask.reshape(-1, width)
  features = features.reshape(-1, width, features.shape[-1])
  count, real = mask.sum(axis=1), mask.any(axis=1)
  points = jnp.where(mask[..., None], features, 0.0).sum(axis=1)
  points /= jnp.maximum(count, 1)[:, None]
  points -= points.sum(axis=0, where=real[:, None]) / jnp.maximum(real.sum(), 1)
  square = (points**2).sum(axis=1, keepdims=True)
  points *= jnp.where(square > 0, jax.lax.rsqrt(square + (square <= 0)), 0.0)
  group = jnp.repeat(batch.group, len(real) // rows)
  group = jnp.where(real, group if population == "group" else 0, -1)
  return _Particles(jnp.where(real[:, None], points, 0.0), real, group)


def _bonus(particles: _Particles, k: int, mean_distance: bool) -> Array:
  """f32[N]: ln(1 + distance to the k-th nearest other of the population)."""
  points, _, group = particles
  count = len(points)
  if count <= k:
    return jnp.zeros(count)
  numbers, norms = jnp.arange(count), (points**2).sum(axis=1)

  def squares(number):
    """f32[k]: squared distances to the nearest, rising; inf for none."""
    # The products of float32 in full, or near points would seem the same.
    precision = jax.lax.Precision.HIGHEST
    products = jnp.matmul(points, points[number], precision=precision)
    square = norms + norms[number] - 2 * products
    square = jnp.where(square < SAME, 0.0, square)
    other = (group == group[number]) & (group >= 0) & (numbers != number)
    return -jax.lax.top_k(jnp.where(other, -square, -jnp.inf), k)[0]

  nearest = jax.lax.map(squares, numbers, batch_size=min(BLOCK, count))
  enough = jnp.isfinite(nearest[:, -1])
  distance = jnp.sqrt(jnp.where(enough[:, None], nearest, 0.0))
  used = distance.mean(axis=1) if mean_distance else distance[:, -1]
  return jnp.log1p(used)
