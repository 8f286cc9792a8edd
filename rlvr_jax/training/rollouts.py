"""What a step samples, and the statistics that a rollout comes with."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax import rng
from rlvr_jax.models.transformer import Transformer
from rlvr_jax.sampling import sampler
from rlvr_jax.training import gradient, learning, pieces
from rlvr_jax.training.pieces import Pieces
from rlvr_jax.training.settings import Settings
from rlvr_jax.training.state import TrainState
from rlvr_jax.training.weights import Weights
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array, Draw, Need, PyTree, TokenBatch, TokenText

# Stat of a rescored batch: what the sampler itself said, f32[B, T] nats.
SAMPLED = "sampled"


class Rollouts(NamedTuple):
  """Pure functions of the state; `Programs` compiles them."""

  model: Transformer
  method: LossTransform
  settings: Settings
  weights: Weights
  pass_parts: int  # that rows of a full pass are split into

  def sample(
    self,
    state: TrainState,
    ref: PyTree | None,
    prompts: Array,
    prompt_mask: Array,
    first: int | Array = 0,
    text: TokenText | None = None,
  ) -> TokenBatch:
    """Samples all draws and scores what the methods want of them.

    Args:
      state: of the run.
      ref: of `Weights.frozen`.
      prompts: i32[P, W].
      prompt_mask: bool[P, W].
      first: number of the first prompt in the step.
      text: of all tokens, if there are branches.
    """
    draws = self.method.plan((self.settings.main,), state.method)
    if self.settings.dynamic is not None:
      # Any prompt may come to be among the first ones that are kept.
      draws = tuple(draw._replace(prompt_fraction=1.0) for draw in draws)
    return self.drawn(state, ref, prompts, prompt_mask, draws, first, text)

  def sample_ahead(
    self,
    state: TrainState,
    ref: PyTree | None,
    prompts: Array,
    prompt_mask: Array,
    steps: int | Array,
    text: TokenText | None = None,
  ) -> TokenBatch:
    """Samples all draws of so many steps later; scores nothing."""
    draws = self.method.plan((self.settings.main,), state.method)
    later = state.replace(step=state.step + steps)
    return self._bare(later, ref, prompts, prompt_mask, draws, 0, text)

  def drawn(
    self,
    state: TrainState,
    ref: PyTree | None,
    prompts: Array,
    prompt_mask: Array,
    draws: tuple[Draw, ...],
    first: int | Array = 0,
    text: TokenText | None = None,
  ) -> TokenBatch:
    """As `sample`, of these draws."""
    given = prompts, prompt_mask, draws, first, text
    return self.score(state, ref, self._bare(state, ref, *given))

  def _bare(self, state, ref, prompts, prompt_mask, draws, first, text):
    """What the sampler itself says."""
    s, key = self.settings, jax.random.wrap_key_data(state.key)
    places = first + jnp.arange(len(prompts))
    return sampler.rollout(
      self.weights.whole(state.params, ref),
      prompts,
      prompt_mask,
      draws,
      rng.key(key, rng.Purpose.SAMPLE, state.step),
      model=self.model,
      rows=s.rows,
      numbers=sampler.Numbers(places, jnp.zeros_like(places)),
      text=text,
      length=s.length,
      ends=s.ends,
      needs=self.method.needs,
    )

  def score(
    self, state: TrainState, ref: PyTree | None, batch: TokenBatch
  ) -> TokenBatch:
    """Adds the rollout-time statistics that the sampler did not record."""
    s = self.settings
    later = learning.scores(self.method)
    wanted = [
      n
      for n in self.method.needs
      if n.when == "rollout" and not n.is_note and n not in later
    ]
    known = batch.stats | {sampler.OLD_LOGP.key: batch.old_logp}
    if s.rescore:
      wanted += [sampler.OLD_LOGP, sampler.ENTROPY]
      known = {}
    missing = tuple(n for n in dict.fromkeys(wanted) if n.key not in known)
    if missing:
      known |= self.scored(missing, state, ref, batch)
    if s.rescore:
      known[SAMPLED] = batch.old_logp
    return batch.replace(old_logp=known[sampler.OLD_LOGP.key], stats=known)

  def rescored(
    self, state: TrainState, ref: PyTree | None, batch: TokenBatch
  ) -> Array:
    """f32[B, T]: log-probs of a rollout by a full pass, nats."""
    found = self.scored((sampler.OLD_LOGP,), state, ref, batch)
    return jnp.where(batch.mask, found[sampler.OLD_LOGP.key], 0)

  def scored(
    self,
    needs: tuple[Need, ...],
    state: TrainState,
    ref: PyTree | None,
    batch: TokenBatch,
  ) -> dict[str, Array]:
    """Statistics of a rollout by a full pass, by Need.key."""
    return gradient.score(
      needs,
      self.weights.sets(state, ref),
      batch.replace(stats={}),
      model=self.weights.model(ref),
      pieces=self._pieces(state, len(batch.mask) // self.pass_parts),
    )

  def _pieces(self, state: TrainState, rows: int) -> Pieces:
    """Of a rollout: slices no larger than an update's."""
    s, draws = self.settings, (self.settings.main,)
    if state.method:  # Else it is of shapes alone, before methods have states.
      draws = self.method.plan(draws, state.method)
    groups = math.gcd(*(draw.per_prompt for draw in draws))
    return pieces.of(s, math.gcd(rows, s.slices * s.updates), rows, groups)
