"""STEER: damp the tokens that would change the entropy most."""

import jax
import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.objective import is_clipped
from rlvr_jax.stats import CovProbLogp, Entropy
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array, Need

CHOICES = {
  "mapping": ("exp", "linear"),
  "form": ("released", "theorem", "exact"),
  "mode": ("symmetric", "asymmetric"),
  "normalizer": ("max", "quantile", "rank"),
}
QUANTILE = 0.99  # of |Omega|, the scale of normalizer = "quantile"


def steer(
  w_min: float = 0.7,
  w_max: float = 1.0,
  mapping: str = "exp",
  form: str = "released",
  mode: str = "symmetric",
  omega_floor: float = 0.02,
  scope_rows: int | None = None,
  normalizer: str = "max",
) -> LossTransform:
  """Weighs each token by the size of the entropy change it would cause.

  Omega estimates the first-order change of the entropy at a position (> 0
  raises it), per unit of step size, with p = pi(y), S = p(log p + H) and
  N = E_p[S]:
    released  -A / pi_old(y) * S (1 - p)
    theorem   -I r A * S (1 - p)    I = 0 where PPO clips; other logits fixed
    exact     -I r A * (S - N)      the softmax gradient in full
  With M = |Omega| the weight is exp(ln(w_min) M / max(max M, omega_floor)), or
  falls linearly from w_max at min M to w_min at max M. All of it is constant.
  With scope_rows the order of the rows matters.

  Edits:   objective.weights (×)
  Needs:   entropy of the policy at rollout; at update for form = "exact", and
           Cov_p(p, log p) = N at update
  State:   none
  Scope:   minibatch; blocks of scope_rows rows if given
  Neutral: w_min = w_max = 1

  Args:
    w_min: weight of the token of largest M, in (0, 1]; 0.7 in the paper, 0.8
      in the released scripts.
    w_max: largest weight, >= 1; read by "linear" (1.2 in the script) and by
      "asymmetric" only.
    mapping: "exp" (paper's main choice) or "linear".
    form: which Omega; "released" gave the published numbers.
    mode: "symmetric" damps every change; "asymmetric" maps the signed Omega,
      so that tokens that raise entropy are amplified up to w_max.
    omega_floor: smallest scale of "exp", unit of Omega, >= 0; 0.02 in the code,
      0 in the paper.
    scope_rows: rows over which the scale is taken, >= 1; None for the whole
      minibatch. The code takes its micro-batch of 8.
    normalizer: what the scale is: "max", the 0.99 "quantile" of M (larger M
      count as that), or the "rank" of M in [0, 1] in place of M. Rare tokens
      set the maximum of the released form.

  Returns:
    A LossTransform named "steer".

  Raises:
    ValueError: an unknown choice, or a number out of range.

  Metrics:
    steer/weight_mean: mean weight of the counted tokens.
    steer/weight_min: smallest weight.
    steer/omega_max: largest M, before the normalizer.

  Source:
    Hao et al., Rethinking Entropy Interventions in RLVR: An Entropy Change
    Perspective, arXiv 2510.10150, equation 9. Code: zz-haooo/STEER,
    verl/trainer/ppo/core_algos.py, compute_token_weights and
    compute_policy_loss_with_entropy. N: arXiv 2602.03392, theorem 3.3.
    Differs from that code: the scale is of the whole minibatch, not of the
    micro-batch of one rank (scope_rows = 8 restores that). "theorem" is the
    paper's estimate, "exact", "quantile" and "rank" are ours.
  """
  given = {
    "mapping": mapping, "form": form, "mode": mode, "normalizer": normalizer
  }  # fmt: skip
  for name, value in given.items():
    if value not in CHOICES[name]:
      raise ValueError(f"steer.{name} = {value!r} must be in {CHOICES[name]}.")
  if not 0 < w_min <= 1:
    raise ValueError(f"steer.w_min = {w_min} must lie in (0, 1].")
  if not w_max >= 1:
    raise ValueError(f"steer.w_max = {w_max} must be >= 1.")
  if not omega_floor >= 0:
    raise ValueError(f"steer.omega_floor = {omega_floor} must be >= 0.")
  if scope_rows is not None and scope_rows < 1:
    raise ValueError(f"steer.scope_rows = {scope_rows} must be None or >= 1.")
  # N belongs to the current policy, so H must too where the two are combined.
  when = "update" if form == "exact" else "rollout"
  entropy = Need(Entropy(), when=when)
  mean_discriminator = Need(CovProbLogp())

  def estimated(objective, context):
    n = context.stat(mean_discriminator) if form == "exact" else None
    change = omega(
      form,
      context.logp,
      context.batch.old_logp,
      objective.advantages,
      context.stat(entropy),
      mean_discriminator=n,
      clipped=form != "released" and is_clipped(objective, context),
    )
    change = jax.lax.stop_gradient(change)
    return jnp.where(jnp.isfinite(change), change, 0.0)

  def normalized(size, mask):
    """f32[...] in place of M."""
    if normalizer == "max":
      return size
    ordered = jnp.sort(jnp.where(mask, size, jnp.inf).reshape(-1))
    last = jnp.maximum(mask.sum() - 1, 0)
    if normalizer == "rank":
      # Equal sizes share the lowest rank, so that no change keeps weight 1.
      below = jnp.searchsorted(ordered, size.reshape(-1)).reshape(size.shape)
      return below / jnp.maximum(last, 1).astype(jnp.float32)
    at = jnp.ceil(QUANTILE * last).astype(jnp.int32)
    return jnp.minimum(size, ordered[at])

  def weigh(change, mask):
    size = normalized(jnp.abs(change), mask)
    # The larger the value, the larger the weight, in either mode.
    value = -size if mode == "symmetric" else jnp.sign(change) * size
    if mapping == "exp":
      scale = jnp.maximum(reduce.masked_max(size, mask), omega_floor)
      # Double where: a scale of 0 means that every size is 0.
      rate = -jnp.log(w_min) / jnp.where(scale > 0, scale, 1.0)
      weight = jnp.exp(rate * value)
    else:
      low = reduce.masked_min(value, mask)
      width = reduce.masked_max(value, mask) - low
      share = (value - low) / jnp.where(width > 0, width, 1.0)
      share = jnp.where(width > 0, share, 0.5)
      weight = w_min + (w_max - w_min) * share
    return jnp.where(mask, jnp.clip(weight, w_min, w_max), 0.0)

  def apply(objective, state, context):
    mask = objective.mask > 0
    change = estimated(objective, context)
    weight = reduce.in_blocks(weigh, scope_rows, change, mask)
    metrics = {
      "steer/weight_mean": reduce.masked_mean(weight, mask),
      "steer/weight_min": reduce.masked_min(weight, mask),
      "steer/omega_max": reduce.masked_max(jnp.abs(change), mask),
    }
    return objective.replace(
      weights=objective.weights * weight,
      metrics=objective.metrics | metrics,
    ), state

  needs = (entropy, mean_discriminator) if form == "exact" else (entropy,)
  return LossTransform("steer", apply=apply, needs=needs)


def omega(
  form: str,
  logp: Array,
  old_logp: Array,
  advantages: Array,
  entropy: Array,
  *,
  mean_discriminator: Array | None = None,
  clipped: Array | bool = False,
) -> Array:
  """Returns Omega of each token: nats per unit of step size, > 0 raises H.

  Args:
    form: "released", "theorem" or "exact", as of `steer`.
    logp: f[...] current log-probability of the sampled token, nats.
    old_logp: f[...] that at sampling time, nats.
    advantages: f[...].
    entropy: f[...] H at the position, nats.
    mean_discriminator: f[...] N at the position; read by "exact" only.
    clipped: bool[...] where PPO clips; not read by "released".

  Returns:
    f[...]; not finite where its arguments are not.
  """
  p = jnp.clip(jnp.exp(logp), 1e-8, 1 - 1e-8)
  discriminator = p * (jnp.log(p) + entropy)
  if form == "released":
    old = jnp.clip(jnp.exp(old_logp), 1e-8, 1.0)
    return -advantages / old * discriminator * (1 - p)
  ratio = jnp.exp(reduce.clamp(logp - old_logp, -20.0, 20.0))
  step = jnp.where(clipped, 0.0, ratio * advantages)
  if form == "theorem":
    return -step * discriminator * (1 - p)
  return -step * (discriminator - mean_discriminator)
