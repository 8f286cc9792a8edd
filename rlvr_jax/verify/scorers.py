"""Pools that score responses by what others wrote: generators and users."""

import importlib.util
import os
import pathlib
import re
import sys

from rlvr_jax.verify.pool import Pool

_HERE = pathlib.Path(__file__).parent
# More than computer algebra needs: numerical libraries reserve much.
_MEMORY = 4 << 30
_SECONDS = 5.0  # of processor time for a response
_TARGET = re.compile(r"\A[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*\Z")


def gym_pool() -> Pool:
  """Returns a pool of scorers of reasoning-gym.

  Its jobs are those of `gym_scorer.judge`: reference, question, answer.

  Raises:
    ImportError: reasoning-gym is not installed.
  """
  if importlib.util.find_spec("reasoning_gym") is None:
    raise ImportError(
      "The scorers of reasoning-gym need the package reasoning-gym; install it "
      "with: pip install rlvr_jax[envs]"
    )
  return Pool(_HERE / "gym_scorer.py", seconds=_SECONDS, memory=_MEMORY)


def function_pool(target: str) -> Pool:
  """Returns a pool of a user's own function; its jobs: response, reference.

  Args:
    target: "package.module:function", where this process would find it. The
      function takes (response, reference) and returns a reward, or None where
      it cannot tell.

  Raises:
    ValueError: it has not this form, cannot be imported, is no function or
      takes other arguments.
  """
  check_target(target)
  pool = Pool(
    _HERE / "function.py",
    seconds=_SECONDS,
    memory=_MEMORY,
    arguments=(target,),
  )
  try:
    pool.start()
  except RuntimeError as error:
    why = str(error).strip().rpartition("\n")[2]
    raise ValueError(
      f"The function {target!r} cannot be used: {why}. It is looked for in "
      f"{sys.path[0] or os.getcwd()!r} and wherever Python finds packages."
    ) from error
  return pool


def check_target(target: str) -> None:
  """Raises if a target has not the form "package.module:function".

  Raises:
    ValueError: it has not.
  """
  if not _TARGET.match(target):
    raise ValueError(
      f"{target!r} must name a function: package.module:function."
    )
