"""Reference vectors of verl's and TRL's baselines."""

import functools
from collections.abc import Mapping
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np

import rlvr_jax
from golden_adapters import common
from golden_adapters.common import assert_close
from rlvr_jax import methods, objective, reduce, transform
from rlvr_jax.methods.gae import GaeState
from rlvr_jax.methods.kl_penalty import ESTIMATORS, REF_LOGP, kl_penalty
from rlvr_jax.types import LOGP_KEY, Clock, Context


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
      _check_corrections(where, case)
    elif case.hp["name"] == "vanilla":
      _check_policy_loss(where, case)
    else:
      _check_other_loss(where, case)
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
  baselines = jnp.asarray(case.inputs["reward_baselines"])
  got["remax"] = _above_greedy(rollout, baselines)
  got["gae"] = _above_values(rollout, case)
  last = np.asarray(reduce.last_token(rollout.mask))
  dense = rewards[~last & (mask > 0)].any()
  for name in DENSE if dense else ():
    del got[name]
  for name, advantages in got.items():
    if name in case.out:
      want = case.out[name]
      want = want[:, None] * mask if want.ndim == 1 else want * mask
      assert_close(f"{where}: {name}", advantages, want)
  arithmetic = _arithmetic(case, rollout.mask)
  for name, value in arithmetic.items():
    assert_close(f"{where}: arithmetic of {name}", value, case.out[name] * mask)
  by_formula = RETURNS | DENSE if dense else RETURNS
  assert by_formula <= arithmetic.keys()
  common.assert_covered(where, case, got, by_formula)


# No method hands these out: only what they are made into is an advantage.
RETURNS = frozenset({"rfpp_returns", "gae_returns"})
# The methods know one reward per response. Where the vectors have one on every
# token only the arithmetic behind the methods can be held to them.
DENSE = frozenset({"rfpp", "remax", "gae"})


def _arithmetic(case, mask):
  """What the functions of `reduce` say, by the file's names."""
  gamma, decay = case.hp["gamma"], case.hp["lam"]
  rewards, values, baselines = (
    jnp.asarray(case.inputs[name])
    for name in ("token_level_rewards", "values", "reward_baselines")
  )
  returns = reduce.returns_to_go(rewards, mask, gamma)
  advantages = reduce.gae(rewards, values, mask, gamma, decay)
  above = reduce.returns_to_go(rewards, mask) - baselines[:, None]
  return {
    "rfpp_returns": returns,
    "rfpp": reduce.whiten(returns, mask),
    "remax": above * mask,
    # Outside the mask the code leaves what it happens to hold.
    "gae_returns": (advantages + values) * mask,
    "gae": reduce.whiten(advantages, mask),
  }


def _above_values(rollout, case):
  """Advantages of PPO with the values of a critic that is not ours."""
  method = methods.make(
    "gae",
    gamma=case.hp["gamma"],
    decay=case.hp["lam"],
    features=1,
    ridge=1.0,
  )
  # One feature, the value itself, and a critic that has learnt to return it.
  values = jnp.asarray(case.inputs["values"])[..., None]
  state = GaeState(jnp.zeros((2, 2)), jnp.array([1.0, 0.0]), jnp.float32(1))
  rollout = rollout.replace(stats={method.needs[0].key: values})
  clock = Clock(0, 0, jax.random.key(0))
  prepare = rlvr_jax.prepare(method)
  return prepare(rollout, {"gae": state}, clock)[0].advantages


def _above_greedy(rollout, baselines):
  """Advantages of rows that are prompts of their own, with these baselines."""
  rows = len(rollout.group)
  twice = jax.tree.map(lambda x: jnp.concatenate([x, x]), rollout)
  twice = twice.replace(
    prompt=jnp.tile(jnp.arange(rows, dtype=jnp.int32), 2),
    group=jnp.arange(2 * rows, dtype=jnp.int32),
    source=jnp.repeat(jnp.arange(2, dtype=jnp.int32), rows),
    reward=jnp.concatenate([rollout.reward, baselines]),
  )
  draws = (("main", rows), ("remax", rows))
  prepare = rlvr_jax.prepare(methods.make("remax"), draws)
  clock = Clock(0, 0, jax.random.key(0))
  return prepare(twice, {"remax": ()}, clock)[0].advantages


@functools.cache
def _advantages(epsilon: float, gamma: float):
  """All advantages in one program, compiled once for cases of one shape."""
  ours = {
    "grpo": methods.make("grpo", epsilon=epsilon),
    "grpo_nostd": methods.make("dr_grpo"),
    "grpo_vectorized": methods.make("grpo", epsilon=epsilon, floor=1e-3),
    "grpo_passk": methods.make("grpo_passk", epsilon=epsilon),
    "opo": methods.make("opo"),
    "gpg": methods.make("gpg"),
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


def _check_other_loss(where: str, case: common.Case) -> None:
  """Surrogates other than PPO's: value, gradient and metrics."""
  inputs, hp, out = case.inputs, case.hp, case.out
  name, mask = hp["name"], inputs["response_mask"]
  rollout = common.batch(inputs["old_log_prob"], inputs["advantages"], mask)
  bounds = {"low": hp["clip_ratio_low"], "high": hp["clip_ratio_high"]}
  parameters = {
    "gspo": bounds,
    "geo_mean": bounds | {"weighting": "geometric"},
    "cispo": bounds,
    "sapo": {
      "sharpness_positive": hp["tau_pos"],
      "sharpness_negative": hp["tau_neg"],
    },
    "gpg": {},
  }[name]
  chain = [methods.make(_NAMES.get(name, name), **parameters)]
  mode = hp["loss_agg_mode"]
  if name == "geo_mean":
    assert (mask.sum(axis=1) > 0).all(), f"{where}: an empty row"
    mode = "seq-mean-token-mean"
  if "rollout_is_weights" in inputs:
    correction = jnp.asarray(inputs["rollout_is_weights"])
    chain.append(transform.reweight("weights", lambda o, c: correction))
  loss, gradient, metrics = common.loss_and_grad(
    transform.chain(*chain), rollout, inputs["log_prob"], mode=mode
  )
  assert_close(f"{where}: loss", loss, out["loss"])
  assert_close(f"{where}: gradient", gradient, out["grad_log_prob"])
  found = {k: metrics[v] for k, v in _OTHER_METRICS.get(name, {}).items()}
  for key, value in found.items():
    assert_close(f"{where}: {key}", value, out[key])
  # A constant of the code where the loss has no dual clip.
  constant = {"pg_clipfrac_lower"} & out.keys() - found.keys()
  assert all(out[key] == 0 for key in constant), where
  checked = {"loss", "grad_log_prob", *found, *constant}
  common.assert_covered(where, case, checked, ())


_NAMES = {"geo_mean": "gmpo"}
_OTHER_METRICS = {
  "gspo": {"pg_clipfrac": "loss/clipped_fraction", "ppo_kl": "loss/kl"},
  "geo_mean": {
    "pg_clipfrac": "gmpo/outside_positive_fraction",
    "pg_clipfrac_lower": "gmpo/outside_negative_fraction",
    "ppo_kl": "loss/kl",
  },
  "cispo": {"pg_clipfrac": "cispo/clipped_fraction", "ppo_kl": "loss/kl"},
  "sapo": {"pg_clipfrac": "loss/clipped_fraction", "ppo_kl": "loss/kl"},
}


# Rules and thresholds of the file, which holds the thresholds in its page only.
_REJECTIONS = {
  "token_k1": "0.5_2.0",
  "token_k2": "0.05",
  "token_k3": "0.05",
  "seq_sum_k1": "0.5_2.0",
  "seq_sum_k3": "0.3",
  "seq_mean_k1": "0.9_1.1",
  "seq_mean_k3": "0.01",
  "seq_max_k2": "0.3",
}


def _check_corrections(where: str, case: common.Case) -> None:
  """Weights of the sampler's mismatch, and what it takes out of the loss."""
  mask, hp = case.inputs["response_mask"], case.hp
  rollout = common.batch(
    case.inputs["old_log_prob"],
    None,
    mask,
    sample_logp=case.inputs["rollout_log_prob"],
  )
  weights, kept = _corrections(
    hp["tis_threshold"], hp["trl_clip_max"], hp["trl_clip_min_for_mask"]
  )(rollout)
  for name, value in weights.items():
    want = case.out[name] * mask  # what stands outside the mask is idle
    assert_close(f"{where}: {name}", value * mask, want)
  for name, value in kept.items():
    np.testing.assert_array_equal(
      value, case.out[name], err_msg=f"{where}: {name}"
    )
  common.assert_covered(where, case, {*weights, *kept}, ())


@functools.cache
def _corrections(truncation: float, longest: float, shortest: float):
  """All corrections in one program: weights and masks, by the file's names."""
  make = functools.partial(methods.make, "rollout_correction")
  weighing = {}
  for level in ("token", "sequence"):
    tis = functools.partial(make, level=level, high=truncation)
    trl = functools.partial(make, level=level, high=longest, max_log_ratio=None)
    weighing |= {
      f"tis_{level}_raw": tis(),
      f"tis_{level}_bn": tis(batch_normalize=True),
      f"trl_{level}_truncate": trl(),
      f"trl_{level}_mask": trl(mode="mask", low=shortest),
    }
  reject = lambda rules, limits: make(
    level=None, rejection=rules, rejection_thresholds=limits
  )
  rejecting = {f"rs_{k}": reject(k, v) for k, v in _REJECTIONS.items()}
  rejecting["rs_combo"] = reject("token_k1,seq_max_k2", "0.6_1.7,0.3")

  @jax.jit
  def run(rollout):
    now = {LOGP_KEY: rollout.old_logp}

    def edit(method):
      prepared = common.prepared(method, rollout)
      context = Context(0, 0, jax.random.key(0), prepared, now)
      return method.apply(objective.initial(now, prepared), (), context)[0]

    return (
      {name: edit(method).weights for name, method in weighing.items()},
      {name: edit(method).mask for name, method in rejecting.items()},
    )

  return run


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
