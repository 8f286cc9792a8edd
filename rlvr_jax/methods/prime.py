"""PRIME: token rewards of a second policy that is trained on the outcomes."""

import jax.numpy as jnp

from rlvr_jax import implicit_reward, reduce
from rlvr_jax.stats import Logp
from rlvr_jax.transform import Learner, LossTransform
from rlvr_jax.types import Need

CHOICES = {
  "loss": tuple(implicit_reward.ONLINE),
  "reference": ("frozen", "policy"),
  "learn": ("after", "before"),
  "granularity": ("token", "whole"),
  "normalize": ("batch", "none"),
}
UNIT = "lie in [0, 1]", lambda x: 0 <= x <= 1
POSITIVE = "be > 0", lambda x: x > 0
RANGES = {
  "beta": POSITIVE,
  "rate": POSITIVE,
  "max_gradient_norm": POSITIVE,
  "accuracy_low": UNIT,
  "accuracy_high": UNIT,
  "scale": POSITIVE,
  "smoothing": UNIT,
  "process_coef": ("be >= 0", lambda x: x >= 0),
  "outcome_coef": ("be >= 0", lambda x: x >= 0),
  "process_gamma": UNIT,
  "outcome_gamma": UNIT,
}
NOW = Need(Logp(), params=("reward",))
SCORE = Need(Logp(), params=("reward",), when="rollout")
REF = Need(Logp(), params=("ref",), when="rollout")
SLACK = 1e-6  # a mean of 0.2 need not be 0.2 to the last bit


def prime(
  beta: float = 0.05,
  loss: str = "ce",
  rate: float = 1e-6,
  max_gradient_norm: float = 10.0,
  learn: str = "after",
  reference: str = "frozen",
  accuracy_low: float = 0.2,
  accuracy_high: float = 0.8,
  granularity: str = "token",
  normalize: str = "batch",
  scale: float = 1.0,
  exclude_last_token: bool = False,
  smoothing: float = 0.0,
  end_at_reward: bool = False,
  process_coef: float = 1.0,
  outcome_coef: float = 1.0,
  process_gamma: float = 1.0,
  outcome_gamma: float = 1.0,
) -> LossTransform:
  """Sets the advantages to whitened returns of outcome and token rewards.

  q_t = log pi_phi - log pi_ref, with pi_phi a copy of the policy that learns
  beta * sum_t q_t as the logit of a response being right. In a group of n, with
  s_t = q_t / max |returns of q| and m_i the mean of s over response i,

    p_t = (n s_t - sum_k m_k) / (n - 1)          at every token
    o_i = R_i - mean of R_k over the others      at the last token

  and A is process_coef * return of p + outcome_coef * return of o, whitened
  over all tokens. The rewards themselves stay those of the verifier.

  Edits:   batch.advantages (own)
  Needs:   log-prob of "reward" at rollout, and at update in the learner;
           log-prob of "ref" at rollout if reference = "frozen"
  State:   none; pi_phi and its optimizer are the learner of the run
  Scope:   step
  Neutral: none; with pi_phi = pi_ref it is whitened RLOO

  Args:
    beta: of the reward that is learned, > 0; 0.05.
    loss: "ce" learns from each response on its own; "dpo", "bon_acc" and
      "bon_rm" set it against the others of its group, "kto" against the mean
      reward of the rollout, "nca" shares out the labels of a group; "ce".
    rate: learning rate of pi_phi, > 0; 1e-6.
    max_gradient_norm: of the gradient of pi_phi, > 0; 10.
    learn: "after" takes the scores from before pi_phi's step (PRIME), "before"
      those from after it (verl's recipe), for one more pass.
    reference: "frozen" for the policy of the beginning, "policy" for the one
      that sampled, which saves its pass.
    accuracy_low: pi_phi learns from groups whose mean reward is no less; 0.2.
    accuracy_high: and no more, both in [0, 1]; 0.8.
    granularity: "token", or "whole" for the sum of q at the last token.
    normalize: "batch", or "none" to leave s = scale * q.
    scale: multiplies q first; 1 in PRIME, beta in the recipe.
    exclude_last_token: the last token scores 0, as in the recipe.
    smoothing: lambda in [0, 1] of the sum over l of lambda^l q_{t+l}; 0.
    end_at_reward: the last q becomes R less the sum of the others, as the
      recipe's prime_use_gt does.
    process_coef: of the token rewards, >= 0; 1, recipe 5.
    outcome_coef: of the outcomes, >= 0; 1, recipe 5.
    process_gamma: discount of the token rewards in [0, 1]; 1.
    outcome_gamma: discount of the outcomes in [0, 1]; 1.

  Returns:
    A LossTransform named "prime".

  Raises:
    ValueError: a parameter out of its range.

  Metrics:
    prime/trained_fraction: share of the responses that pi_phi learns from.
    prime/pair_accuracy: of pairs of a group with different rewards, how many
      the sum of q orders rightly; 0.5 is chance.
    prime/sign_accuracy: share of responses whose sum of q has the right sign.
    prime/log_ratio: mean of |q|, nats.
    prime/largest_return: what s is divided by; 1 if normalize = "none".

  Source:
    Cui et al., Process Reinforcement through Implicit Rewards, arXiv
    2502.01456; Yuan et al., Free Process Rewards without Process Labels, arXiv
    2412.01981. Code: PRIME-RL/PRIME, training/verl/workers/fsdp_workers.py and
    training/verl/trainer/ppo/ray_trainer.py; volcengine/verl, recipe/prime.
    Differs from that code: the maximum is over the rollout, not one worker's
    rows; |q| of rounding, 1e-5 nats, scores 0; pi_phi takes one step per
    rollout; no prompts are sampled in place of those outside the range of
    accuracies, and the policy learns from these too; rewards are clipped to
    [0, 1] where they are labels; groups of one have no baseline; equal scores
    are half right in pair_accuracy.
  """
  credit = implicit_reward.Credit(
    granularity,
    normalize,
    scale,
    exclude_last_token,
    smoothing,
    end_at_reward,
    process_coef,
    outcome_coef,
    process_gamma,
    outcome_gamma,
  )
  _check(
    **credit._asdict(),
    beta=beta,
    loss=loss,
    rate=rate,
    max_gradient_norm=max_gradient_norm,
    learn=learn,
    reference=reference,
    accuracy_low=accuracy_low,
    accuracy_high=accuracy_high,
  )
  frozen = reference == "frozen"

  def log_ratio(logp, context):
    batch = context.batch
    ref = context.stat(REF) if frozen else batch.old_logp
    return jnp.where(_counted(batch), logp - ref, 0.0)

  def learner_loss(context):
    batch = context.batch
    label = reduce.clamp(batch.reward, 0.0, 1.0)
    accuracy = reduce.group_mean(label, batch.group)
    inside = (accuracy >= accuracy_low - SLACK) & (
      accuracy <= accuracy_high + SLACK
    )
    counted = _counted(batch).any(axis=1)
    reward = beta * log_ratio(context.stat(NOW), context).sum(axis=1)
    responses = implicit_reward.Responses(
      reward, label, batch.group, counted & inside
    )
    share = reduce.masked_mean(inside.astype(jnp.float32), counted)
    value = implicit_reward.ONLINE[loss](responses)
    return value, {"prime/trained_fraction": share}

  def prepare(batch, state, context):
    mask, reward = _counted(batch), batch.reward
    q = log_ratio(context.stat(SCORE), context)
    # Rounding would be blown up where pi_phi is still pi_ref.
    q = jnp.where(jnp.abs(q) <= reduce.ROUNDING, 0.0, q)
    score, divisor = credit.scores(q, reward, mask)
    returns = credit.returns(score, reward, mask, batch.group)
    kept = (batch.group >= 0)[:, None]
    found = jnp.where(kept, reduce.whiten(returns, mask), batch.advantages)
    metrics = {"prime/largest_return": divisor} | _measured(q, batch)
    return batch.replace(
      advantages=found, metrics=batch.metrics | metrics
    ), state

  learner = Learner(
    (NOW,), learner_loss, rate, max_gradient_norm, first=learn == "before"
  )
  return LossTransform(
    "prime",
    prepare=prepare,
    needs=(SCORE, REF) if frozen else (SCORE,),
    owns=("advantages",),
    learner=learner,
  )


def _counted(batch):
  return batch.mask & (batch.group >= 0)[:, None]


def _measured(q, batch):
  mask, total = _counted(batch), q.sum(axis=1)
  label = reduce.clamp(batch.reward, 0.0, 1.0)
  pairs = implicit_reward.pair_accuracy(total, label, batch.group)
  signs = implicit_reward.sign_accuracy(total, label, mask.any(axis=1))
  return {
    "prime/pair_accuracy": pairs,
    "prime/sign_accuracy": signs,
    "prime/log_ratio": reduce.masked_mean(jnp.abs(q), mask),
  }


def _check(**given):
  for name, allowed in CHOICES.items():
    if given[name] not in allowed:
      raise ValueError(
        f"prime.{name} = {given[name]!r} must be in {list(allowed)}."
      )
  for name, (words, holds) in RANGES.items():
    if not holds(given[name]):
      raise ValueError(f"prime.{name} = {given[name]!r} must {words}.")
  low, high = given["accuracy_low"], given["accuracy_high"]
  if not low <= high:
    raise ValueError(
      f"prime.accuracy_high = {high!r} must be >= accuracy_low = {low!r}."
    )
