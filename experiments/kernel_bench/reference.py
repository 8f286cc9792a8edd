"""The results of a few tokens in float64, which all contenders must agree with.

With p = softmax(z) and entropy S, d log p_y / dz_j = [j = y] - p_j and
dS / dz_j = -p_j (log p_j + S).
"""

from collections.abc import Collection, Mapping

import jax.numpy as jnp
import numpy as np

from experiments.kernel_bench import problem
from experiments.kernel_bench.problem import Numbers, Shape


def values(
  shape: Shape, numbers: Numbers, outputs: Collection[str]
) -> dict[str, np.ndarray]:
  """Log-probs, entropies and gradients of the sample.

  Args:
    shape: of the problem.
    numbers: of it.
    outputs: those that have a cotangent.

  Returns:
    `logp` and `entropy` f64[K]; `hidden` f64[K, D], the gradient by the hidden
    states of the sample; `weights` f64[K, D], that by the weights of its
    targets.
  """
  at = problem.sample(shape.tokens)
  dtype, y = jnp.dtype(shape.dtype), numbers.targets[at]
  typed = lambda x: x.astype(dtype).astype(np.float64)
  hidden, weights = typed(numbers.hidden[at]), typed(numbers.weights)
  z = hidden @ weights.T
  z -= z.max(axis=1, keepdims=True)
  logp = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
  p = np.exp(logp)
  entropy = -(p * logp).sum(axis=1)
  given = [name in outputs for name in problem.OUTPUTS]
  first, second = (numbers.cotangents[:, at].T * given).T[:, :, None]
  dz = -first * p - second * p * (logp + entropy[:, None])
  dz[np.arange(len(y)), y] += first[:, 0]
  return dict(
    logp=logp[np.arange(len(y)), y],
    entropy=entropy,
    hidden=dz @ weights,
    weights=dz[:, y].T @ hidden,
  )


def differences(
  found: Mapping[str, np.ndarray], exact: Mapping[str, np.ndarray]
) -> dict[str, float]:
  """The largest ones: of outputs in nats, of gradients to the largest entry."""
  scale = {name: np.abs(exact[name]).max() for name in ("hidden", "weights")}
  largest = lambda name: np.abs(found[name] - exact[name]).max()
  return {name: float(largest(name) / scale.get(name, 1)) for name in found}


def tolerance(dtype: str, backend: str) -> float:
  """Largest difference allowed; GPU and TPU round float32 before products."""
  return 1e-3 if (dtype, backend) == ("float32", "cpu") else 5e-2
