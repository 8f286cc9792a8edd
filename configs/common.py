"""Arguments of config files: `--config=FILE:runlocal,method=steer`."""

import ast


def parse_arg(
  arg: str | None, **defaults: str | int | float | bool
) -> dict[str, str | int | float | bool]:
  """Reads `a,b=1,c=x` into a dict.

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
