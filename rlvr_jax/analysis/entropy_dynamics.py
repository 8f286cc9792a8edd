"""How one sampled token of an update moves the entropy at its position.

With p the next-token distribution of entropy H, S_i = p_i (H + log p_i) and
N = E_p[S]: a step that adds alpha (1{j = k} - p_j) to the logits, as one
policy-gradient step on token k does with alpha = learning rate x ratio x
advantage, changes the entropy by -alpha (S_k - N) to first order.

Source: Wang et al., On the Entropy Dynamics in Reinforcement Fine-Tuning of
Large Language Models, arXiv 2602.03392, theorems 3.2-3.3. Code:
agentscope-ai/Trinity-RFT, trinity/algorithm/advantage_fn.
"""

from typing import NamedTuple

import numpy as np


class Dynamics(NamedTuple):
  """What a batch of sampled tokens says about the next entropy change."""

  mean_discriminator: float  # mean S, nats
  mean_centred: float  # mean S - N; about 0 for tokens sampled from p
  change: float  # sum of the predicted changes, nats
  # Shares of the counted tokens, by the signs of the advantage and of S.
  positive_probable: float  # A > 0, S > 0: lowers the entropy
  positive_rare: float  # A > 0, S < 0: raises it
  negative_probable: float  # A < 0, S > 0: raises it
  negative_rare: float  # A < 0, S < 0: lowers it


def discriminator(logp: np.ndarray, entropy: np.ndarray) -> np.ndarray:
  """Returns S = p (H + log p), float64 of the shape of `logp`.

  Its sign is that of p - exp(-H).

  Args:
    logp: float[...] log-probability of a token in nats.
    entropy: float[...] entropy H at its position in nats.
  """
  logp = np.asarray(logp, np.float64)
  finite = np.where(np.isfinite(logp), logp, 0.0)
  return np.exp(logp) * (np.asarray(entropy, np.float64) + finite)


def mean_discriminator(policy: np.ndarray) -> np.ndarray:
  """Returns N = E_p[S], float64[...]; 0 iff uniform on its support, else > 0.

  Args:
    policy: float[..., V] probabilities over the tokens of a position.
  """
  p = np.asarray(policy, np.float64)
  log_p = np.log(np.where(p > 0, p, 1.0))
  entropy = -(p * log_p).sum(axis=-1, keepdims=True)
  return (p * p * (log_p + entropy)).sum(axis=-1)


def entropy_change(
  logp: np.ndarray,
  entropy: np.ndarray,
  mean_discriminator: np.ndarray,
  advantages: np.ndarray,
  step_size: float,
  ratio: np.ndarray | float = 1.0,
) -> np.ndarray:
  """Returns the first-order entropy change of one step on each token.

  Args:
    logp: float[...] log-probability of the sampled token in nats.
    entropy: float[...] entropy at its position in nats.
    mean_discriminator: float[...] N at its position.
    advantages: float[...]; 0 for tokens that the clip bounds stop.
    step_size: learning rate of the logits.
    ratio: float[...] pi / pi_old.

  Returns:
    float64[...] nats, -step_size ratio A (S - N).

  Source:
    2602.03392, theorem 3.3.
  """
  centred = discriminator(logp, entropy) - np.asarray(mean_discriminator)
  return -step_size * np.asarray(ratio) * np.asarray(advantages) * centred


def summarise(
  logp: np.ndarray,
  entropy: np.ndarray,
  mean_discriminator: np.ndarray,
  advantages: np.ndarray,
  mask: np.ndarray,
  step_size: float,
  ratio: np.ndarray | float = 1.0,
) -> Dynamics:
  """Returns the figures of a batch; all 0 if nothing counts.

  Args:
    logp: float[B, T], as of `entropy_change`.
    entropy: float[B, T], likewise.
    mean_discriminator: float[B, T], likewise.
    advantages: float[B, T], likewise.
    mask: bool[B, T] true where a token counts.
    step_size: as of `entropy_change`.
    ratio: float[B, T], likewise.
  """
  counts = np.asarray(mask, bool)
  number = max(int(counts.sum()), 1)
  s = discriminator(logp, entropy)
  gain = np.broadcast_to(np.asarray(advantages), s.shape)
  change = entropy_change(
    logp, entropy, mean_discriminator, gain, step_size, ratio
  )
  mean = lambda x: float(np.where(counts, x, 0.0).sum() / number)
  return Dynamics(
    mean_discriminator=mean(s),
    mean_centred=mean(s - mean_discriminator),
    change=mean(change) * number,
    positive_probable=mean((gain > 0) & (s > 0)),
    positive_rare=mean((gain > 0) & (s < 0)),
    negative_probable=mean((gain < 0) & (s > 0)),
    negative_rare=mean((gain < 0) & (s < 0)),
  )
