"""The catalogue: every method by name, and `make`, which builds one."""

import difflib
import inspect
from collections.abc import Callable
from typing import NamedTuple

from rlvr_jax.methods.grpo import grpo
from rlvr_jax.transform import LossTransform

Parameter = float | int | str | bool | None


class Entry(NamedTuple):
  """One row of the catalogue."""

  factory: Callable[..., LossTransform]
  family: str  # what it acts on
  paper: str
  arxiv: str  # identifier, "" if none


CATALOGUE: dict[str, Entry] = {
  "grpo": Entry(grpo, "advantage", "DeepSeekMath (GRPO)", "2402.03300"),
}


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
  unknown = [p for p in parameters if p not in known]
  if unknown:
    allowed = ", ".join(f"{p.name}={p.default!r}" for p in known.values())
    raise ValueError(
      f"{name!r} has no parameter {unknown[0]!r}"
      f"{_nearest(unknown[0], known)}; it takes {name}({allowed})."
    )
  return factory(**parameters)


def _nearest(word, known):
  close = difflib.get_close_matches(word, list(known), n=1)
  return f" (did you mean {close[0]!r}?)" if close else ""
