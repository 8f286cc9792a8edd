"""Notes: what only the text of a response tells, written on the host.

A method asks for one like for any statistic, `Need(Answer(), when="rollout")`,
and finds it by `context.stat`. Each is a frozen dataclass with the attributes
and the function of `types.Note`; a new one may live in a method's own file.
"""

import dataclasses
from typing import ClassVar, Literal

import numpy as np

from rlvr_jax.types import Need, Responses


@dataclasses.dataclass(frozen=True)
class Answer:
  """Which rows of a group gave the same final answer; i32[B].

  Equal answers of a group have equal numbers >= 0; numbers of two groups say
  nothing about each other. -1 where a response holds no answer.
  """

  shape: ClassVar[Literal["row"]] = "row"
  values: ClassVar[tuple[int, int]] = (-1, 3)

  def annotate(self, responses: Responses) -> np.ndarray:
    """The number of the first row of the group with that answer."""
    first, found = {}, []
    for row, (group, answer) in enumerate(
      zip(responses.group.tolist(), responses.answers)
    ):
      known = first.setdefault((group, answer), row)
      found.append(-1 if answer is None else known)
    return np.array(found, np.int32)


ANSWER = Need(Answer(), when="rollout")
