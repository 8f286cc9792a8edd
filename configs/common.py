"""What config files share: their arguments and the fields of methods."""

import ast

from ml_collections import ConfigDict, FieldReference

from rlvr_jax.training import hyper


def parse_arg(
  arg: str | None, **defaults: str | int | float | bool
) -> dict[str, str | int | float | bool]:
  """Reads `a,b=1,c=x` of `--config=FILE:a,b=1,c=x` into a dict.

  Args:
    arg: what stands behind the colon of --config; None or "" for nothing. A
      bare name means True.
    **defaults: the names that are known, with their values when not given.

  Returns:
    The defaults with what was given in their place.

  Raises:
    ValueError: an unknown name, or a value of another type than the default.
  """
  found = dict(defaults)
  for part in filter(None, (arg or "").split(",")):
    name, _, text = part.partition("=")
    if name not in defaults:
      raise ValueError(
        f"config argument {name!r} is not known; known are {sorted(defaults)}."
      )
    value = _literal(text) if text else True
    if type(value) is not type(defaults[name]):
      raise ValueError(
        f"config argument {name} = {value!r} must be a "
        f"{type(defaults[name]).__name__} like {defaults[name]!r}."
      )
    found[name] = value
  return found


def _literal(text):
  try:
    return ast.literal_eval(text)
  except (ValueError, SyntaxError):
    return text


def hyper_parameters(name: str) -> ConfigDict:
  """The sub-dict of a method at its defaults.

  Every field has a type, so the command line can set it: one that may be None
  takes any literal, a required one is None until it is set.
  """
  c = ConfigDict()
  for key, field in hyper.of(name).items():
    if field.settable:
      optional = type(None) in field.kinds
      kind = object if optional else field.kinds[0]
      c[key] = FieldReference(field.default, field_type=kind)
  return c
