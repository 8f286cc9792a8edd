"""Ways of grading the answers of datasets, by name."""

from collections.abc import Callable
from typing import NamedTuple

from rlvr_jax.tasks.base import GradeFn, Problem
from rlvr_jax.tasks.filters import Check


class Style(NamedTuple):
  """A way of grading answers."""

  grade: GradeFn
  extract: Callable[[Problem, str], str | None]
  check: Check  # of reference answers


STYLES: dict[str, Callable[[], Style]] = {}
