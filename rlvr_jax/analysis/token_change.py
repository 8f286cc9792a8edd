"""How the entropy of each position changes in one step, and who foresees it.

A plain policy-gradient step, of the mean over L counted tokens of -A log pi,
moves the entropy at every position of a batch. Methods estimate that change
from what they know of the sampled token alone. Here the estimates stand beside
the true change, which `tabular` computes for a table of logits and
`training.policy_step.measure` for a model.

Source: the estimates are of STEER (arXiv 2510.10150, the comparison of its
table 1), of Wang et al. (2602.03392, theorems 3.2 and 3.3), and the covariance
term of Clip-Cov (2505.22617, equation 10).
"""

from typing import NamedTuple

import numpy as np

from rlvr_jax import reduce
from rlvr_jax.analysis import entropy_dynamics
from rlvr_jax.methods import steer

# By the name of an estimate what it is, for tables and figures.
ESTIMATES = {
  "released": "STEER, released",
  "theorem": "STEER, theorem",
  "exact": "softmax in full",  # STEER "exact", and that of entropy dynamics
  "discriminator": "-A S, one logit",
  "covariance": "Clip-Cov's product",
}


class Step(NamedTuple):
  """What was known of each position before a step, and what the step did.

  Arrays float64[...] of one shape, such as [B, T]; anything where the mask
  does not count.
  """

  logp: np.ndarray  # of the sampled token, nats
  entropy: np.ndarray  # H, nats
  mean_discriminator: np.ndarray  # N = E_p[S] with S = p (log p + H), nats
  advantages: np.ndarray
  mask: np.ndarray  # bool
  change: np.ndarray  # the true one of H, nats
  step_size: float  # learning rate over counted tokens


class Score(NamedTuple):
  """How an estimate compares with the true change over the counted tokens."""

  mse: float  # mean squared error, nats^2
  pearson: float  # correlation; NaN where either does not vary
  spearman: float  # that of the ranks


class Quadrant(NamedTuple):
  """Tokens of one sign of the advantage and one of log p + H."""

  share: float  # of the counted tokens
  change: float  # mean true change, nats; 0 without tokens
  estimate: float  # mean estimated change, nats; likewise


def tabular(
  logits: np.ndarray,
  states: np.ndarray,
  tokens: np.ndarray,
  advantages: np.ndarray,
  mask: np.ndarray,
  learning_rate: float,
) -> Step:
  """Takes the step on a table with one row of logits per state.

  Args:
    logits: float[S, V].
    states: int[...] state of each position.
    tokens: int[...] token sampled there.
    advantages: float[...].
    mask: bool[...] true where a token counts.
    learning_rate: of the table.

  Returns:
    A Step. Its change is that of the state, to which all tokens sampled there
    contribute.
  """
  mask = np.asarray(mask, bool)
  step_size = learning_rate / max(int(mask.sum()), 1)
  before = np.asarray(logits, np.float64)
  at, chosen = np.asarray(states)[mask], np.asarray(tokens)[mask]
  gain = np.asarray(advantages, np.float64)[mask]
  p = np.exp(_log_softmax(before))
  push = -p * np.bincount(at, gain, len(before))[:, None]
  np.add.at(push, (at, chosen), gain)
  change = _entropy(before + step_size * push) - _entropy(before)
  return Step(
    _log_softmax(before)[states, tokens],
    _entropy(before)[states],
    entropy_dynamics.mean_discriminator(p)[states],
    np.asarray(advantages, np.float64),
    mask,
    change[states],
    step_size,
  )


def _log_softmax(logits: np.ndarray) -> np.ndarray:
  shifted = logits - logits.max(axis=-1, keepdims=True)
  return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _entropy(logits: np.ndarray) -> np.ndarray:
  log_p = _log_softmax(logits)
  return -(np.exp(log_p) * log_p).sum(axis=-1)


def estimates(step: Step) -> dict[str, np.ndarray]:
  """Returns what each estimate says of the change, nats, by its name.

  float64 of the shape of the step, 0 where it does not count. Each is an
  estimate for one token times the step size:
    released       -A / p * S (1 - p)
    theorem        -A * S (1 - p)       the other logits fixed
    exact          -A * (S - N)
    discriminator  -A * S               the sampled logit alone, moved by A
    covariance     -(A - mean A)(log p - mean log p)
  Only `exact` is meant in nats for this step; of the others correlations say
  more than errors.
  """
  given = (step.logp, step.entropy, step.mean_discriminator, step.advantages)
  clean = lambda x: np.where(step.mask, x, 0.0)
  logp, entropy, n, gain = map(clean, given)
  omega = lambda form: steer.omega(
    form, logp, logp, gain, entropy, mean_discriminator=n
  )
  found = {form: omega(form) for form in ("released", "theorem", "exact")}
  found["discriminator"] = -gain * entropy_dynamics.discriminator(logp, entropy)
  found["covariance"] = -reduce.centred_product(gain, logp, step.mask)
  return {
    name: step.step_size * np.asarray(x, np.float64)
    for name, x in found.items()
  }


def by_state(values: np.ndarray, states: np.ndarray, step: Step) -> np.ndarray:
  """Returns the sum of what the counted tokens of each state have, float64[S].

  Args:
    values: float[...] such as one of `estimates`.
    states: int[...], as `tabular` had them.
    step: that it gave.
  """
  return np.bincount(np.asarray(states)[step.mask], values[step.mask])


def score(estimate: np.ndarray, change: np.ndarray, mask: np.ndarray) -> Score:
  """Compares an estimate with the true change.

  Args:
    estimate: float[...] nats.
    change: float[...] nats.
    mask: bool[...] true where a token counts.

  Raises:
    ValueError: fewer than two tokens count.
  """
  x, y = (
    np.asarray(v, np.float64)[np.asarray(mask)] for v in (estimate, change)
  )
  if len(x) < 2:
    raise ValueError(
      f"{len(x)} tokens count, but a correlation takes at least 2; check "
      "`mask`."
    )
  return Score(
    float(np.mean((x - y) ** 2)),
    correlation(x, y),
    correlation(_ranks(x), _ranks(y)),
  )


def correlation(x: np.ndarray, y: np.ndarray) -> float:
  """Pearson's correlation of float[n] and float[n]; NaN for a constant."""
  if not (np.ptp(x) > 0 and np.ptp(y) > 0):
    return float("nan")
  return float(np.corrcoef(x, y)[0, 1])


def _ranks(x: np.ndarray) -> np.ndarray:
  """float64[n]: places in ascending order; equal numbers share their mean."""
  _, index, count = np.unique(x, return_inverse=True, return_counts=True)
  return (np.cumsum(count) - (count - 1) / 2)[index]


def scores(step: Step) -> dict[str, Score]:
  """`score` of each of the `estimates`."""
  found = estimates(step)
  return {name: score(x, step.change, step.mask) for name, x in found.items()}


def quadrants(step: Step, estimate: np.ndarray) -> dict[str, Quadrant]:
  """Splits the counted tokens by the signs of A and of log p + H.

  For positive advantages the entropy should fall where the token is probable,
  p > exp(-H), and rise where it is rare; for negative ones the other way.

  Args:
    step: the step.
    estimate: float[...] nats, one of `estimates`.

  Returns:
    A Quadrant for "positive_probable", "positive_rare", "negative_probable"
    and "negative_rare". Tokens with A = 0 or p = exp(-H) are in none.
  """
  surprise = step.logp + step.entropy
  number = max(int(step.mask.sum()), 1)

  def of(gain, probable):
    inside = step.mask & (gain * step.advantages > 0)
    inside &= probable * surprise > 0
    count = int(inside.sum())
    mean = lambda x: float(np.where(inside, x, 0.0).sum()) / max(count, 1)
    return Quadrant(count / number, mean(step.change), mean(estimate))

  return {
    f"{sign}_{size}": of(gain, probable)
    for sign, gain in (("positive", 1), ("negative", -1))
    for size, probable in (("probable", 1), ("rare", -1))
  }


def magnitude(probability: np.ndarray, entropy: float) -> np.ndarray:
  """Returns the size of STEER's theorem, p (1 - p) |log p + H|.

  It vanishes at p = 0, at p = 1 and at the boundary p = exp(-H).

  Args:
    probability: float[...] p in (0, 1).
    entropy: H, nats.

  Returns:
    float64[...] nats per unit of step size and advantage.
  """
  logp = np.log(np.asarray(probability, np.float64))
  return np.abs(steer.omega("theorem", logp, logp, 1.0, entropy), dtype=float)
