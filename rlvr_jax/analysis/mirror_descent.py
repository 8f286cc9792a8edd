"""Policy mirror descent with a falling regularisation, exactly, on logits.

A policy over finitely many actions is softmax(z). The flow dz/ds = Q - tau_s z
(uniform reference) reaches a biased optimum for constant tau and the best
action if tau falls polynomially.

Source: Sethi, Siska, Zhang, Entropy annealing for policy mirror descent in
continuous time and space, 2405.20250. No code was released; the schedules are
those that give the stated rates.
"""

import numpy as np


def annealed(
  step: float | np.ndarray,
  initial: float,
  period: float = 1.0,
  power: float = 1.0,
  least: float = 0.0,
) -> np.ndarray:
  """Returns max(least, initial / (1 + step / period)^power), float64[...].

  Args:
    step: >= 0, or flow time.
    initial: strength at step 0.
    period: steps, > 0.
    power: 1 for finitely many actions, 0.5 in general, 0 for a constant.
    least: floor.
  """
  fallen = initial / (1 + np.asarray(step, np.float64) / period) ** power
  return np.maximum(least, fallen)


def mirror_step(
  logits: np.ndarray,
  values: np.ndarray,
  step_size: float,
  strength: float,
  reference: np.ndarray | float = 0.0,
) -> np.ndarray:
  """Returns the logits after one exact step of mirror descent.

  They maximise `proximal` among all policies. With a reference policy's and a
  language model's logits, and values that are the advantage at the sampled
  token and 0 elsewhere, it is the target of one token.

  Args:
    logits: float[..., A] of the policy.
    values: float[..., A] action values Q.
    step_size: eta > 0, with eta strength <= 1.
    strength: tau >= 0.
    reference: float[..., A] logits of the reference; 0 for the uniform one.

  Returns:
    float64[..., A]: (1 - eta tau) z + eta tau z_ref + eta Q.

  Raises:
    ValueError: step_size or strength out of range.

  Source:
    2405.20250, Euler step of the flow.
  """
  if not (step_size > 0 and strength >= 0 and step_size * strength <= 1):
    raise ValueError(
      f"`step_size` = {step_size} must be > 0 and `strength` = {strength} in "
      f"[0, 1 / step_size]."
    )
  kept = step_size * strength
  z, q = (np.asarray(x, np.float64) for x in (logits, values))
  return (1 - kept) * z + kept * np.asarray(reference) + step_size * q


def flow(
  values: np.ndarray, time: float, initial: float, power: float
) -> np.ndarray:
  """Returns the logits of the flow at a time, from z = 0, in closed form.

  Args:
    values: float[..., A] constant action values.
    time: s >= 0.
    initial: tau_0 > 0.
    power: of tau_s = tau_0 / (1 + s)^power: 0, 0.5 or 1.

  Returns:
    float64[..., A].

  Raises:
    ValueError: another power, or a strength or time out of range.

  Source:
    2405.20250; solution of dz/ds = Q - tau_s z.
  """
  if not (time >= 0 and initial > 0):
    raise ValueError(
      f"`time` = {time} must be >= 0 and `initial` = {initial} > 0."
    )
  if power not in (0, 0.5, 1):
    raise ValueError(f"`power` = {power} must be 0, 0.5 or 1.")
  if power == 0:
    gain = -np.expm1(-initial * time) / initial
  elif power == 1:
    s, k = 1 + time, initial
    gain = (s - s**-k) / (k + 1)
  else:
    # With v = sqrt(1 + s) the integral is that of 2 v exp(2 tau_0 v).
    a, v = 2 * initial, np.sqrt(1 + time)
    gain = 2 * ((v / a - a**-2) - np.exp(a * (1 - v)) * (1 / a - a**-2))
  return gain * np.asarray(values, np.float64)


def policy(logits: np.ndarray) -> np.ndarray:
  """Returns softmax of float[..., A], float64."""
  z = np.asarray(logits, np.float64)
  weights = np.exp(z - z.max(axis=-1, keepdims=True))
  return weights / weights.sum(axis=-1, keepdims=True)


def value_gap(logits: np.ndarray, values: np.ndarray) -> np.ndarray:
  """Returns how much the policy earns less than the best action, >= 0.

  Args:
    logits: float[..., A].
    values: float[..., A].

  Returns:
    float64[...]; at most tau ln A at the regularised optimum.
  """
  q = np.asarray(values, np.float64)
  return q.max(axis=-1) - (policy(logits) * q).sum(axis=-1)


def proximal(
  new: np.ndarray,
  old: np.ndarray,
  values: np.ndarray,
  step_size: float,
  strength: float,
  reference: np.ndarray | float = 0.0,
) -> np.ndarray:
  """Returns what one step of mirror descent maximises.

  <Q, pi> - tau KL(pi || mu) - (1 / eta - tau) KL(pi || pi_old).

  Args:
    new: float[..., A] logits of pi.
    old: float[..., A] logits of pi_old.
    values: float[..., A] action values Q.
    step_size: eta.
    strength: tau.
    reference: float[..., A] logits of mu; 0 for the uniform one.

  Returns:
    float64[...].
  """
  p, q = policy(new), np.asarray(values, np.float64)
  mu = np.broadcast_to(np.asarray(reference, np.float64), p.shape)
  kl = lambda z: (p * (np.log(p) - np.log(policy(z)))).sum(axis=-1)
  pull = (1 / step_size - strength) * kl(old)
  return (p * q).sum(axis=-1) - strength * kl(mu) - pull
