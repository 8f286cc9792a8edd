"""Reference vectors of the authors' proxy and of their policy loss."""

from collections.abc import Mapping

import jax
import numpy as np

from golden_adapters import common
from golden_adapters.common import assert_close
from golden_adapters.siren import of_logits
from rlvr_jax import transform
from rlvr_jax.methods.kl_penalty import REF_LOGP, kl_penalty
from rlvr_jax.methods.lp_reg import lp_reg
from rlvr_jax.methods.ppo_clip import ppo_clip

KINDS = {"low_var_kl": "k3"}
FILTERS = {"minp": "relative", "fixed": "fixed"}


def check_lp_reg(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case: the proxy, the loss, its gradient and its metrics."""
  for number, case in common.cases(vectors):
    checked = _check(f"case{number}", case)
    common.assert_covered(f"case{number}", case, checked, ())


def _check(where: str, case: common.Case) -> set[str]:
  inputs, hp, out = case.inputs, case.hp, case.out
  logits, tokens = inputs["old_logits"], inputs["tokens"]
  method = lp_reg(
    coef=hp["kl_coef"],
    min_p=hp["min_p"],
    negative_share=hp["logp_neg_k_percent"],
    positive_share=hp["logp_pos_k_percent"],
    filter=FILTERS[hp["regular_type"]],
    soft=bool(hp["minp_soft"]),
    kl_type=KINDS[hp["kl_type"]],
  )
  (need,) = method.needs
  proxy = of_logits((need,), logits, tokens)[need.key]
  want = out["proxy_log_probs"]
  assert_close(f"{where}: proxy", proxy, want)
  # The whole distribution, a token of the vocabulary at a time.
  for token in range(logits.shape[-1]):
    every = np.full(tokens.shape, token)
    found = of_logits((need,), logits, every)[need.key]
    want = jax.nn.log_softmax(out["proxy_logits"])[..., token]
    assert_close(f"{where}: proxy of token {token}", found, want)
  old = inputs["old_log_probs"]
  rollout = common.batch(
    old,
    inputs["advantages"],
    inputs["mask"],
    stats={need.key: proxy, REF_LOGP.key: old},
  )
  # Their loss has neither a dual clip nor a bound on the log ratio.
  base = ppo_clip(hp["clip_low"], hp["clip_high"], max_log_ratio=None)
  # What they report as ppo_kl is k3 with the old policy for a reference.
  drift = kl_penalty(coef=0.0)
  loss, gradient, metrics = common.loss_and_grad(
    transform.chain(base, method, drift), rollout, inputs["log_probs"]
  )
  assert_close(f"{where}: loss", loss, out["loss"])
  assert_close(f"{where}: gradient", gradient, out["grad_log_probs"])
  clipped = metrics["loss/clipped_fraction"]
  assert_close(f"{where}: clipfrac", clipped, out["clipfrac"])
  assert_close(f"{where}: ppo_kl", metrics["kl_penalty/kl"], out["ppo_kl"])
  return {
    "proxy_log_probs",
    "proxy_logits",
    "loss",
    "grad_log_probs",
    "clipfrac",
    "ppo_kl",
  }
