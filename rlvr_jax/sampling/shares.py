"""Who gets what of a rollout: prompts by device, places in a queue by draw."""

from typing import NamedTuple

import numpy as np

from rlvr_jax.types import Array, Draw


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


class Share(NamedTuple):
  """The samples of a draw in the queue of a device."""

  draw: Draw
  prompts: int  # of all devices
  begin: int
  size: int
  parent: "Share | None"

  @property
  def branches(self) -> int:
    """Of each sample of the parent."""
    return self.draw.per_prompt // self.parent.draw.per_prompt


def of_draws(
  draws: tuple[Draw, ...], prompts: int, devices: int
) -> list[Share]:
  """The shares of all draws, one behind the other.

  Raises:
    ValueError: the parent of a draw does not stand before it, is a branch
      itself, has other prompts, or its rows do not divide those of the draw.
  """
  found: dict[str, Share] = {}
  begin = 0
  for draw in draws:
    count, parent = draw.prompts(prompts), found.get(draw.parent)
    if draw.parent is not None:
      _check(draw, count, parent)
    size = -(-count // devices) * draw.per_prompt
    found[draw.name] = Share(draw, count, begin, size, parent)
    begin += size
  return list(found.values())


def _check(draw: Draw, prompts: int, parent: Share | None) -> None:
  fits = parent is not None and parent.draw.parent is None
  fits = fits and parent.prompts == prompts
  if not (fits and draw.per_prompt % parent.draw.per_prompt == 0):
    raise ValueError(
      f"the draw {draw.name!r} branches off {draw.parent!r} with "
      f"{draw.per_prompt} rows for each of {prompts} prompts; its parent must "
      "be a draw before it that does not branch itself, of as many prompts, "
      "whose rows of a prompt divide those of the branches."
    )
