"""Reference vectors of verl's compute_policy_loss_clip_cov."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from golden_adapters import common
from golden_adapters.common import assert_close
from rlvr_jax import objective, reduce, transform
from rlvr_jax.methods.clip_cov import clip_cov
from rlvr_jax.methods.ppo_clip import ppo_clip
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import LOGP_KEY, Context, Objective, TokenBatch


def check_clip_cov(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case, with the code's permutation as the random choice."""
  for number, case in common.cases(vectors):
    _check(f"case{number}", case)


def _check(where: str, case: common.Case) -> None:
  inputs, hp, out = case.inputs, case.hp, case.out
  logp, mask = inputs["log_prob"], inputs["response_mask"]
  rollout = common.batch(inputs["old_log_prob"], inputs["advantages"], mask)
  window = {"low": hp["clip_cov_lb"], "high": hp["clip_cov_ub"]}
  order = _order(out["candidates"], inputs["perm"])
  method = clip_cov(
    fraction=hp["clip_cov_ratio"],
    priority=lambda key, shape: order.reshape(shape),
    **window,
  )
  clip = (hp["clip_ratio_low"], hp["clip_ratio_high"])
  # This loss of the code bounds no log ratio.
  free = ppo_clip(*clip, max_log_ratio=None)
  loss, gradient, metrics = common.loss_and_grad(
    transform.chain(free, method), rollout, logp, mode=hp["loss_agg_mode"]
  )
  counted = mask > 0
  cov = reduce.centred_product(
    jnp.asarray(inputs["advantages"]), jnp.asarray(logp), jnp.asarray(mask)
  )
  edit = edited(method, rollout, logp, clip=clip)
  # With every candidate dropped the weights show the candidates.
  every = edited(clip_cov(fraction=1.0, **window), rollout, logp, clip=clip)
  np.testing.assert_array_equal(edit.weights, out["corr"], err_msg=where)
  np.testing.assert_array_equal(
    1 - every.weights, out["candidates"], err_msg=where
  )
  expected_cov = np.where(counted, out["cov"], 0)
  assert_close(f"{where}: cov", cov, expected_cov, atol=1e-5)
  assert_close(f"{where}: loss", loss, out["loss"])
  assert_close(f"{where}: gradient", gradient, out["grad_log_prob"])
  dropped = metrics["clip_cov/dropped_fraction"]
  assert_close(f"{where}: pg_clipfrac", dropped, out["pg_clipfrac"])
  # Our metric bounds the drift at 20 nats, the code's does not.
  drift = reduce.masked_mean(rollout.old_logp - logp, rollout.mask)
  assert_close(f"{where}: ppo_kl", drift, out["ppo_kl"])
  checked = {"corr", "candidates", "cov", "loss", "grad_log_prob"}
  checked |= {"pg_clipfrac", "ppo_kl"}
  common.assert_covered(where, case, checked, ())


def _order(candidates: np.ndarray, permutation: np.ndarray) -> jax.Array:
  """Priorities under which the first of the permuted candidates go first."""
  places = np.flatnonzero(candidates)[permutation]
  order = np.full(candidates.size, -np.inf, np.float32)
  order[places] = -np.arange(len(places))
  return jnp.asarray(order)


def edited(
  method: LossTransform,
  rollout: TokenBatch,
  log_prob: np.ndarray,
  *,
  clip: tuple[float, float] = (0.2, 0.2),
  stats: Mapping[str, np.ndarray] | None = None,
) -> Objective:
  """The fresh objective after one stateless transform."""
  rollout = objective.clean(rollout)
  now = {k: jnp.asarray(v) for k, v in (stats or {}).items()}
  now = now | {LOGP_KEY: jnp.asarray(log_prob)}
  now = {k: jnp.where(rollout.mask, v, 0) for k, v in now.items()}
  context = Context(0, 0, jax.random.key(0), rollout, now, needs=method.needs)
  record = objective.initial(now, rollout, clip)
  return method.apply(record, (), context)[0]
