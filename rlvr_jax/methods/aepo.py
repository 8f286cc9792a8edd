"""AEPO: hold the entropy at a target with tempered positive samples."""

from typing import NamedTuple

import jax.numpy as jnp

from rlvr_jax import reduce
from rlvr_jax.stats import Entropy
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array, Need

CHOICES = {
  "positive_rule": ("advantage", "reward"),
  "mode": ("replace", "add"),
  "entropy_estimator": ("sampled_nll", "full_vocab"),
  "tie": ("high", "low"),
}


class AepoState(NamedTuple):
  """What the next step must know of the last one."""

  entropy: Array  # f32[] nats, measured at the last prepare


def aepo(
  target_entropy: float,
  rows: int = 60,
  per_prompt: int = 5,
  temperature_low: float = 0.8,
  temperature_high: float = 1.2,
  prompt_fraction: float = 0.25,
  positive_rule: str = "advantage",
  threshold: float = 0.05,
  mode: str = "replace",
  coef: float = 0.1,
  entropy_estimator: str = "sampled_nll",
  tie: str = "high",
  cool_divisor: int = 2,
  initial_entropy: float = 0.0,
) -> LossTransform:
  """Trains on right answers sampled hotter or colder, to steer the entropy.

  A second draw is sampled at temperature_high while the entropy of the last
  step is at most target_entropy, else at temperature_low; its log-probs are
  those of the main draw's scoring temperature. Of its positive rows the first
  m = min(rows, positives) are used, m // cool_divisor while cooling:
    replace  they take the place of the first m main rows, advantage 1
    add      extra -= coef * mean over their tokens of log pi; the main rows
             all stay and keep their denominators
  Stand behind the advantage estimator, whose advantages are read and edited.

  Edits:   draws (+), batch rows (the main ones, with used ones of advantage 1
           in place of the first); if mode = "add" behind them, and
           objective.mask (×), objective.extra (+)
  Needs:   nothing; the entropy of the policy at rollout if full_vocab
  State:   entropy f32[] nats, set at prepare
  Scope:   step
  Neutral: rows = 0 trains on the main draw alone

  The first rows in row order are taken and replaced, as in the code, so the
  result depends on the order of the rows.

  Args:
    target_entropy: nats per token, >= 0; 0.5 in the script, best run 0.75.
    rows: most tempered rows used in a step, >= 0; 60 of 2560.
    per_prompt: tempered responses per prompt, >= 1; 5.
    temperature_low: sampling temperature above the target, > 0; 0.8.
    temperature_high: sampling temperature up to the target, >=
      temperature_low; 1.2.
    prompt_fraction: share of the step's prompts, its first ones, that are
      sampled again, in (0, 1]; 0.25, in the first release 1.
    positive_rule: "advantage" (code) uses rows whose advantage exceeds
      threshold, so none of groups that are right throughout: the hold on the
      entropy fades as those become many. "reward" (paper) uses reward > 0.
    threshold: of "advantage"; 0.05.
    mode: "replace" (code) or "add" (the paper's formula).
    coef: strength of "add", >= 0.
    entropy_estimator: "sampled_nll", mean of -log pi_old of the sampled tokens
      (code), or "full_vocab".
    tie: which temperature an entropy equal to the target gets; "high" in the
      code, "low" in the authors' README.
    cool_divisor: divides m while cooling, >= 1; 2.
    initial_entropy: before the first step, nats; 0 makes it hot.

  Returns:
    A LossTransform named "aepo".

  Raises:
    ValueError: an unknown choice, or a number out of range.

  Metrics:
    aepo/temperature: of the tempered draw of this step.
    aepo/used_rows: m.
    aepo/kept_rows: positive rows of the tempered draw.
    aepo/entropy: of the main draw, nats; decides the next temperature.

  Source:
    Wang et al., Arbitrary Entropy Policy Optimization, arXiv 2510.08141.
    Code: 597358816/AEPO, verl/trainer/ray_trainer.py, block "AEPO".
    Differs from that code: the entropy is measured on the main rows of the
    rollout, before the updates; the authors measure it on the trained batch,
    tempered rows included, during the updates. The share of prompts is rounded
    up. A step without positives changes nothing where the code raises. Rows
    may be shuffled later, where the code has them all in the first minibatch.
  """
  given = {
    "positive_rule": positive_rule,
    "mode": mode,
    "entropy_estimator": entropy_estimator,
    "tie": tie,
  }
  for name, value in given.items():
    if value not in CHOICES[name]:
      raise ValueError(f"aepo.{name} = {value!r} must be in {CHOICES[name]}.")
  least = {
    "target_entropy": (target_entropy, 0),
    "rows": (rows, 0),
    "per_prompt": (per_prompt, 1),
    "temperature_high": (temperature_high, temperature_low),
    "coef": (coef, 0),
    "cool_divisor": (cool_divisor, 1),
  }
  for name, (value, bound) in least.items():
    if not value >= bound:
      raise ValueError(f"aepo.{name} = {value} must be >= {bound}.")
  if not temperature_low > 0:
    raise ValueError(f"aepo.temperature_low = {temperature_low} must be > 0.")
  if not 0 < prompt_fraction <= 1:
    raise ValueError(
      f"aepo.prompt_fraction = {prompt_fraction} must lie in (0, 1]."
    )
  full_entropy = Need(Entropy(), when="rollout")
  needs = (full_entropy,) if entropy_estimator == "full_vocab" else ()

  def init(example):
    del example
    return AepoState(jnp.float32(initial_entropy))

  def heats(state):
    if tie == "high":
      return state.entropy <= target_entropy
    return state.entropy < target_entropy

  def temperature(state):
    return jnp.where(heats(state), temperature_high, temperature_low)

  def plan(draws, state):
    # Truncation and scoring temperature are those of the main draw.
    tempered = draws[0]._replace(
      name="aepo",
      per_prompt=per_prompt,
      prompt_fraction=prompt_fraction,
      temperature=temperature(state),
    )
    return *draws, tempered

  def positive(batch):
    if positive_rule == "reward":
      return (batch.reward > 0) & batch.mask.any(axis=1)
    first = batch.mask.argmax(axis=1)[:, None]
    advantage = jnp.take_along_axis(batch.advantages, first, axis=1)[:, 0]
    return advantage > threshold

  def measure(batch, context):
    nats = context.stat(full_entropy) if needs else -batch.old_logp
    main = (batch.source == 0)[:, None]
    return reduce.masked_mean(nats, batch.mask & main)

  def replace(batch, hot, ranked, used, size):
    main = (batch.source == 0) & (batch.group >= 0)  # no padding rows
    place = jnp.cumsum(main) - 1
    taken = main & (place < used)
    row = jnp.arange(len(main))
    origin = jnp.where(taken, ranked[jnp.where(taken, place, 0)], row)
    stay = jnp.argsort(hot, stable=True)[: len(main) - size]
    batch, taken = batch.take(origin[stay]), taken[stay]
    ones = batch.mask.astype(jnp.float32)
    return batch.replace(
      advantages=jnp.where(taken[:, None], ones, batch.advantages),
      # Numbers of the tempered draw's groups may lie past the rows left.
      group=jnp.where(batch.group < len(stay), batch.group, -1),
    )

  def append(batch, hot, ranked, used, size):
    slots = min(rows, size)
    stay = jnp.argsort(hot, stable=True)[: len(hot) - size]
    filled = jnp.arange(slots) < used
    main = jnp.ones(stay.shape, bool)
    on = jnp.concatenate([main, filled])
    batch = batch.take(jnp.concatenate([stay, ranked[:slots]]))
    # The pull is a term of its own, so these rows have no advantage.
    old = jnp.concatenate([main, jnp.zeros_like(filled)])
    return batch.replace(
      mask=batch.mask & on[:, None],
      group=jnp.where(on, batch.group, -1),
      advantages=jnp.where(old[:, None], batch.advantages, 0.0),
    )

  def prepare(batch, state, context):
    number, size = context.draw("aepo")
    hot = batch.source == number
    kept = hot & positive(batch)
    ranked = jnp.argsort(~kept, stable=True)  # positives first, in row order
    used = jnp.minimum(rows, kept.sum())
    used = jnp.where(heats(state), used, used // cool_divisor)
    entropy = measure(batch, context)
    metrics = {
      "aepo/temperature": temperature(state),
      "aepo/used_rows": used.astype(jnp.float32),
      "aepo/kept_rows": kept.sum().astype(jnp.float32),
      "aepo/entropy": entropy,
    }
    edit = replace if mode == "replace" else append
    batch = edit(batch, hot, ranked, used, size)
    batch = batch.replace(metrics=batch.metrics | metrics)
    return batch, AepoState(entropy)

  def apply(objective, state, context):
    if mode == "replace":
      return objective, state
    hot = (context.batch.source == context.draw("aepo")[0])[:, None]
    pull = reduce.masked_mean(context.logp, jnp.where(hot, objective.mask, 0.0))
    return objective.replace(
      mask=jnp.where(hot, 0.0, objective.mask),
      extra=objective.extra - coef * pull,
    ), state

  return LossTransform("aepo", init, apply, prepare, plan, needs)
