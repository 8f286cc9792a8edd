"""Reference vectors of the figures that verl and TRL log."""

from collections.abc import Mapping
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np

from golden_adapters import common
from golden_adapters.common import assert_close
from rlvr_jax import methods, objective, transform
from rlvr_jax.analysis import answers
from rlvr_jax.kernels import reference
from rlvr_jax.methods.kl_penalty import REF_LOGP
from rlvr_jax.sampling import sampler
from rlvr_jax.training import measures

EOS, OTHER = 1, 2

# What no figure of this library gives.
PENDING = frozenset(
  {
    # Of the advantages only the mean of |A| is logged, and a sequence's
    # returns belong to a critic.
    *(f"critic__advantages__{x}" for x in ("mean", "max", "min")),
    *(f"critic__returns__{x}" for x in ("mean", "max", "min")),
    # The sampler counts the end of a response, so none is empty, and a prompt
    # that does not fit its width is refused, so none is cut.
    "response__aborted_ratio",
    "prompt_length__clip_ratio",
    # Perplexities and their ratio say the same as these logarithms.
    "rollout_corr__training_log_ppl",
    "rollout_corr__rollout_log_ppl",
    *(f"rollout_corr__log_ppl_{x}" for x in ("diff", "abs_diff")),
    *(f"rollout_corr__log_ppl_diff_{x}" for x in ("max", "min")),
    # Between equal parameters the sums of log-ratios over a response are
    # rounding noise, and between others exp(2 sum) is all tail.
    "rollout_corr__chi2_seq",
    "training__rollout_probs_diff_valid",  # that there was something to compare
    # The loop reads its clock itself and divides response tokens, not all
    # tokens, by the time of the rollout, not by that of the step and by chips.
    *(f"timing_s__{x}" for x in ("gen", "update_actor", "step")),
    *(f"timing_per_token_ms__{x}" for x in ("gen", "update_actor")),
    *(f"perf__{x}" for x in ("total_num_tokens", "time_per_step")),
    "perf__throughput",
    "tflops_per_s",
    # There is no proxy of the gradient's variance.
    *(f"variance_proxy__{x}" for x in ("expected_a_squared", "expected_w")),
    "variance_proxy__proxy1_signal_strength",
    "variance_proxy__proxy2_total_power",
    "variance_proxy__proxy3_pure_noise",
    # Clip fractions are those of the minibatch, not extremes over its rows.
    "trl_clip_ratio__low_min",
    "trl_clip_ratio__high_max",
  }
)
# verl draws n of the answers with replacement from numpy's global generator.
# Here pass@k is the unbiased one and maj@n votes over all samples, exactly.
PENDING_VALIDATION = frozenset(
  {
    f"{x}_at_{n}__{y}"
    for x in ("best", "worst", "maj")
    for n in (2, 4)
    for y in ("mean", "std")
  }
  | {"std_at_4"}
)

_UPDATE = {
  "actor__pg_clipfrac": "loss/clipped_fraction",
  "actor__pg_clipfrac_lower": "ppo_clip/dual_fraction",
  "actor__ppo_kl": "loss/kl",
  "trl_clip_ratio__low_mean": "loss/clipped_low_fraction",
  "trl_clip_ratio__high_mean": "loss/clipped_high_fraction",
  "trl_clip_ratio__region_mean": "loss/clipped_fraction",
}
_ROLLOUT = {
  "entropy_token_mean": "policy/entropy",
  "trl_frac_reward_zero_std": "reward/zero_std_fraction",
  "trl_reward_std_batch": "reward/std",
  "response_length__clip_ratio": "rollout/truncated_fraction",
  **{
    f"{theirs}__{x}": f"rollout/{ours}_{x}"
    for theirs, ours in {
      "response_length": "length",
      "prompt_length": "prompt_length",
    }.items()
    for x in ("mean", "max", "min")
  },
}
# verl takes these over the responses that have a token; rewards are scores
# less a divergence in the reward, which nothing here subtracts.
_NOT_EMPTY = {
  **{
    f"critic__{name}__{x}": f"reward/{x}"
    for name in ("score", "rewards")
    for x in ("mean", "max", "min")
  },
  **{
    f"response_length_non_aborted__{x}": f"rollout/length_{x}"
    for x in ("mean", "max", "min")
  },
  "response_length_non_aborted__clip_ratio": "rollout/truncated_fraction",
}
_MISMATCH = {
  "rollout_corr__kl": "mismatch/kl",
  "rollout_corr__k3_kl": "mismatch/k3",
  "rollout_corr__training_ppl": "mismatch/trainer_perplexity",
  "rollout_corr__rollout_ppl": "mismatch/sampler_perplexity",
  "rollout_corr__ppl_ratio": "mismatch/perplexity_ratio",
  "rollout_corr__chi2_token": "mismatch/chi2",
  "training__rollout_probs_diff_max": "mismatch/probability_max",
  "training__rollout_probs_diff_mean": "mismatch/probability_mean",
  "training__rollout_probs_diff_std": "mismatch/probability_std",
  "training__rollout_actor_probs_pearson_corr": (
    "mismatch/probability_correlation"
  ),
}


def check_metrics(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case found in `vectors`."""
  count = 0
  for number, case in common.cases(vectors):
    where, count = f"case{number}", count + 1
    if "score" in case.inputs:
      _check_validation(where, case)
    elif "seqlens" in case.inputs:
      common.assert_covered(where, case, (), PENDING)
    else:
      _check_step(where, case)
  assert count, sorted(vectors)


def _check_step(where: str, case: common.Case) -> None:
  got = _of_update(case) | _of_rollout(case)
  batch = _batch(case, sample="rollout_log_prob")
  mismatch = measures.mismatch(
    jnp.asarray(case.inputs["old_log_prob"]), batch.old_logp, batch.mask
  )
  got |= {theirs: mismatch[ours] for theirs, ours in _MISMATCH.items()}
  pending = set(PENDING)
  if not case.inputs["response_mask"].any(axis=1).all():
    # An empty response ends nowhere, so it would count as truncated here.
    pending.add("response_length__clip_ratio")
  checked = (got.keys() & case.out.keys()) - pending
  for name in sorted(checked):
    exact = name.endswith(("length__max", "length__min"))
    tolerance = (0.0, 0.0) if exact else (1e-5, 1e-6)
    assert_close(f"{where}: {name}", got[name], case.out[name], *tolerance)
  common.assert_covered(where, case, checked, pending)


def _batch(case: common.Case, sample: str = "old_log_prob"):
  """The rollout of a case; a response shorter than the width ends in EOS."""
  inputs = case.inputs
  mask = inputs["response_mask"]
  batch = common.batch(
    inputs[sample],
    inputs["advantages_tok"],
    mask,
    reward=inputs["rewards"],
    group=np.repeat(np.arange(case.hp["P"]), case.hp["G"]),
    stats={REF_LOGP.key: inputs["ref_log_prob"]},
  )
  rows, width = mask.shape
  ends = np.arange(width) == mask.sum(axis=1, keepdims=True) - 1
  response = np.where(ends & (np.arange(width) < width - 1), EOS, OTHER)
  prompt = np.full(inputs["prompt_mask"].shape, OTHER)
  return batch.replace(
    tokens=jnp.asarray(np.concatenate([prompt, response], axis=1), jnp.int32),
    prompt_mask=jnp.asarray(inputs["prompt_mask"] > 0),
  )


def _of_update(case: common.Case) -> dict[str, jax.Array]:
  hp, batch = case.hp, _batch(case)
  clip = methods.make(
    "ppo_clip", low=hp["clip_low"], high=hp["clip_high"], dual=hp["clip_c"]
  )
  got, logp = {}, case.inputs["log_prob"]
  modes = get_args(objective.Aggregation)
  # A penalty of weight 0 is measured, and leaves the loss alone.
  for mode, estimator in zip(modes, ("k1", "abs", "k2", "k3"), strict=True):
    penalty = methods.make("kl_penalty", coef=0.0, estimator=estimator)
    method = transform.chain(clip, penalty)
    loss, _, metrics = common.loss_and_grad(method, batch, logp, mode=mode)
    got[f"pg_loss__{mode.replace('-', '_')}"] = loss
    got[f"kl_{estimator}_masked_mean"] = metrics["kl_penalty/kl"]
  return got | {theirs: metrics[ours] for theirs, ours in _UPDATE.items()}


def _of_rollout(case: common.Case) -> dict[str, jax.Array]:
  batch, logits = _batch(case), jnp.asarray(case.inputs["logits"])
  flat = logits.reshape(-1, logits.shape[-1])
  moments = reference.moments(flat, jnp.zeros(len(flat), jnp.int32))
  entropy = moments.entropy.reshape(logits.shape[:2])
  measure = jax.jit(measures.rollout, static_argnums=2)
  ends = sampler.Ends((EOS,), 0)
  every = measure(batch, entropy, ends)
  group = jnp.where(batch.mask.any(axis=1), batch.group, -1)
  some = measure(batch.replace(group=group), entropy, ends)
  return {
    "entropy_per_token": entropy,
    **{theirs: every[ours] for theirs, ours in _ROLLOUT.items()},
    **{theirs: some[ours] for theirs, ours in _NOT_EMPTY.items()},
  }


def _check_validation(where: str, case: common.Case) -> None:
  uid, score = case.inputs["uid"], case.inputs["score"]
  right = np.stack([score[uid == q] for q in np.unique(uid)])
  name = f"mean_at_{right.shape[1]}"
  mean = answers.avg_at_k(right).mean()
  assert_close(f"{where}: {name}", mean, case.out[name], rtol=1e-9)
  common.assert_covered(where, case, {name}, PENDING_VALIDATION)
