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
  temperature: Array  # f32; of a draw whose temperature is a function: unused
  score_temperature: Array  # f32
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


class Deal(NamedTuple):
  """Which prompts each device gets."""

  devices: int  # E
  in_turn: bool  # like cards, not in one piece

  def places(self, count: int) -> np.ndarray:
    """i64[E, n]: numbers of prompts; those from `count` on mean nothing."""
    each = -(-count // self.devices)
    if self.in_turn:
      return np.arange(self.devices * each).reshape(each, self.devices).T
    return np.arange(self.devices * each).reshape(self.devices, each)

  def out(self, x: Array) -> Array:
    """[E n, ...] of [P, ...], by device."""
    place = self.places(len(x)).reshape(-1)
    if len(place) == len(x) and not self.in_turn:
      return x  # A gather would send it round the devices.
    return x[np.minimum(place, len(x) - 1)]

  def back(self, x: Array, count: int) -> Array:
    """[P, ...] of [E n, ...]."""
    if self.in_turn:
      x = x.reshape(self.devices, -1, *x.shape[1:]).swapaxes(0, 1)
      x = x.reshape(-1, *x.shape[2:])
    return x[:count]


def deal(draws: tuple[Draw, ...], prompts: int, devices: int) -> Deal:
  """How prompts are given to devices."""
  some = any(draw.prompts(prompts) < prompts for draw in draws)
  return Deal(devices, in_turn=some and devices > 1)


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
  for number, block in enumerate(blocks(draws, len(numbers.prompt), devices)):
    limit = length if number or limits is None else limits
    samples = _of_draw(block.draw, number, key, numbers, limit)
    spread = lambda x: to.out(x).reshape(devices, -1)
    samples = jax.tree.map(spread, samples)
    place = to.places(block.prompts)
    own = np.repeat(np.arange(place.shape[1]), block.draw.per_prompt)
    samples = samples._replace(
      prompt=jnp.asarray(np.tile(own, (devices, 1)), jnp.int32),
      parent=_parents(block, devices),
    )
    each.append(samples)
    begun = (place < block.prompts) & (block.draw.parent is None)
    real.append(np.repeat(begun, block.draw.per_prompt, axis=1))
  each = [samples._replace(**_unwanted(draws)) for samples in each]
  samples = jax.tree.map(lambda *x: jnp.concatenate(x, 1).reshape(-1), *each)
  real = np.concatenate(real, axis=1)
  order = np.argsort(~real, axis=1, kind="stable").reshape(-1)
  count = lambda x: jnp.asarray(x, jnp.int32)
  return Queue(samples, count(order), count(real.sum(axis=1)))


class Block(NamedTuple):
  """Where the samples of a draw stand in the queue of a device."""

  draw: Draw
  prompts: int  # of all devices
  begin: int
  size: int
  parent: "Block | None"

  @property
  def branches(self) -> int:
    """Of each sample of the parent."""
    return self.draw.per_prompt // self.parent.draw.per_prompt


def blocks(draws: tuple[Draw, ...], prompts: int, devices: int) -> list[Block]:
  """The blocks of all draws, one behind the other.

  Raises:
    ValueError: the parent of a draw does not stand before it, is a branch
      itself, has other prompts, or its rows do not divide those of the draw.
  """
  found: dict[str, Block] = {}
  begin = 0
  for draw in draws:
    count, parent = draw.prompts(prompts), found.get(draw.parent)
    if draw.parent is not None:
      _check(draw, count, parent)
    size = -(-count // devices) * draw.per_prompt
    found[draw.name] = Block(draw, count, begin, size, parent)
    begin += size
  return list(found.values())


def _check(draw: Draw, prompts: int, parent: Block | None) -> None:
  fits = parent is not None and parent.draw.parent is None
  fits = fits and parent.prompts == prompts
  if not (fits and draw.per_prompt % parent.draw.per_prompt == 0):
    raise ValueError(
      f"the draw {draw.name!r} branches off {draw.parent!r} with "
      f"{draw.per_prompt} rows for each of {prompts} prompts; its parent must "
      "be a draw before it that does not branch itself, of as many prompts, "
      "whose rows of a prompt divide those of the branches."
    )


def _parents(block: Block, devices: int) -> Array:
  """i32[E, size]: the sample that each sample branches off, or itself."""
  own = np.arange(block.size)
  if block.parent is not None:
    parent = block.parent.begin + own // block.branches
  else:
    parent = block.begin + own
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


def _unwanted(draws: tuple[Draw, ...]) -> dict[str, None]:
  """The cuts that no draw makes: a neutral Python value costs nothing."""
  neutral = lambda x, value: isinstance(x, (int, float)) and x == value
  cuts = {
    "top_k": all(neutral(draw.top_k, 0) for draw in draws),
    "top_p": all(neutral(draw.top_p, 1) for draw in draws),
    "min_p": all(neutral(draw.min_p, 0) for draw in draws),
  }
  return {name: None for name, unwanted in cuts.items() if unwanted}


def of_draws(
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
  for block in blocks(draws, prompts, to.devices):
    own = x[:, block.begin : block.begin + block.size]
    own = own.reshape(-1, block.draw.per_prompt, *x.shape[2:])
    own = to.back(own, block.prompts)
    found.append(own.reshape(-1, *x.shape[2:]))
  return found
