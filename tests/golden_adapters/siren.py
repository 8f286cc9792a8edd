"""Reference vectors of the authors' nucleus entropy, peak mask and loss."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

import rlvr_jax
from golden_adapters import common
from golden_adapters.common import assert_close
from rlvr_jax import reduce
from rlvr_jax.methods.siren import siren
from rlvr_jax.stats import LOGP, Entropy, from_logits
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Clock, Need


def check_siren(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case: the statistic, the choice, the loss, its gradient."""
  for number, case in common.cases(vectors):
    checked = _check(f"case{number}", case)
    common.assert_covered(f"case{number}", case, checked, ())


def _check(where: str, case: common.Case) -> set[str]:
  inputs, hp, out = case.inputs, case.hp, case.out
  logits, mask = inputs["logits"], inputs["mask"]
  parameters = {
    "coef": hp["coef"],
    "top_p": hp["top_p"],
    "quantile": hp["tau"],
    "anchor": hp["anchor"],
  }
  method = siren(**parameters, top_k=hp["top_k"])
  (need,) = method.needs
  nats = of_logits((need,), logits)[need.key]
  assert_close(f"{where}: nucleus", nats, out["nucleus_entropy"])
  # Their helper that keeps the first token always, and c_j <= p, differs from
  # the exclusive nucleus of any number of tokens in nothing but rounding.
  (every,) = siren(**parameters).needs
  found = of_logits((every,), logits)[every.key]
  assert_close(f"{where}: helper", found, out["alt_top_p_entropy"])
  full = Need(Entropy())
  found = of_logits((full,), logits)[full.key]
  # The code cancels: its float32 is itself off by some 1e-6 nats.
  assert_close(f"{where}: entropy", found, out["full_entropy"], atol=1e-5)
  bound = reduce.masked_quantile(nats, mask > 0, hp["tau"], axis=1)
  some = mask.any(axis=1)  # the code has NaN for a row without tokens
  assert_close(f"{where}: bound", bound[some], out["lower_bound"][some])
  # Far from the anchor the gradient shows which tokens were chosen.
  far = siren(**parameters | {"anchor": 99.0}, top_k=hp["top_k"])
  pull = jax.jit(jax.grad(lambda x: total(far, {need.key: x}, mask)[0]))
  pull = pull(nats) != 0
  np.testing.assert_array_equal(pull, out["peak_mask"], err_msg=where)
  np.testing.assert_array_equal(pull, out["peak_mask_second"], err_msg=where)

  def loss(logits):
    return total(method, of_logits((need,), logits), mask)

  run = jax.jit(jax.value_and_grad(loss, has_aux=True))
  (value, metrics), gradient = run(jnp.asarray(logits))
  level = metrics["siren/entropy"]
  assert_close(f"{where}: h", level, out["entropy_agg"])
  # Per unit of coefficient, so that the tolerance means something.
  scale = 1 / hp["coef"]
  assert_close(f"{where}: loss", value * scale, out["loss"] * scale)
  want = out["grad_logits"] * scale
  assert_close(f"{where}: gradient", gradient * scale, want)
  return {
    "nucleus_entropy",
    "alt_top_p_entropy",
    "full_entropy",
    "lower_bound",
    "peak_mask",
    "peak_mask_second",
    "entropy_agg",
    "loss",
    "grad_logits",
  }


_compiled = jax.jit(from_logits, static_argnums=0)


def of_logits(
  needs: tuple[Need, ...],
  logits: np.ndarray | jax.Array,
  targets: np.ndarray | None = None,
) -> dict[str, jax.Array]:
  """The statistics of logits f32[B, T, V], and the log-probs, by Need.key."""
  shape = logits.shape[:-1]
  if targets is None:
    targets = np.zeros(shape, np.int32)
  rows = jnp.reshape(logits, (-1, logits.shape[-1]))
  flat = _compiled(
    (LOGP, *needs),
    {"policy": rows, "ref": rows},
    jnp.asarray(targets, jnp.int32).reshape(-1),
    jnp.ones(targets.size),
  )
  return {key: value.reshape(shape) for key, value in flat.items()}


def total(
  method: LossTransform,
  stats: Mapping[str, jax.Array],
  mask: np.ndarray,
  mode: rlvr_jax.objective.Aggregation = "token-mean",
) -> tuple[jax.Array, dict[str, jax.Array]]:
  """The loss of a stateless method without advantages, and its metrics."""
  rollout = common.batch(np.zeros(mask.shape), None, mask)
  given = {LOGP.key: jnp.zeros(mask.shape)} | dict(stats)
  chain = rlvr_jax.chain(method)
  loss_fn = rlvr_jax.loss(chain, mode=mode)
  clock = Clock(0, 0, jax.random.key(0))
  run = jax.jit(
    lambda given: loss_fn(given, rollout, chain.init(rollout), clock)
  )
  value, (_, metrics) = run(given)
  return value, metrics
