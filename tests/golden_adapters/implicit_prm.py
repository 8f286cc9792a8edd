"""Reference vectors of PRIME, of verl's recipe, and of the offline losses."""

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from golden_adapters import common
from golden_adapters.common import assert_close
from rlvr_jax import implicit_reward, objective, transform
from rlvr_jax.methods import prime as prime_lib
from rlvr_jax.methods.prime import prime
from rlvr_jax.types import Array, Clock

ALL = {"accuracy_low": 0.0, "accuracy_high": 1.0}
LOSSES = {
  "ce": "ce",
  "dpo": "detach_dpo_{}_none",
  "bon_acc": "detach_dpo_{}_bon_acc",
  "bon_rm": "detach_dpo_{}_bon_rm",
}


def check_implicit_prm(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case."""
  for number, case in common.cases(vectors):
    offline = case.hp["kind"] == "offline"
    compute = functools.partial(_offline if offline else _online, case.hp)
    got = jax.jit(compute)(case.inputs)
    if not offline:
      _blank(case)
    for name, value in got.items():
      assert_close(f"case{number}: {name}", value, case.out[name])
    common.assert_covered(f"case{number}", case, got, ())


def _blank(case: common.Case) -> None:
  """Zeroes what the code leaves in padding, where nothing reads it."""
  mask = case.inputs["response_mask"]
  for name in ("returns", "advantages"):
    for prefix in ("prime", "verl"):
      case.out[f"{prefix}_{name}"] *= mask


def _online(hp: dict, inputs: dict[str, Array]) -> dict[str, Array]:
  q, reward = inputs["q"], inputs["acc"]
  mask = inputs["response_mask"] != 0
  group = jnp.repeat(jnp.arange(hp["P"]), hp["n_samples"])
  stats = {prime_lib.SCORE.key: q, prime_lib.REF.key: 0 * q}
  batch = common.batch(np.zeros(q.shape), None, np.ones(q.shape), stats=stats)
  batch = batch.replace(mask=mask, reward=reward, group=group)
  discounts = dict(
    process_gamma=hp["gamma_rm"], outcome_gamma=hp["gamma_verifier"]
  )
  recipe = dict(
    scale=hp["beta"],
    exclude_last_token=True,
    process_coef=hp["reward_dpo_coef"],
    outcome_coef=hp["reward_gt_coef"],
  )
  got = {}
  for prefix, how in (("prime", discounts), ("verl", recipe)):
    credit = implicit_reward.Credit(normalize="none", **how)
    raw, _ = credit.scores(q, reward, mask)
    score, _ = credit._replace(normalize="batch").scores(q, reward, mask)
    found = {
      "token_score": raw,
      "token_score_batchnorm": score,
      "returns": credit.returns(score, reward, mask, group),
      "advantages": common.prepared(prime(**how), batch).advantages,
    }
    got |= {f"{prefix}_{name}": value for name, value in found.items()}
  whole = implicit_reward.Credit(granularity="whole", normalize="none")
  got["prime_whole_score"] = whole.scores(q, reward, mask)[0]
  for name, key in LOSSES.items():
    method = prime(beta=hp["beta"], loss=name, **ALL)
    loss, gradient = _lesson(method, batch, q)
    if name == "ce":
      got |= {"ce_loss": loss, "ce_grad_q": gradient}
    else:
      got |= {key.format("loss"): loss, key.format("grad"): gradient}
  total = jnp.where(mask, q, 0).sum(axis=1)
  got["dpo_accuracy"] = implicit_reward.pair_accuracy(total, reward, group)
  got["dpo_abs_accuracy"] = implicit_reward.sign_accuracy(
    total, reward, mask.any(axis=1)
  )
  return got


def _lesson(method, batch, q):
  """The learner's loss and its gradient by its log-probs."""
  loss_fn = objective.learner_loss(transform.chain(method).learner)
  clock = Clock(0, 0, jax.random.key(0))

  def loss(logp):
    return loss_fn({prime_lib.NOW.key: logp}, batch, (), clock)[0]

  return jax.value_and_grad(loss)(q)


def _rounded(
  logit: Array, label: Array, loss: Array, gradient: Array
) -> tuple[Array, Array]:
  """Cross-entropy and its gradient as they are left by the code's rounding.

  The code goes through p = sigmoid(logit) in float32. Where 1 - p is 0 it takes
  the log for -100, and its gradient is divided by p (1 - p), but by 1e-12 at
  least, then multiplied by p (1 - p).
  """
  p = jax.nn.sigmoid(logit)
  lost = jnp.where((p == 1) & (label == 0), 100 - logit, 0).mean()
  slope = p * (1 - p)
  return loss + lost, gradient * slope / jnp.maximum(slope, 1e-12)


def _offline(hp: dict, given: dict[str, Array]) -> dict[str, Array]:
  beta = hp["beta"]
  ratio = lambda kind: given[f"policy_{kind}"] - given[f"ref_{kind}"]
  chosen, rejected = ratio("chosen"), ratio("rejected")
  baseline = implicit_reward.kto_baseline(beta * ratio("kl"), chosen == chosen)
  rows = lambda x, label: implicit_reward.Responses(
    beta * x, jnp.asarray(label), jnp.arange(len(x)), x == x
  )
  both = jnp.concatenate([chosen, rejected])
  right = jnp.arange(len(both)) < len(chosen)
  pairs = lambda fn: lambda x, y: fn(beta * x, beta * y)
  labels = given["label_chosen"]
  ce = lambda x: implicit_reward.cross_entropy(rows(x, labels))
  got = {
    "kto_KL": baseline / beta,
    "kto_unpaired": implicit_reward.kto(
      rows(both, right),
      baseline,
      hp["desirable_weight"],
      hp["undesirable_weight"],
    ),
    "nca_pair": pairs(implicit_reward.nca_pairs)(chosen, rejected),
    "reward_chosen": beta * chosen,
    "reward_rejected": beta * rejected,
  }
  exact = jax.value_and_grad(ce)(chosen)
  got["ce"], got["ce_grad"] = _rounded(beta * chosen, labels, *exact)
  for name, fn in (
    ("dpo", implicit_reward.dpo),
    ("kto_vanilla", implicit_reward.kto_pairs),
  ):
    loss = pairs(fn)
    got[name] = loss(chosen, rejected)
    slopes = jax.grad(loss, argnums=(0, 1))(chosen, rejected)
    got[f"{name}_grad_chosen"], got[f"{name}_grad_rejected"] = slopes
  return got
