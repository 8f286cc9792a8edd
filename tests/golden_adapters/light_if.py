"""Light-IF's losses, bonus and length reward, and points of its rules."""

import json
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

import rlvr_jax
from golden_adapters import common
from golden_adapters.clip_cov import edited
from golden_adapters.common import assert_close
from rlvr_jax import objective
from rlvr_jax.methods.entropy_sft import ENTROPY, entropy_sft
from rlvr_jax.methods.length_reward import length_reward
from rlvr_jax.methods.tea_rl import tea_rl
from rlvr_jax.stats import LOGP, from_logits
from rlvr_jax.transform import chain, reweight
from rlvr_jax.types import LOGP_KEY, Clock
from rlvr_jax.verify import light_if

# The one case of TEA-RL that is aggregated otherwise.
SUMS = 7


def check_light_if(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case, each by the output that only its kind has."""
  checks = {
    "grad_logits": _supervised,
    "entropy_bonus": _bonus,
    "reward": _length,
    "point": _points,
  }
  for number, case in common.cases(vectors):
    (check,) = (fn for name, fn in checks.items() if name in case.out)
    check(number, case)


def _supervised(number: int, case: common.Case) -> None:
  where, hp = f"case{number}", case.hp
  logits = jnp.asarray(case.inputs["logits"], jnp.float32)
  labels = case.inputs["labels"][:, 1:]
  mask = labels >= 0
  rollout = common.batch(0.0 * mask, np.ones(mask.shape), mask)
  method = entropy_sft(
    hp["token_ratio"],
    hp["entropy_coef"],
    None if hp["num_items"] < 0 else hp["num_items"],
  )
  loss_fn = rlvr_jax.loss(chain(method))

  def loss(logits):
    flat = from_logits(
      (LOGP, ENTROPY),
      {"policy": logits[:, :-1].reshape(-1, logits.shape[-1])},
      jnp.asarray(np.where(mask, labels, 0).reshape(-1)),
      jnp.ones(mask.size),
    )
    found = {key: value.reshape(mask.shape) for key, value in flat.items()}
    clock = Clock(0, 0, jax.random.key(0))
    return loss_fn(found, rollout, {method.name: ()}, clock)[0]

  value, gradient = jax.jit(jax.value_and_grad(loss))(logits)
  assert_close(f"{where}: loss", value, case.out["loss"])
  assert_close(f"{where}: gradient", gradient, case.out["grad_logits"])
  common.assert_covered(where, case, ("loss", "grad_logits"), ())


def _bonus(number: int, case: common.Case) -> None:
  where, inputs, out = f"case{number}", case.inputs, case.out
  logp, nats, mask = (
    jnp.asarray(inputs[k]) for k in ("log_prob", "entropy", "response_mask")
  )
  mode = "seq-mean-token-sum" if number == SUMS else "token-mean"
  rollout = common.batch(logp, inputs["advantages"], mask)
  method = tea_rl(case.hp["cov_alpha"], case.hp["clip_cov_ub"])
  # Of the entropy 1 the bonus is the weight itself.
  ones = {ENTROPY.key: jnp.ones_like(nats)}
  weight = -edited(method, rollout, logp, stats=ones).added
  mean = (objective.aggregation(mask, mode) * weight).sum()
  alone = chain(reweight("alone", lambda o, c: 0.0), method)
  loss_fn = rlvr_jax.loss(alone, mode=mode)

  def loss(logp, nats):
    found = {LOGP_KEY: logp, ENTROPY.key: nats}
    clock = Clock(0, 0, jax.random.key(0))
    return loss_fn(found, rollout, alone.init(rollout), clock)[0]

  grad = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
  value, (by_logp, by_entropy) = grad(logp, nats)
  got = {
    "entropy_bonus": -value,
    "coef": weight,
    "coef_mean": mean,
    "grad_log_prob": -by_logp,
    "grad_entropy": -by_entropy,
  }
  for name, found in got.items():
    assert_close(f"{where}: {name}", found, out[name])
  common.assert_covered(where, case, got, ())


def _length(number: int, case: common.Case) -> None:
  length, score = case.inputs["length"], case.inputs["correct_score"]
  mask = np.arange(length.max()) < length[:, None]
  rollout = common.batch(0.0 * mask, None, mask, reward=score)
  method = length_reward(case.hp["max_length"])
  added = common.prepared(method, rollout).reward - rollout.reward
  assert_close(f"case{number}: reward", added, case.out["reward"])
  common.assert_covered(f"case{number}", case, ("reward",), ())


def _points(number: int, case: common.Case) -> None:
  where = f"case{number}"
  common.assert_covered(where, case, ("point", "all_ok"), ())
  prompt = case.inputs["prompt"]
  prompts = np.broadcast_to(prompt, case.inputs["article"].shape)
  rows = zip(case.inputs["article"], case.inputs["requirement_json"], prompts)
  for index, (article, asked, prompt) in enumerate(rows):
    row = dict(query=str(prompt), jqzl_prompt=json.loads(str(asked)))
    requirement = light_if.parse(json.dumps(row | dict(source="jqzl-en")))
    score = light_if.score(str(article), requirement)
    name = f"{where}, article {index}"
    assert_close(f"{name}: points", score.points, case.out["point"][index])
    assert score.all_kept == case.out["all_ok"][index], name
