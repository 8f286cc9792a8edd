"""The hyper-parameters of methods in a configuration.

They stand in a sub-dict named after the method: `config.clip_cov.fraction`. A
configuration file holds the sub-dict of every method of the catalogue, so that
the command line can set each field; those of methods outside the chain must
be left at their defaults.
"""

import inspect
import math
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from rlvr_jax import methods
from rlvr_jax.transform import LossTransform, chain

SCALARS = (bool, int, float, str)  # what a command line can spell


class Hyper(NamedTuple):
  """One hyper-parameter as its factory declares it."""

  kinds: tuple[type, ...]  # what it may be; empty if anything
  default: object  # None if it is required
  required: bool

  @property
  def settable(self) -> bool:
    """Whether a configuration can hold it: a function cannot be written."""
    return any(kind in SCALARS for kind in self.kinds)


def of(name: str) -> dict[str, Hyper]:
  """The hyper-parameters of a method; none if no method has this name."""
  entry = methods.CATALOGUE.get(name)
  return declared(entry.factory) if entry else {}


def declared(factory: Callable[..., object]) -> dict[str, Hyper]:
  """The parameters of a factory, as its signature says."""
  hints, found = typing.get_type_hints(factory), {}
  for key, parameter in inspect.signature(factory).parameters.items():
    required = parameter.default is parameter.empty
    default = None if required else parameter.default
    found[key] = Hyper(_kinds(hints.get(key)), default, required)
  return found


def _kinds(hint: object) -> tuple[type, ...]:
  """`int | None` to (int, NoneType)."""
  if typing.get_origin(hint) in (types.UnionType, typing.Union):
    return typing.get_args(hint)
  return () if hint is None else (hint,)


def given(name: str, values: dict[str, object]) -> dict[str, object]:
  """What to call the factory with: a required one that is None is not set."""
  known = of(name)
  unset = lambda k, v: v is None and k in known and known[k].required
  return {k: v for k, v in values.items() if not unset(k, v)}


def chain_of(config: dict, names: Sequence[str]) -> LossTransform:
  """These methods with the hyper-parameters of a configuration, composed."""
  values = {name: given(name, config.get(name, {})) for name in names}
  return chain(*(methods.make(name, **values[name]) for name in names))


def complete(config: dict) -> dict:
  """The sub-dicts of the chain's methods with all fields, and no others."""
  rest = {k: v for k, v in config.items() if k not in methods.CATALOGUE}
  for name in config.get("chain", ()):
    fields = {k: h.default for k, h in of(name).items() if h.settable}
    rest[name] = fields | config.get(name, {})
  return rest


def changed(name: str, values: dict[str, object]) -> dict[str, object]:
  """The fields of a sub-dict that are not at their defaults."""
  known = of(name)
  same = lambda k, v: k in known and v == known[k].default
  return {k: v for k, v in values.items() if not same(k, v)}


def problems(name: str, values: dict[str, object]) -> Iterator[str]:
  """One line for everything that is wrong with the sub-dict of a method."""
  values = given(name, values)
  told = list(misfits(name, of(name), values))
  yield from told
  if not told:  # A factory compares numbers; a text would confuse it.
    try:
      methods.make(name, **values)
    except ValueError as error:
      yield f"config.chain: {error}"


def misfits(
  section: str, fields: dict[str, Hyper], values: dict[str, object]
) -> Iterator[str]:
  """One line for every value of another type than its field."""
  for key, field in fields.items():
    if key in values and not _fits(values[key], field.kinds):
      allowed = _words(field.kinds)
      yield f"config.{section}.{key} = {values[key]!r} must be {allowed}."


def _fits(value: object, kinds: tuple[type, ...]) -> bool:
  allowed = tuple(k for k in kinds if k in (*SCALARS, type(None)))
  if not allowed:
    return True
  if isinstance(value, bool):
    return bool in allowed
  if isinstance(value, float) and math.isnan(value):
    return False
  return isinstance(value, (*allowed, int) if float in allowed else allowed)


def _words(kinds: tuple[type, ...]) -> str:
  """What a value may be, in words; a function is left out."""
  words = {bool: "True or False", int: "a whole number", float: "a number"}
  words |= {str: "a string", type(None): "None"}
  return " or ".join(words[kind] for kind in kinds if kind in words)
