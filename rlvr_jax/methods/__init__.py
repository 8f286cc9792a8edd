"""The methods by name: `make` builds one, `table` tells about all."""

import difflib
import inspect
import math
from typing import NamedTuple

from rlvr_jax import transform
from rlvr_jax.methods.catalogue import CATALOGUE, FAMILIES, Entry
from rlvr_jax.transform import LossTransform

__all__ = ["CATALOGUE", "FAMILIES", "Entry", "Line", "make", "table"]

Parameter = float | int | str | bool | None
_HOOKS = {
  "plan": transform.keep_plan,
  "prepare": transform.keep,
  "apply": transform.keep,
}


class Line(NamedTuple):
  """What `table` says of a method at its defaults."""

  name: str
  family: str
  paper: str
  arxiv: str
  hooks: tuple[str, ...]  # of plan, prepare, apply
  needs: tuple[str, ...]  # Need.key
  state: bool  # whether it keeps one


def make(name: str, **parameters: Parameter) -> LossTransform:
  """Builds the method `name` of the catalogue.

  Args:
    name: a key of `CATALOGUE`, e.g. "clip_cov".
    **parameters: hyper-parameters of its factory.

  Returns:
    A LossTransform.

  Raises:
    ValueError: unknown name, unknown parameter, or a value out of range.
  """
  if name not in CATALOGUE:
    raise ValueError(
      f"no method named {name!r}{_nearest(name, CATALOGUE)}; "
      f"known are {sorted(CATALOGUE)}."
    )
  factory = CATALOGUE[name].factory
  known = inspect.signature(factory).parameters
  takes = f"{name!r} takes\n{_parameters(factory)}"
  unknown = [p for p in parameters if p not in known]
  if unknown:
    raise ValueError(
      f"{name!r} has no parameter {unknown[0]!r}"
      f"{_nearest(unknown[0], known)}; {takes}"
    )
  required = [p for p in known.values() if p.default is p.empty]
  missing = [p.name for p in required if p.name not in parameters]
  if missing:
    raise ValueError(f"{name!r} needs the parameter {missing[0]!r}; {takes}")
  _check_finite(name, parameters)
  return factory(**parameters)


def _check_finite(name, parameters):
  """A loss with a number that is not finite is none, save for bounds."""
  for key, value in parameters.items():
    if not isinstance(value, float) or math.isfinite(value):
      continue
    if math.isnan(value) or key not in CATALOGUE[name].unbounded:
      raise ValueError(f"{name}.{key} = {value!r} must be a finite number.")


def table() -> tuple[Line, ...]:
  """One line per method, in the order of `FAMILIES` and of the catalogue."""
  return tuple(
    _line(name, entry)
    for family in FAMILIES
    for name, entry in CATALOGUE.items()
    if entry.family == family
  )


def _line(name, entry):
  method = entry.factory(**entry.example)
  return Line(
    name,
    entry.family,
    entry.paper,
    entry.arxiv,
    tuple(h for h, idle in _HOOKS.items() if getattr(method, h) is not idle),
    tuple(need.key for need in method.needs),
    method.init is not transform.no_state,
  )


def _parameters(factory):
  """One line per parameter: its default, its meaning and its range."""
  told = _described(factory)
  lines = []
  for parameter in inspect.signature(factory).parameters.values():
    default = parameter.default
    given = "" if default is parameter.empty else f" = {default!r}"
    lines.append(f"  {parameter.name}{given}: {told[parameter.name]}")
  return "\n".join(lines)


def _described(factory):
  """Parameter to its text in the section Args of the docstring."""
  found, name, inside = {}, "", False
  for line in inspect.getdoc(factory).splitlines():
    indent = len(line) - len(line.lstrip())
    if not indent:
      inside = line == "Args:" or (inside and not line)
    elif inside and indent == 2:
      name, _, text = line.strip().partition(": ")
      found[name] = text
    elif inside:
      found[name] += " " + line.strip()
  return found


def _nearest(word, known):
  close = difflib.get_close_matches(word, list(known), n=1)
  return f" (did you mean {close[0]!r}?)" if close else ""
