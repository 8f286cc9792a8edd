"""A user's own function of rewards; only workers may load this.

Its argument: "package.module:function".
"""

import importlib
import inspect
import sys
from collections.abc import Callable


def judge(response: str, reference: str) -> float | None:
  """Returns what the user's function does.

  Args:
    response: the whole text.
    reference: of the problem.
  """
  return _function(response, reference)


def _found(target: str) -> Callable[[str, str], float | None]:
  name, _, attribute = target.partition(":")
  function = getattr(importlib.import_module(name), attribute)
  if not callable(function):
    raise TypeError(f"{target} is {function!r:.80} and no function")
  try:
    inspect.signature(function).bind("response", "reference")
  except TypeError as error:
    raise TypeError(
      f"{target} must take (response, reference): {error}"
    ) from None
  return function


_function = _found(sys.argv[1])
