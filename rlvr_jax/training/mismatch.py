"""Sampler against trainer: are their log-probs of a rollout the same?

Both hold the same parameters when a rollout is sampled, so only rounding may
lie between them. Where more does, the usual mistakes are tried on the rollout,
and the one that makes the gap go away is named.
"""

import dataclasses
import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
from absl import logging

from rlvr_jax import reduce
from rlvr_jax.sampling import distribution
from rlvr_jax.training import learning
from rlvr_jax.training.build import Run
from rlvr_jax.training.programs import Programs
from rlvr_jax.training.rollouts import SAMPLED
from rlvr_jax.training.state import TrainState
from rlvr_jax.types import Array, Draw, Moments, Need, PyTree, TokenBatch

MEAN = 0.02  # nats; a mean above it is warned of
MOST = 1.0  # nats; a token above it stops a run in float32 before it learns
EXPLAINED = 0.1  # share of the gap that the cause of it may leave


@dataclasses.dataclass(frozen=True)
class CutLogp:
  """Log-prob of the token under the truncated distribution, nats.

  Attributes:
    top_k: likeliest tokens that are kept; 0 keeps all.
    top_p: mass that is kept.
    min_p: least probability, of the likeliest token's.
  """

  top_k: int
  top_p: float
  min_p: float

  def from_moments(self, moments: Moments) -> None:
    """Needs the whole distribution."""

  def from_logits(self, logits: Array, *, targets: Array) -> Array:
    """F32[N, V] and i32[N] to f32[N]."""
    cuts = self.top_k or None, self.top_p, self.min_p
    each = (None if x is None else jnp.full(len(logits), x) for x in cuts)
    cut = distribution.truncate(logits, *each, most=self.top_k)
    own = jnp.take_along_axis(cut, targets[:, None], axis=-1)[:, 0]
    return own - jax.nn.logsumexp(cut, axis=-1)


class Comparison:
  """Compares in the first step and then every so often.

  Args:
    run: of `build`.
    first: the step at which this process began or went on.
  """

  def __init__(self, run: Run, first: int):
    self.run, self.first = run, first

  def __call__(
    self, state: TrainState, ref: PyTree | None, batch: TokenBatch
  ) -> None:
    """Looks at a fresh rollout if it is time to.

    Args:
      state: it was sampled with.
      ref: of `Weights.frozen`.
      batch: of `Programs.sample`.

    Raises:
      RuntimeError: in the first step, in float32, a log-prob is off by more
        than `MOST`.
    """
    programs = self.run.programs
    step, every = int(state.step), programs.settings.compare_every
    if not every or (step != self.first and step % every):
      return
    # What is not finite is left out and counted when rewards are put in.
    rows = learning.sound(batch)[:, None]
    batch = batch.replace(mask=batch.mask & rows)
    logp = programs.rescored(state, ref, batch)
    mean, most = map(float, _gap(logp, sampled(batch), batch.mask))
    exact = self.run.config.model.dtype == "float32"
    wrong = step == self.first and exact and not most <= MOST
    if mean <= MEAN and not wrong:
      return
    told = (
      f"sampler and trainer disagree on the log-probs of step {step}: by "
      f"{mean:.3g} nats in the mean and {most:.3g} at most. "
      f"{cause(programs, state, ref, batch)}"
    )
    if wrong:
      raise RuntimeError(told)
    logging.warning(told)


def sampled(batch: TokenBatch) -> Array:
  """f32[B, T]: what the sampler said of a fresh rollout, nats."""
  return batch.stats.get(SAMPLED, batch.old_logp)


def cause(
  programs: Programs, state: TrainState, ref: PyTree | None, batch: TokenBatch
) -> str:
  """Which mistake explains the gap, in a sentence with what to look at.

  Only rows of the main draw are looked at.

  Args:
    programs: of the run.
    state: the rollout was sampled with.
    ref: of `Weights.frozen`.
    batch: of `Programs.sample`.
  """
  batch = batch.replace(mask=batch.mask & (batch.source == 0)[:, None])
  found = programs.rescored(state, ref, batch)
  gap = float(_gap(found, sampled(batch), batch.mask)[0])
  left = {
    name: float(_gap(*arrays)[0])
    for name, arrays in _hypotheses(programs, state, ref, batch)
  }
  # Of several that leave nothing but rounding the first, which says the most.
  name = min(left, key=lambda name: round(left[name] / gap, 2) if gap else 0)
  if gap > 0 and left[name] <= EXPLAINED * gap:
    return f"Likely cause: {name}."
  return (
    "None of the usual causes explains it: compare the two passes token by "
    "token, and their precision."
  )


def _hypotheses(
  programs: Programs, state: TrainState, ref: PyTree | None, batch: TokenBatch
) -> Iterator[tuple[str, tuple[Array, Array, Array]]]:
  """(cause, (log-probs, the sampler's, tokens) that agree if it is true)."""
  main, mask, said = programs.settings.main, batch.mask, sampled(batch)
  again = lambda **new: programs.rescored(state, ref, batch.replace(**new))
  logp = again()
  early = logp[:, 1:], said[:, :-1], mask[:, 1:]
  late = logp[:, :-1], said[:, 1:], mask[:, 1:]
  yield "the sampler's log-probs stand one token too early", early
  yield "the sampler's log-probs stand one token too late", late

  at = batch.score_temperature
  for name, heat in _temperatures(main):
    found = again(score_temperature=jnp.full_like(at, heat))
    yield (
      f"the sampler's log-probs are those at temperature {heat:g} ({name}), "
      f"the trainer's at {main.score_temperature:g}",
      (found, said, mask),
    )
  if main.top_k or main.top_p < 1 or main.min_p > 0:
    found = _cut(programs, state, ref, batch)
    yield (
      "the sampler's log-probs are those of the truncated distribution "
      f"(top_k {main.top_k}, top_p {main.top_p}, min_p {main.min_p}), the "
      "trainer's of the whole one",
      (found, said, mask),
    )

  attended = again(prompt_mask=jnp.ones_like(batch.prompt_mask))
  yield (
    "the sampler reads the padding of prompts as text: its prompt mask",
    (attended, said, mask),
  )
  full = batch.prompt_mask.all(axis=1, keepdims=True)
  if bool(full.any()):
    yield (
      "only rows with a padded prompt disagree: positions of the responses to "
      "left-padded prompts",
      (logp, said, mask & full),
    )
  inner = mask & jnp.roll(mask, -1, axis=1).at[:, -1].set(False)
  yield (
    "only the last tokens of responses disagree: whether the end of a "
    "response counts",
    (logp, said, inner),
  )


def _temperatures(main: Draw) -> list[tuple[str, float]]:
  """Temperatures that may have been taken for the scoring one, by name."""
  score = main.score_temperature
  known = {"no temperature": 1.0, "applied twice": score**2}
  if isinstance(main.temperature, (int, float)) and main.temperature > 0:
    known["that of sampling"] = main.temperature
  return [(name, heat) for name, heat in known.items() if heat != score]


def _cut(
  programs: Programs, state: TrainState, ref: PyTree | None, batch: TokenBatch
) -> Array:
  """f32[B, T]: log-probs under the distribution that was sampled from."""
  main, at = programs.settings.main, batch.score_temperature
  heat = main.temperature_at(jnp.zeros_like(at))
  need = Need(CutLogp(main.top_k, main.top_p, main.min_p), when="rollout")
  scored = jax.jit(functools.partial(programs.scored, (need,)))
  cooled = batch.replace(score_temperature=heat)
  return scored(state, ref, cooled)[need.key]


@jax.jit
def _gap(logp: Array, said: Array, mask: Array) -> tuple[Array, Array]:
  """Mean and largest distance of two log-probs over counted tokens."""
  apart = jnp.abs(jnp.where(mask, logp - said, 0))
  return reduce.masked_mean(apart, mask), reduce.masked_max(apart, mask)
