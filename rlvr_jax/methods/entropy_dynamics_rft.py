"""Clip_B and Clip_V: drop the tokens that would lower entropy the most."""

import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.stats import CovProbLogp, Entropy
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Need

CHOICES = {
  "variant": ("clip_b", "clip_v"),
  "sign": ("negative", "all"),
  "logp": ("old", "sample"),
}
MU = {"clip_b": 2.5, "clip_v": 8.5}
MAX_FRACTION = {"clip_b": 1.0, "clip_v": 1e-4}
NO_SPREAD = 1e-12  # deviations below this mean that all are alike
ENTROPY = Need(Entropy(), when="rollout")
MEAN_DISCRIMINATOR = Need(CovProbLogp(), when="rollout")
KEEP = "entropy_dynamics_rft/keep"


def entropy_dynamics_rft(
  variant: str = "clip_b",
  mu: float | None = None,
  max_fraction: float | None = None,
  sign: str = "negative",
  two_sided: bool = False,
  skip_zero_advantage: bool = False,
  logp: str = "old",
) -> LossTransform:
  """Leaves out negative tokens whose discriminator is an outlier.

  A step on a token of advantage A changes the entropy by about -A (S - N) per
  unit of step size, S = p (log p + H), N = E_p[S]. The deviation of a token is
    clip_b  d = mean S - S      over the counted tokens of the rollout
    clip_v  d = N - S           against its own vocabulary
  and a token with A < 0 and d > mu std d is left out: rare ones, whose push
  down would lower the entropy. They leave the denominators too. Stand behind
  the advantage estimator.

  Edits:   objective.mask (×)
  Needs:   entropy of the policy at rollout; for clip_v N at rollout too
  State:   none
  Scope:   step
  Neutral: mu = inf

  Args:
    variant: "clip_b" or "clip_v".
    mu: deviations of more than mu standard deviations are outliers, >= 0; with
      inf there are none; None for 2.5 of clip_b (2.0 to 3.0) and 8.5 of clip_v
      (7.5 to 8.5).
    max_fraction: share of the counted tokens that may be left out, those of
      largest deviation first and at least one, in (0, 1]; None for 1 of
      clip_b and 1e-4 of clip_v.
    sign: advantages of the tokens that may be left out: "negative" (code) or
      "all" (ours), where A > 0 turns the test around: d < -mu std d.
    two_sided: |d| > mu std d is an outlier (ours); the code has one side.
    skip_zero_advantage: clip_v leaves outliers with A = 0 out too, beyond
      max_fraction, which moves the denominators; True keeps them (ours).
    logp: log-probs that S is made of: "old", of the parameters at sampling
      time, or "sample", of the distribution sampled. The code has the second
      in clip_b, the first in clip_v.

  Returns:
    A LossTransform named "entropy_dynamics_rft".

  Raises:
    ValueError: an unknown choice, or a number out of range.

  Metrics:
    entropy_dynamics_rft/dropped_fraction: share of the counted tokens left
      out.
    entropy_dynamics_rft/discriminator: mean S, nats.
    entropy_dynamics_rft/spread: std d, nats.

  Source:
    Wang et al., On the Entropy Dynamics in Reinforcement Fine-Tuning of Large
    Language Models, arXiv 2602.03392, theorem 3.3. Code:
    agentscope-ai/Trinity-RFT, trinity/algorithm/advantage_fn,
    clipb_advantage.py and clipv_advantage.py.
    Differs from that code: clip_b takes the log-probs of the same parameters
    as the entropies (logp = "sample" restores it); the tokens leave the mask
    of the loss, not the one that other measurements read.
  """
  given = {"variant": variant, "sign": sign, "logp": logp}
  for name, value in given.items():
    if value not in CHOICES[name]:
      raise ValueError(
        f"entropy_dynamics_rft.{name} = {value!r} must be in {CHOICES[name]}."
      )
  if mu is not None and not mu >= 0:
    raise ValueError(f"entropy_dynamics_rft.mu = {mu} must be >= 0, or None.")
  if max_fraction is not None and not 0 < max_fraction <= 1:
    raise ValueError(
      f"entropy_dynamics_rft.max_fraction = {max_fraction} must lie in (0, 1], "
      "or be None."
    )
  bound = MU[variant] if mu is None else mu
  most = MAX_FRACTION[variant] if max_fraction is None else max_fraction
  by_vocabulary = variant == "clip_v"

  def discriminator(batch, context):
    found = batch.sample_logp if logp == "sample" else batch.old_logp
    return jnp.exp(found) * (found + context.stat(ENTROPY))

  def outliers(deviation, spread, advantages):
    facing = jnp.where(advantages > 0, -deviation, deviation)
    size = jnp.abs(deviation) if two_sided else facing
    # Where all are alike the product may be inf * 0.
    return size, (size > bound * spread) & (spread >= NO_SPREAD)

  def prepare(batch, state, context):
    mask, advantages = batch.mask, batch.advantages
    s = discriminator(batch, context)
    centre = reduce.masked_mean(s, mask)
    deviation = (
      context.stat(MEAN_DISCRIMINATOR) if by_vocabulary else centre
    ) - s
    spread = jnp.sqrt(reduce.masked_var(deviation, mask))
    size, out = outliers(deviation, spread, advantages)
    out = out & mask
    eligible = advantages != 0 if sign == "all" else advantages < 0
    dropped = out & eligible
    if most < 1:  # else sorting all tokens would be for nothing
      dropped = reduce.top_mask(size, dropped, reduce.count_of(most, mask))
    if by_vocabulary and not skip_zero_advantage:
      dropped |= out & (advantages == 0)
    metrics = {
      "entropy_dynamics_rft/dropped_fraction": reduce.masked_mean(
        dropped.astype(jnp.float32), mask
      ),
      "entropy_dynamics_rft/discriminator": centre,
      "entropy_dynamics_rft/spread": spread,
    }
    keep = (mask & ~dropped).astype(jnp.float32)
    return batch.replace(
      notes=batch.notes | {KEEP: keep}, metrics=batch.metrics | metrics
    ), state

  def apply(objective, state, context):
    keep = context.batch.notes[KEEP]
    return objective.replace(mask=objective.mask * keep), state

  needs = (ENTROPY, MEAN_DISCRIMINATOR) if by_vocabulary else (ENTROPY,)
  return LossTransform(
    "entropy_dynamics_rft", apply=apply, prepare=prepare, needs=needs
  )
