"""HICRA: extra credit for tokens that plan."""

import pathlib

import jax
import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.notes import StrategicGrams
from rlvr_jax.stats import Entropy
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Need

PROXIES = (None, "entropy")
PROXY_ROWS = ("all", "right_long")
ENTROPY = Need(Entropy(), when="rollout")
LONG = "hicra/long"


def hicra(
  coef: float = 0.2,
  grams: str = "",
  proxy: str | None = "entropy",
  proxy_fraction: float = 0.3,
  proxy_rows: str = "all",
) -> LossTransform:
  """Adds to the advantage of every planning token a share of its size.

  A' = A + coef |A| on planning tokens: right answers are pushed harder there,
  wrong ones punished less. Planning tokens are those of a strategic gram, a
  phrase such as "let's consider", from a list that experiments/mine_grams.py
  makes of right solutions. The published method needs that list. Without one,
  as by default, the most uncertain tokens of each response stand for them: a
  proxy of ours that runs on any task.

  Edits:   objective.advantages (×)
  Needs:   entropy of the policy at rollout; with grams the note of the tokens
           of strategic grams, written on the host after the rollout
  State:   none
  Scope:   token; group with proxy_rows = "right_long"
  Neutral: coef = 0

  Args:
    coef: the paper's alpha, >= 0; 0.2. The sign never turns below 1.
    grams: path of a text file with one gram to a line; "" with a proxy.
    proxy: "entropy", or None with grams; exactly one of the two is given.
    proxy_fraction: share of a response's tokens, those of the largest entropy
      at sampling and at least one, that stand for planning, in (0, 1]; 0.3.
    proxy_rows: which responses the proxy marks: "all", or "right_long", those
      with a reward above 0 and more tokens than the mean of their group.

  Returns:
    A LossTransform named "hicra".

  Raises:
    ValueError: a parameter out of its range, no such file, or not exactly one
      of grams and proxy.

  Metrics:
    hicra/planning_fraction: share of the counted tokens that plan; watch it,
      the credit is positive on the whole and may inflate the phrases.
    hicra/credit: mean of what is added, unit of the advantage.

  Source:
    Emergent Hierarchical Reasoning in LLMs through Reinforcement Learning,
    arXiv 2509.03646. The authors' repository holds no training code; "entropy"
    with "right_long" is what huggingface/trl, pull request 4997, tells of it.
    Differs from that code: how words are cut is not published, here letters
    and apostrophes, or digits; all tokens of overlapping grams are marked.
  """
  if not coef >= 0:
    raise ValueError(f"hicra.coef = {coef} must be >= 0.")
  if proxy not in PROXIES:
    raise ValueError(f"hicra.proxy = {proxy!r} must be in {PROXIES}.")
  if bool(grams) == (proxy is not None):
    raise ValueError(
      f"hicra.grams = {grams!r} must be a file exactly if hicra.proxy = "
      f"{proxy!r} is None: planning tokens come from one of the two."
    )
  if grams and not pathlib.Path(grams).is_file():
    raise ValueError(
      f"hicra.grams = {grams!r} must be a text file with one gram to a line; "
      "experiments/mine_grams.py writes one."
    )
  if not 0 < proxy_fraction <= 1:
    raise ValueError(
      f"hicra.proxy_fraction = {proxy_fraction} must lie in (0, 1]."
    )
  if proxy_rows not in PROXY_ROWS:
    raise ValueError(
      f"hicra.proxy_rows = {proxy_rows!r} must be in {PROXY_ROWS}."
    )
  note = Need(StrategicGrams(grams), when="rollout") if grams else None

  def uncertain(context):
    batch = context.batch
    count = jax.vmap(lambda row: reduce.count_of(proxy_fraction, row))
    top = jax.vmap(reduce.top_mask)(
      context.stat(ENTROPY), batch.mask, count(batch.mask)
    )
    if proxy_rows == "all":
      return top
    marked = (batch.notes[LONG] > 0) & (batch.reward > 0)
    return top & marked[:, None]

  def prepare(batch, state, context):
    del context
    length = reduce.row_length(batch.mask)
    long = length > reduce.group_mean(length, batch.group)
    long = (long & (batch.group >= 0)).astype(jnp.float32)
    return batch.replace(notes=batch.notes | {LONG: long}), state

  def apply(objective, state, context):
    plans = uncertain(context) if note is None else context.stat(note) > 0
    plans = (plans & (objective.mask > 0)).astype(jnp.float32)
    credit = coef * jnp.abs(objective.advantages) * plans
    metrics = {
      "hicra/planning_fraction": reduce.masked_mean(plans, objective.mask),
      "hicra/credit": reduce.masked_mean(credit, objective.mask),
    }
    return objective.replace(
      advantages=objective.advantages + credit,
      metrics=objective.metrics | metrics,
    ), state

  needs = (ENTROPY,) if note is None else (note,)
  method = LossTransform("hicra", apply=apply, needs=needs)
  if note is None and proxy_rows == "right_long":
    return method._replace(prepare=prepare)
  return method
