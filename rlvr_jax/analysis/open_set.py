"""Adapting a classifier without labels: TENT, and whom to leave out.

TENT lowers the entropy of the predictions and so strengthens wrong ones too.
Its selection by the wisdom of crowds keeps the samples whose confidence in the
class that the original model predicted has not fallen: the many right samples
move shared parameters against the few wrong ones. All functions take logits
and are differentiable by those of the adapted model; samples of a batch are
rows.

Source: Lee et al., Towards Open-Set Test-Time Adaptation Utilizing the Wisdom
of Crowds in Entropy Minimization, arXiv 2308.06879; TENT arXiv 2006.10726.
Code: gaozhengqing/UniEnt, cifar/ostta.py and tent.py.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax import reduce

Array = jax.Array


class Confidence(NamedTuple):
  """Probability of the class that the original model predicts."""

  original: Array  # f[B] under the original model
  adapted: Array  # f[B] under the adapted one

  @property
  def kept(self) -> Array:
    """bool[B]: whose confidence has not fallen."""
    return self.adapted >= self.original


def confidence(adapted: Array, original: Array) -> Confidence:
  """Both confidences, of logits f[B, C] each; without gradient."""
  now, before = jax.lax.stop_gradient(
    (jax.nn.softmax(adapted), jax.nn.softmax(original))
  )
  predicted = before.argmax(axis=-1)[:, None]
  at = lambda p: jnp.take_along_axis(p, predicted, axis=-1)[:, 0]
  return Confidence(at(before), at(now))


def entropy(logits: Array) -> Array:
  """Entropy of each prediction, f[B] nats, of f[B, C]."""
  log_p = jax.nn.log_softmax(logits)
  return -(jnp.exp(log_p) * log_p).sum(axis=-1)


def marginal_entropy(logits: Array) -> Array:
  """Entropy of the mean prediction of all samples, f[] nats, of f[B, C]."""
  p = jax.nn.softmax(logits).mean(axis=0)
  return -jax.scipy.special.xlogy(p, p).sum()


def tent_loss(logits: Array, diversity: float = 0.0) -> Array:
  """Mean entropy less `diversity` times that of the mean prediction.

  Args:
    logits: f[B, C] of the adapted model.
    diversity: 0 is TENT; UniEnt gives its baseline 0.1 to 1.

  Returns:
    f[], nats.
  """
  return entropy(logits).mean() - diversity * marginal_entropy(logits)


def open_set_loss(
  adapted: Array, original: Array, diversity: float = 0.5
) -> Array:
  """`tent_loss` whose mean entropy is over the kept samples alone.

  Args:
    adapted: f[B, C] logits of the adapted model.
    original: f[B, C] logits of the original one.
    diversity: of the mean prediction of all samples, kept or not, >= 0; the
      published value was not found, UniEnt sweeps 1, 0.5, 0.2 and 0.1.

  Returns:
    f[], nats; if nothing is kept the first term is 0, where the released code
    gives NaN.
  """
  kept = confidence(adapted, original).kept
  main = reduce.masked_mean(entropy(adapted), kept)
  return main - diversity * marginal_entropy(adapted)
