"""A transform on trial, and what a law is."""

import dataclasses
import functools
from collections.abc import Callable

from rlvr_jax.transform import LossTransform


@dataclasses.dataclass(frozen=True)
class Subject:
  """A transform on trial.

  Attributes:
    method: a single transform, with hyper-parameters that make it act.
    doc: docstring of its factory; None if there is none to look at.
    neutral: the transform with hyper-parameters that make it do nothing;
      None if there are none.
    row_order: whether the loss may depend on the order of the rows. One that
      reads `context.key` may in any case.
  """

  method: LossTransform
  doc: str | None = None
  neutral: LossTransform | None = None
  row_order: bool = False

  @property
  def parts(self) -> tuple[LossTransform, ...]:
    """The members of a chain, or the single transform."""
    return self.method.parts or (self.method,)


Law = Callable[[Subject], None]


def law(fn: Law) -> Law:
  """Puts the names of the transform and of the law before the message."""

  @functools.wraps(fn)
  def named(subject):
    try:
      fn(subject)
    except AssertionError as error:
      name = f"{subject.method.name!r} breaks the law {fn.__name__!r}"
      raise AssertionError(f"{name}: {error}") from None

  return named
