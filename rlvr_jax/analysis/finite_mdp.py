"""Best values of a small decision process, with and without entropy, exactly.

S states, A actions; the reward r[s, a], the chance p[s, a, t] to get to t, and
the discount gamma are known. Policies over the values Q of a state are those of
`policy_cliff`.

Source: Xu, The Policy Cliff, arXiv 2507.20150, sections 2 and 4.
"""

import numpy as np


def values(
  rewards: np.ndarray,
  transitions: np.ndarray,
  gamma: float,
  alpha: float = 0.0,
  steps: int | None = None,
) -> np.ndarray:
  """Returns what each action is worth if the best ones follow.

  Q = r + gamma E max_b Q(., b), where with entropy alpha ln sum_b e^(Q / alpha)
  takes the place of the maximum.

  Args:
    rewards: float[S, A].
    transitions: float[S, A, S] with sums of 1.
    gamma: discount in [0, 1]; below 1 if there is no end.
    alpha: weight of the entropy, >= 0.
    steps: decisions left, >= 1; None for no end.

  Returns:
    float64[S, A], to about 1e-12 of the largest value.

  Raises:
    ValueError: gamma or alpha out of range, or chances that are none.
  """
  r, p = (np.asarray(x, np.float64) for x in (rewards, transitions))
  if not (0 <= gamma <= 1 and alpha >= 0 and (gamma < 1 or steps is not None)):
    raise ValueError(
      f"`gamma` = {gamma} must lie in [0, 1], `alpha` = {alpha} be >= 0; with "
      "gamma = 1 give `steps`, the decisions left."
    )
  if (p < 0).any() or not np.allclose(p.sum(axis=-1), 1):
    raise ValueError(
      "`transitions` must be >= 0 and add up to 1 for each action."
    )
  if steps is None:
    # What is left after n steps is gamma^n of the whole.
    steps = 1 if gamma == 0 else 1 + int(np.ceil(np.log(1e-13) / np.log(gamma)))
  q = r
  for _ in range(steps - 1):
    q = r + gamma * p @ _best(q, alpha)
  return q


def _best(q: np.ndarray, alpha: float) -> np.ndarray:
  """float64[S]: the largest value, or the soft form of it."""
  if not alpha:
    return q.max(axis=-1)
  return alpha * np.logaddexp.reduce(q / alpha, axis=-1)


def with_bonus(
  rewards: np.ndarray,
  transitions: np.ndarray,
  gamma: float,
  state: int,
  action: int,
  size: float,
) -> np.ndarray:
  """Returns rewards under which one action is worth `size` more, others as is.

  Small though it is, it makes one of several best actions the only one.

  Args:
    rewards: float[S, A].
    transitions: float[S, A, S].
    gamma: discount in [0, 1).
    state: where the action is.
    action: one of the best there.
    size: > 0.

  Returns:
    float64[S, A], at most size (1 + gamma) from the rewards.

  Source:
    2507.20150, propositions 2.4 and 3.2.
  """
  q = values(rewards, transitions, gamma)
  q[state, action] += size
  return q - gamma * np.asarray(transitions, np.float64) @ q.max(axis=-1)
