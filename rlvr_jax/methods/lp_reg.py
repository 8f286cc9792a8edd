"""Lp-Reg: holds rare tokens up to a proxy of the policy without its noise."""

import jax
import jax.numpy as jnp

from rlvr_jax import reduce, stats
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Need

MAX_DIVERGENCE = 10.0  # nats; and twice that of the difference of log-probs
CHOICES = {
  "filter": ("relative", "fixed"),
  "kl_type": ("k3", "kl", "abs", "mse", "full"),
  "proxy": ("old", "current", "ref"),
  "population": ("negative", "all"),
}


def lp_reg(
  coef: float = 1.0,
  min_p: float = 0.02,
  negative_share: float = 0.01,
  positive_share: float = 0.0,
  filter: str = "relative",
  soft: bool = False,
  kl_type: str = "k3",
  proxy: str = "old",
  population: str = "negative",
  scope_rows: int | None = None,
) -> LossTransform:
  """Pulls the least likely punished tokens up to a filtered policy.

  The proxy q is the policy without tokens of p < min_p max p, renormalised. Of
  the n tokens with A < 0 the K = floor(negative_share n) with the smallest log
  pi are looked at, none if K < 2. Those of them with log pi < log q, so that
  the proxy keeps them, lose the clip bounds, and get coef D added to their
  loss, D = exp(d) - 1 - d with d = log q - log pi. q and the choice are held
  constant.

  Edits:   objective.clip_low (+), objective.clip_high (+), objective.added (+)
  Needs:   log-prob of the policy's proxy at rollout; for proxy = "current" at
           update, for "ref" of ref at rollout; for kl_type = "full" its
           divergence at update too
  State:   none
  Scope:   minibatch; blocks of scope_rows rows if given
  Neutral: negative_share = positive_share = 0

  Where log-probs tie, the earlier token is chosen. Stand behind whatever sets
  clip bounds; a dual clip would still stop the tokens chosen.

  Args:
    coef: weight of D, per nat, >= 0; 1.0.
    min_p: probability below which the proxy leaves a token out, in (0, 1]; 0.02
      with either filter.
    negative_share: share of the tokens with negative advantage looked at, in
      [0, 1]; 0.01 for 14B, 0.005 for 32B.
    positive_share: the same of those with positive advantage; 0.
    filter: min_p is "relative" to the largest probability, or "fixed".
    soft: the proxy gives a removed token the least logit, not none.
    kl_type: D is "k3" as above (code), "kl" -d, "abs" |d|, "mse" d²/2, or
      "full", KL(q || pi) over the vocabulary (paper).
    proxy: made of the "old" policy, at sampling time, of the "current" one at
      each update, or of the reference "ref".
    population: "negative" as above (code), or "all" (paper): tokens less likely
      than the share's quantile of all counted tokens.
    scope_rows: rows over which K or the quantile is taken, >= 1; None for the
      whole minibatch. The code takes its micro-batch.

  Returns:
    A LossTransform named "lp_reg".

  Raises:
    ValueError: an unknown choice, a number out of range, or kl_type "full" of
      the old policy, whose distributions are not kept.

  Metrics:
    lp_reg/selected_fraction: share of the counted tokens pulled.
    lp_reg/kept_fraction: share of the counted tokens that the proxy keeps;
      unless soft, where its log-probs do not tell.
    lp_reg/divergence_nats: mean of D over the tokens pulled.

  Source:
    Huang et al., Low-probability Tokens Sustain Exploration in Reinforcement
    Learning with Verifiable Reward, arXiv 2510.03222, equation 6. Code:
    CarlanLark/Lp-Reg-dev, a fork of verl, apply_min_p and the policy loss.
    Differs from that code: K is of the whole minibatch (scope_rows = k restores
    the micro-batch); probabilities are filtered at the scoring temperature, in
    the code at 1, which its scripts use. |d| is bounded by 20 nats before, and
    D by 10 as in the code, which bounds D only.
  """
  given = {
    "filter": filter,
    "kl_type": kl_type,
    "proxy": proxy,
    "population": population,
  }
  for name, value in given.items():
    if value not in CHOICES[name]:
      raise ValueError(f"lp_reg.{name} = {value!r} must be in {CHOICES[name]}.")
  if kl_type == "full" and proxy == "old":
    raise ValueError(
      "lp_reg.kl_type = 'full' must go with proxy = 'current' or 'ref', not "
      "'old': distributions over the vocabulary are not kept from sampling; "
      "give another proxy, or kl_type = 'k3'."
    )
  if not coef >= 0:
    raise ValueError(f"lp_reg.coef = {coef} must be >= 0.")
  if not 0 < min_p <= 1:
    raise ValueError(f"lp_reg.min_p = {min_p} must lie in (0, 1].")
  shares = {
    "negative_share": negative_share,
    "positive_share": positive_share,
  }
  for name, value in shares.items():
    if not 0 <= value <= 1:
      raise ValueError(f"lp_reg.{name} = {value} must lie in [0, 1].")
  if scope_rows is not None and scope_rows < 1:
    raise ValueError(f"lp_reg.scope_rows = {scope_rows} must be None or >= 1.")
  stat = stats.ProxyLogp(min_p, filter, soft)
  source = "ref" if proxy == "ref" else "policy"
  when = "update" if proxy == "current" else "rollout"
  sampled = Need(stat, (source,), when)
  # One block of logits is enough where the policy is its own proxy.
  pair = ("policy",) if source == "policy" else ("ref", "policy")
  full = Need(stats.ProxyKL(stat), pair)

  def rare(logp, mask, side, share):
    if population == "all":
      return side & (logp < reduce.masked_quantile(logp, mask, share))
    count = reduce.count_of(share, side)
    # The code takes no token rather than a single one.
    return reduce.top_mask(-logp, side, count) & (count > 1)

  def choose(logp, advantages, mask):
    below = rare(logp, mask, mask & (advantages < 0), negative_share)
    if positive_share == 0:
      return below
    return below | rare(logp, mask, mask & (advantages > 0), positive_share)

  def divergence(d, exact):
    if kl_type == "full":
      value = exact
    elif kl_type == "k3":
      value = jnp.expm1(d) - d
    elif kl_type == "kl":
      value = -d
    elif kl_type == "abs":
      value = reduce.absolute(d)
    else:
      value = d**2 / 2
    return reduce.clamp(value, -MAX_DIVERGENCE, MAX_DIVERGENCE)

  def apply(objective, state, context):
    mask = objective.mask > 0
    logp = jax.lax.stop_gradient(context.logp)
    target = jax.lax.stop_gradient(context.stat(sampled))
    looked = reduce.in_blocks(
      choose, scope_rows, logp, objective.advantages, mask
    )
    chosen = looked & (logp < target)
    d = jnp.where(chosen, target - context.logp, 0.0)
    d = reduce.clamp(d, -2 * MAX_DIVERGENCE, 2 * MAX_DIVERGENCE)
    exact = context.stat(full) if kl_type == "full" else 0.0
    value = jnp.where(chosen, divergence(d, exact), 0.0)
    mean = lambda x: reduce.masked_mean(x.astype(jnp.float32), mask)
    metrics = {
      "lp_reg/selected_fraction": mean(chosen),
      "lp_reg/divergence_nats": reduce.masked_mean(value, chosen),
    }
    if not soft:
      metrics["lp_reg/kept_fraction"] = mean(target > stats.REMOVED / 2)
    return objective.replace(
      clip_low=jnp.where(chosen, 0.0, objective.clip_low),
      clip_high=jnp.where(chosen, jnp.inf, objective.clip_high),
      added=objective.added + coef * value,
      metrics=objective.metrics | metrics,
    ), state

  needs = (sampled, full) if kl_type == "full" else (sampled,)
  return LossTransform("lp_reg", apply=apply, needs=needs)
