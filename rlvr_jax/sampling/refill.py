"""Rows that have ended get the next sample: a prompt, or a branch.

When a parent ends, its row holds every token that its branches begin with. The
row goes back to where the last of them parts, works it off, and then goes back
further: nothing but the token before a branch is read again. A row that finds
no prompt any more takes a branch from another row, with a copy of its cache.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax import rng
from rlvr_jax.models.transformer import Read
from rlvr_jax.sampling.queue import Queue
from rlvr_jax.sampling.shares import Share
from rlvr_jax.sampling.state import Rows
from rlvr_jax.types import Array, Parent, TokenText


class Refill(NamedTuple):
  """Where rows get their samples from."""

  prompts: Read
  queue: Queue
  branches: tuple[Share, ...]  # the draws that branch
  vocabulary: int  # V
  text: TokenText | None  # [V]

  def waits(self, state: Rows) -> Array:
    """bool[]: whether there is a sample that has not begun."""
    waits = state.begun < self.queue.wanted[0]
    if self.branches:
      waits |= state.waiting.any() | state.parting.any()
    return waits

  def __call__(self, state: Rows) -> Rows:
    """Gives rows that have ended what waits, one after the other.

    Nothing here is under a condition that hands the cache on: it would be
    copied as a whole, for every row.
    """
    if self.branches:
      parting = lambda state: state.parting.any()
      state = jax.lax.while_loop(parting, self._parted, state)

    def needed(state):
      return ~state.going.all() & self.waits(state)

    one = self._given if self.branches else self._prompt
    return jax.lax.while_loop(needed, one, state)

  def _parted(self, state: Rows) -> Rows:
    """The branches of a row whose parent has ended wait from now on."""
    row = jnp.argmax(state.parting)
    sample = state.sample[row]
    home, copied = state.home, state.record.copied
    for share in self.branches:
      place = self._branches(share, sample)
      cuts = self._cuts(share, state, sample)
      home = home.at[place].set(row, mode="drop")
      copied = copied.at[place].set(cuts, mode="drop")
    return state._replace(
      parting=state.parting.at[row].set(False),
      home=home,
      record=state.record._replace(copied=copied),
    )

  def _branches(self, share: Share, sample: Array) -> Array:
    """i32[n]: the branches of a sample in a share; Q if it has none there."""
    parent, n = share.parent, share.branches
    place = share.begin + (sample - parent.begin) * n + jnp.arange(n)
    inside = (sample >= parent.begin) & (sample < parent.begin + parent.size)
    return jnp.where(inside, place, len(self.queue.order))

  def _cuts(self, share: Share, state: Rows, sample: Array) -> Array:
    """i32[n]: how many tokens of the sample its branches keep."""
    record = state.record
    tokens, samples = record.tokens[sample], self.queue.samples
    parent = Parent(
      tokens,
      jnp.arange(len(tokens)) < record.count[sample],
      {name: x[sample] for name, x in record.stats.items()},
      rng.named(samples.key[sample], share.draw.name),
      self.prompts.length[samples.prompt[sample]],
      self.vocabulary,
      jax.tree.map(lambda x: x[tokens], self.text),
    )
    cuts = share.draw.cut(parent, share.branches)
    # The end of a parent is sampled again, or nothing would be.
    return jnp.clip(cuts.astype(jnp.int32), 0, record.count[sample] - 1)

  def _given(self, state: Rows) -> Rows:
    """A free row gets a sample; its own branches come first."""
    ends = jnp.where(state.waiting, state.record.copied, -1)
    # Of the branches of a row the longest first: it leaves the others theirs.
    place = jnp.where(state.waiting, state.home, len(state.going))
    own = jnp.zeros_like(state.going).at[place].set(True, mode="drop")
    free = ~state.going
    at_home = (free & own).any()
    row = jnp.where(at_home, jnp.argmax(free & own), jnp.argmax(free))
    here = jnp.where(at_home, state.home == row, True)
    branch = jnp.argmax(jnp.where(here, ends, -1))
    prompts = ~at_home & (state.begun < self.queue.wanted[0])
    sample = jnp.where(prompts, self.queue.order[state.begun], branch)
    state = state._replace(begun=state.begun + prompts)
    return self._parts(state, row, sample, prompts)

  def _prompt(self, state: Rows) -> Rows:
    """A free row begins with the next prompt of the queue."""
    row = jnp.argmin(state.going)
    sample = self.queue.order[state.begun]
    prompt = self.queue.samples.prompt[sample]
    cache = state.cache.copied(self.prompts.cache, prompt, row)
    state = state._replace(cache=cache, begun=state.begun + 1)
    return self._begun(state, row, sample, self.prompts.last[prompt])

  def _parts(self, state: Rows, row: Array, sample: Array, anew: Array) -> Rows:
    """A row begins where a branch parts, or `anew` after the prompt."""
    prompt = self.queue.samples.prompt[sample]
    copied, old = state.record.copied[sample], state.record
    parent = self.queue.samples.parent[sample]  # itself, of what is no branch
    kept = jnp.arange(old.tokens.shape[1]) < copied

    def put(x):
      mask = kept.reshape(-1, *[1] * (x.ndim - 2))
      return x.at[sample].set(jnp.where(mask, x[parent], x[sample]))

    record = old._replace(
      count=old.count.at[sample].set(copied),
      tokens=put(old.tokens),
      sample_logp=put(old.sample_logp),
      stats=jax.tree.map(put, old.stats),
    )
    home = jnp.where(anew, row, state.home[sample])
    cache = state.cache.copied(state.cache, home, row)
    state = state._replace(
      cache=cache.copied(self.prompts.cache, prompt, row, anew),
      home=state.home.at[sample].set(-1),
      record=record,
    )
    newest = old.tokens[parent, jnp.maximum(copied - 1, 0)]
    token = jnp.where(copied > 0, newest, self.prompts.last[prompt])
    return self._begun(state, row, sample, token)

  def _begun(
    self, state: Rows, row: Array, sample: Array, token: Array
  ) -> Rows:
    """The row reads the token before its first one next."""
    put = lambda x, value: x.at[row].set(value)
    length = self.prompts.length[self.queue.samples.prompt[sample]]
    return state._replace(
      sample=put(state.sample, sample),
      going=put(state.going, True),
      token=put(state.token, token),
      position=put(state.position, length + state.record.count[sample] - 1),
    )
