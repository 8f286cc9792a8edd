"""The laws every transform must hold, as checks of a transform of your own.

  from rlvr_jax import laws
  laws.check(my_factory)

Each law is a function of a `Subject` that raises an AssertionError naming the
law and what breaks it. All run on one small synthetic rollout and take a few
seconds, nearly all of it for compiling.
"""

from collections.abc import Callable

from rlvr_jax.laws.docstrings import HEADINGS
from rlvr_jax.laws.expect import require
from rlvr_jax.laws.gradients import STEP
from rlvr_jax.laws.laws import (
  DIFFERENCE,
  JUNK,
  LAWS,
  REORDERED,
  declares_what_it_owns,
  declares_what_it_reads,
  documents_itself,
  has_exact_gradient,
  ignores_padding,
  ignores_row_order,
  is_nothing_when_neutral,
  resumes_from_disk,
  survives_extremes,
  traces_once,
)
from rlvr_jax.laws.rollouts import PADDING_ROWS
from rlvr_jax.laws.subject import Law, Subject
from rlvr_jax.transform import LossTransform

__all__ = [
  "DIFFERENCE",
  "HEADINGS",
  "JUNK",
  "LAWS",
  "PADDING_ROWS",
  "REORDERED",
  "STEP",
  "Law",
  "Subject",
  "check",
  "declares_what_it_owns",
  "declares_what_it_reads",
  "documents_itself",
  "has_exact_gradient",
  "ignores_padding",
  "ignores_row_order",
  "is_nothing_when_neutral",
  "resumes_from_disk",
  "survives_extremes",
  "traces_once",
]


def check(
  method: LossTransform | Callable[[], LossTransform],
  *,
  neutral: LossTransform | None = None,
  row_order: bool = False,
) -> None:
  """Holds a transform to all laws.

  Args:
    method: a transform, or its factory, whose docstring is then held to what
      the transform does.
    neutral: see `Subject`.
    row_order: see `Subject`.

  Raises:
    AssertionError: all broken laws, one to a line.
  """
  doc = None
  if not isinstance(method, LossTransform):
    method, doc = method(), method.__doc__ or ""
  subject = Subject(method, doc, neutral, row_order)
  broken = []
  for law in LAWS:
    try:
      law(subject)
    except AssertionError as error:
      broken.append(str(error))
  require(not broken, "\n".join(broken))
