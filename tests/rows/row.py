"""A row of the table."""

from typing import NamedTuple

from rlvr_jax import methods


class Row(NamedTuple):
  """A method with hyper-parameters that act, and with neutral ones."""

  name: str
  acting: dict[str, methods.Parameter]
  neutral: dict[str, methods.Parameter] | None = None
  row_order: bool = False  # the order of the rows may matter

  @property
  def id(self) -> str:
    settings = ",".join(f"{k}={v}" for k, v in self.acting.items())
    return f"{self.name}({settings})"
