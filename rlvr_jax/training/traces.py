"""Each program is traced once: again is minutes of compiling, unasked for."""

import functools
import inspect
from collections.abc import Callable

import jax

from rlvr_jax.types import Array, PyTree


class Retraced(RuntimeError):
  """A program was traced again; the message names what had changed."""


def limited(fn: Callable[..., PyTree], limit: int) -> Callable[..., PyTree]:
  """The function, to be compiled, that may be traced so many times.

  It costs nothing once it is compiled: only traces are counted.

  Args:
    fn: of arrays and trees of them.
    limit: traces; one for every width that prompts are padded to.

  Returns:
    The function; one trace more raises Retraced.
  """
  names, seen = tuple(inspect.signature(fn).parameters), []

  @functools.wraps(fn)
  def counted(*args: PyTree, **named: PyTree) -> PyTree:
    new = _shapes(dict(zip(names, args)) | named)
    if len(seen) == limit:
      raise Retraced(_told(fn.__name__.strip("_"), seen[-1], new))
    seen.append(new)
    return fn(*args, **named)

  return counted


def _shapes(args: dict[str, PyTree]) -> dict[str, tuple[str, str]]:
  """(shape and type, place) of every array by its path, such as state.step."""
  return {
    name + jax.tree_util.keystr(path): _shape(x)
    for name, tree in args.items()
    for path, x in jax.tree_util.tree_leaves_with_path(tree)
  }


def _shape(x: Array) -> tuple[str, str]:
  aval = jax.typeof(x)
  shape = aval.str_short() + " of a Python number" * aval.weak_type
  return shape, f"on {aval.sharding}"


def _told(
  name: str, old: dict[str, tuple[str, str]], new: dict[str, tuple[str, str]]
) -> str:
  """What is other than at the trace before."""
  absent = ("absent", "absent")
  pairs = {
    key: (old.get(key, absent), new.get(key, absent)) for key in old | new
  }
  changed = [
    f"{key} was {before[part]}, now {after[part]}"
    for part in (0, 1)
    for key, (before, after) in pairs.items()
    if before[part] != after[part]
  ]
  why = "; ".join(changed[:3]) or "no argument is, so jax.config has changed"
  return (
    f"the program {name!r} is compiled again in the middle of the run, because "
    f"arguments are other than before: {why}. States, notes and rollouts must "
    "keep their shapes, types and places: look at what made this array."
  )
