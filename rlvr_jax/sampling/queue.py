"""The samples that wait for a row, dealt out to the devices that hold rows.

Each device works off a queue of its own. Where a draw takes only the first
prompts they are dealt like cards, so every device gets its share of it; else
prompts stay where they are.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rlvr_jax import rng
from rlvr_jax.sampling import shares
from rlvr_jax.sampling.shares import Deal, Share
from rlvr_jax.types import Array, Draw


class Numbers(NamedTuple):
  """Which prompts and samples a batch holds; the dice are made of these."""

  prompt: Array  # u32[P] or i32[P]
  first_sample: Array  # i32[P]; the rows of a prompt count on from it


class Samples(NamedTuple):
  """What is to be sampled, and how; [Q] each. None: no draw wants that."""

  prompt: Array  # i32, of those on its device
  parent: Array  # i32 sample that it branches off; itself if it does not
  key: Array
  limit: Array  # i32 most tokens
  draw: Array  # i32 its number
  temperature: Array | None  # f32; of one that is a function: unused
  score_temperature: Array | None  # f32
  top_k: Array | None  # i32, 0 keeps all
  top_p: Array | None  # f32
  min_p: Array | None  # f32


class Queue(NamedTuple):
  """The samples of a device, and the order in which they are begun.

  Branches are not begun in that order, but when their parents have ended.
  """

  samples: Samples
  order: Array  # i32[Q] sample numbers, those not to be begun behind the others
  wanted: Array  # i32[1] how many of them are begun


def make(
  draws: tuple[Draw, ...],
  key: Array,
  numbers: Numbers,
  length: int,
  limits: Array | None,
  to: Deal,
) -> Queue:
  """The queues of all devices, one behind the other.

  Args:
    draws: of P prompts, the main one first.
    key: of this step's sampling.
    numbers: of the P prompts and their samples.
    length: most tokens of a response.
    limits: i32[P, G] the same for each sample of the main draw, or None.
    to: which devices prompts are given.

  Returns:
    A Queue with arrays [E Q], `wanted` [E].
  """
  each, real, devices = [], [], to.devices
  for number, share in enumerate(
    shares.of_draws(draws, len(numbers.prompt), devices)
  ):
    limit = length if number or limits is None else limits
    samples = _of_draw(share.draw, number, key, numbers, limit)
    spread = lambda x: to.out(x).reshape(devices, -1)
    samples = jax.tree.map(spread, samples)
    place = to.places(share.prompts)
    own = np.repeat(np.arange(place.shape[1]), share.draw.per_prompt)
    samples = samples._replace(
      prompt=jnp.asarray(np.tile(own, (devices, 1)), jnp.int32),
      parent=_parents(share, devices),
    )
    each.append(samples)
    begun = (place < share.prompts) & (share.draw.parent is None)
    real.append(np.repeat(begun, share.draw.per_prompt, axis=1))
  each = [samples._replace(**_neutral(draws)) for samples in each]
  samples = jax.tree.map(lambda *x: jnp.concatenate(x, 1).reshape(-1), *each)
  real = np.concatenate(real, axis=1)
  order = np.argsort(~real, axis=1, kind="stable").reshape(-1)
  count = lambda x: jnp.asarray(x, jnp.int32)
  return Queue(samples, count(order), count(real.sum(axis=1)))


def _parents(share: Share, devices: int) -> Array:
  """i32[E, size]: the sample that each sample branches off, or itself."""
  own = np.arange(share.size)
  if share.parent is not None:
    parent = share.parent.begin + own // share.branches
  else:
    parent = share.begin + own
  return jnp.asarray(np.tile(parent, (devices, 1)), jnp.int32)


def _of_draw(draw, number, key, numbers, limit) -> Samples:
  """The samples [P, G] of a draw that takes P prompts."""
  count = draw.prompts(len(numbers.prompt))
  shape = count, draw.per_prompt
  of = lambda x, kind: jnp.broadcast_to(jnp.asarray(x, kind), shape)
  temperature = 0.0 if callable(draw.temperature) else draw.temperature
  return Samples(
    prompt=of(0, jnp.int32),  # Where it lies, and what it branches off, is
    parent=of(0, jnp.int32),  # known when it is dealt.
    key=_keys(rng.named(key, draw.name), numbers, *shape),
    limit=of(limit, jnp.int32),
    draw=of(number, jnp.int32),
    temperature=of(temperature, jnp.float32),
    score_temperature=of(draw.score_temperature, jnp.float32),
    top_k=of(draw.top_k, jnp.int32),
    top_p=of(draw.top_p, jnp.float32),
    min_p=of(draw.min_p, jnp.float32),
  )


def _keys(key: Array, numbers: Numbers, count: int, per_prompt: int) -> Array:
  fold = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
  samples = numbers.first_sample[:count, None] + jnp.arange(per_prompt)
  return jax.vmap(fold)(fold(key, numbers.prompt[:count]), samples)


def _neutral(draws: tuple[Draw, ...]) -> dict[str, None]:
  """What changes nothing in any draw: a neutral Python value costs nothing."""
  nothing = {
    "temperature": 1,
    "score_temperature": 1,
    "top_k": 0,
    "top_p": 1,
    "min_p": 0,
  }
  is_it = lambda x, value: isinstance(x, (int, float)) and x == value
  return {
    name: None
    for name, value in nothing.items()
    if all(is_it(getattr(draw, name), value) for draw in draws)
  }


def by_draw(
  x: Array, draws: tuple[Draw, ...], prompts: int, to: Deal
) -> list[Array]:
  """What was found of all samples, by draw.

  Args:
    x: [E Q, ...] in the order of `make`.
    draws: as given to it.
    prompts: P.
    to: as given to it.

  Returns:
    [P G, ...] for each draw, the samples of a prompt together.
  """
  x, found = x.reshape(to.devices, -1, *x.shape[1:]), []
  for share in shares.of_draws(draws, prompts, to.devices):
    own = x[:, share.begin : share.begin + share.size]
    own = own.reshape(-1, share.draw.per_prompt, *x.shape[2:])
    own = to.back(own, share.prompts)
    found.append(own.reshape(-1, *x.shape[2:]))
  return found
