"""Reference vectors of verl's and TRL's baselines."""

import functools
from collections.abc import Mapping
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np

from golden_adapters import common
from golden_adapters.common import assert_close
from rlvr_jax import methods, objective, reduce, transform
from rlvr_jax.methods.kl_penalty import ESTIMATORS, REF_LOGP, kl_penalty
from rlvr_jax.types import LOGP_KEY, Context

# Outputs of methods that do not exist here yet.
PENDING_ADVANTAGES = frozenset(
  {"grpo_vectorized", "grpo_passk", "opo", "gpg", "remax", "gae", "gae_returns"}
)
PENDING_LOSSES = frozenset({"gspo", "geo_mean", "cispo", "gpg", "sapo"})
PENDING_CORRECTIONS = frozenset(
  {f"tis_{s}_{n}" for s in ("token", "sequence") for n in ("raw", "bn")}
  | {
    f"trl_{s}_{a}" for s in ("token", "sequence") for a in ("mask", "truncate")
  }
  | {f"rs_token_k{k}" for k in (1, 2, 3)}
  | {"rs_seq_sum_k1", "rs_seq_sum_k3", "rs_seq_mean_k1", "rs_seq_mean_k3"}
  | {"rs_seq_max_k2", "rs_combo"}
)


def check_grpo_family(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case found in `vectors`."""
  count = 0
  for number, case in common.cases(vectors):
    where, count = f"case{number}", count + 1
    if "token_level_rewards" in case.inputs:
      _check_advantages(where, case)
    elif "loss_mat" in case.inputs:
      _check_aggregation(where, case)
    elif "ref_log_prob" in case.inputs:
      _check_divergence(where, case)
    elif "rollout_log_prob" in case.inputs:
      common.assert_covered(where, case, (), PENDING_CORRECTIONS)
    elif case.hp["name"] == "vanilla":
      _check_policy_loss(where, case)
    else:
      assert case.hp["name"] in PENDING_LOSSES, f"{where}: {case.hp['name']}"
  assert count, sorted(vectors)


def _check_advantages(where: str, case: common.Case) -> None:
  rewards = case.inputs["token_level_rewards"]
  mask = case.inputs["response_mask"]
  # verl sums over all positions, so a row that counts nowhere still has a
  # reward and still enters the mean of its group.
  rollout = common.batch(
    np.zeros_like(mask),
    None,
    mask,
    reward=rewards.sum(axis=1),
    group=case.inputs["group_id"],
  )
  got = _advantages(case.hp["epsilon"], case.hp["gamma"])(rollout)
  # Rewards on every token are beyond the method, not beyond its arithmetic.
  last = np.asarray(reduce.last_token(rollout.mask))
  if rewards[~last].any():
    del got["rfpp"]
  for name, advantages in got.items():
    if name in case.out:
      want = case.out[name]
      want = want[:, None] * mask if want.ndim == 1 else want
      assert_close(f"{where}: {name}", advantages, want)

  returns = reduce.returns_to_go(
    jnp.asarray(rewards), rollout.mask, case.hp["gamma"]
  )
  want = case.out["rfpp_returns"] * mask
  assert_close(f"{where}: rfpp_returns", returns, want)
  whitened = reduce.whiten(returns, rollout.mask)
  assert_close(f"{where}: whitened returns", whitened, case.out["rfpp"])
  checked = {*got, "rfpp", "rfpp_returns"}
  common.assert_covered(where, case, checked, PENDING_ADVANTAGES)


@functools.cache
def _advantages(epsilon: float, gamma: float):
  """All advantages in one program, compiled once for cases of one shape."""
  ours = {
    "grpo": methods.make("grpo", epsilon=epsilon),
    "grpo_nostd": methods.make("dr_grpo"),
    "rloo": methods.make("rloo"),
    "rloo_vectorized": methods.make("rloo", singleton="zero"),
    "rfpp": methods.make("reinforce_plus_plus", gamma=gamma),
    # The -baseline variant of the code tiles its reward: gamma is not used.
    "rfpp_baseline": methods.make("reinforce_plus_plus", baseline=True),
    "trl_group": methods.make("grpo", epsilon=1e-4),
    "trl_batch": methods.make("grpo", epsilon=1e-4, normalize="batch"),
  }
  return jax.jit(
    lambda rollout: {
      name: common.prepared(method, rollout).advantages
      for name, method in ours.items()
    }
  )


def _check_policy_loss(where: str, case: common.Case) -> None:
  check_policy_loss(where, case)
  checked = {"loss", "grad_log_prob", *_METRICS}
  common.assert_covered(where, case, checked, ())


_METRICS = {
  "pg_clipfrac": "loss/clipped_fraction",
  "pg_clipfrac_lower": "ppo_clip/dual_fraction",
  "ppo_kl": "loss/kl",
}


def check_policy_loss(where: str, case: common.Case) -> None:
  """PPO's clipped loss with dual clip: value, gradient and metrics."""
  inputs, hp = case.inputs, case.hp
  rollout = common.batch(
    inputs["old_log_prob"], inputs["advantages"], inputs["response_mask"]
  )
  method = methods.make(
    "ppo_clip",
    low=hp["clip_ratio_low"],
    high=hp["clip_ratio_high"],
    dual=hp["clip_ratio_c"],
  )
  if "rollout_is_weights" in inputs:
    correction = jnp.asarray(inputs["rollout_is_weights"])
    weigh = transform.reweight("rollout_weights", lambda o, c: correction)
    method = transform.chain(method, weigh)
  loss, gradient, metrics = common.loss_and_grad(
    method, rollout, inputs["log_prob"], mode=hp["loss_agg_mode"]
  )
  assert_close(f"{where}: loss", loss, case.out["loss"])
  assert_close(f"{where}: gradient", gradient, case.out["grad_log_prob"])
  for name, ours in _METRICS.items():
    assert_close(f"{where}: {name}", metrics[ours], case.out[name])


def _check_aggregation(where: str, case: common.Case) -> None:
  matrix, mask, hp = case.inputs["loss_mat"], case.inputs["loss_mask"], case.hp
  rollout = common.batch(np.zeros_like(matrix), None, mask)
  # Advantages are zero, so the loss is the aggregate of what is added, and
  # what is added is the log-prob itself, which stands for the loss matrix.
  given = transform.add("given", lambda o, c: c.logp, coef=1.0)
  rows = max((mask.sum(axis=1) > 0).sum(), 1)
  # The "_global" figures are what one of dp_size processes contributes: its
  # sum over the counts of all processes, times dp_size because gradients are
  # averaged. Here the minibatch is one array over all devices, so these are
  # the plain figures times known counts.
  of_tokens = mask.sum() / hp["batch_num_tokens"] * hp["dp_size"]
  of_rows = rows / hp["global_batch_size"] * hp["dp_size"]
  shares = {
    "token-mean": of_tokens,
    "seq-mean-token-sum": of_rows,
    "seq-mean-token-mean": of_rows,
  }
  evaluate = functools.partial(common.loss_and_grad, given, rollout, matrix)
  got = {}
  for mode in get_args(objective.Aggregation):
    name = mode.replace("-", "_")
    got[name], got[f"grad_{name}"], _ = evaluate(mode=mode)
    if mode in shares:
      got[f"{name}_global"] = got[name] * shares[mode]
  norm = "seq-mean-token-sum-norm"
  scaled, _, _ = evaluate(mode=norm, scale=hp["loss_scale_factor"])
  got["seq_mean_token_sum_norm_global"] = scaled
  for key, value in got.items():
    assert_close(f"{where}: {key}", value, case.out[key])
  common.assert_covered(where, case, got, ())


def _check_divergence(where: str, case: common.Case) -> None:
  logp = jnp.asarray(case.inputs["log_prob"])[None]
  ref = jnp.asarray(case.inputs["ref_log_prob"])[None]
  got = {}
  for name, (value, gradient) in _divergences(logp, ref).items():
    key = name.replace("+", "_st")
    got |= {key: value[0], f"grad_{key}": gradient[0]}
  for key, value in got.items():
    assert_close(f"{where}: {key}", value, case.out[key])
  common.assert_covered(where, case, got, ())


@jax.jit
def _divergences(logp, ref):
  """(value, gradient) f32[1, T] of what each estimator adds per token."""

  def added(logp, estimator):
    method = kl_penalty(coef=1.0, estimator=estimator)
    stats = {REF_LOGP.key: ref}
    rollout = common.batch(logp, None, np.ones(logp.shape), stats=stats)
    now = {LOGP_KEY: logp}
    context = Context(0, 0, jax.random.key(0), rollout, now, needs=method.needs)
    record = objective.initial(now, rollout)
    return method.apply(record, (), context)[0].added

  # Each token's term depends on its own log-prob only.
  slope = jax.grad(lambda *x: added(*x).sum())
  return {e: (added(logp, e), slope(logp, e)) for e in ESTIMATORS}
