"""What a way of grading is."""

from collections.abc import Callable
from typing import Literal, NamedTuple

from rlvr_jax.tasks.base import GradeFn, Problem
from rlvr_jax.tasks.filters import Check


class Style(NamedTuple):
  """A way of grading the responses to problems of datasets.

  Attributes:
    grade: of a batch, as `Task.grade`.
    extract: as `Task.extract`.
    check: of reference answers, when data are loaded.
    reference: what references may be, see `sources.read`.
  """

  grade: GradeFn
  extract: Callable[[Problem, str], str | None]
  check: Check
  reference: Literal["text", "json", "entry"] = "text"
