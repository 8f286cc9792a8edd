"""The numbers that the programs of a run are compiled with."""

from typing import Literal, NamedTuple

from rlvr_jax import objective, tasks
from rlvr_jax.sampling import sampler
from rlvr_jax.types import Draw


class Dynamic(NamedTuple):
  """How prompts are drawn until enough groups have mixed rewards."""

  metric: Literal["correct", "reward"]  # that the rewards of a group mix in
  prompts: int  # asked for at a time
  max_batches: int  # of prompts, in a step; 0 for no bound


class Settings(NamedTuple):
  """Counts and options of a step."""

  prompts: int
  prompt_width: int
  length: int  # response positions T
  ends: sampler.Ends
  rows: int  # most that are sampled at a time; 0 for all
  main: Draw
  updates: int  # minibatches per rollout
  slices: int
  widths: int  # that slices may run at
  chunk: int  # tokens whose logits exist at the same time
  clip: tuple[float, float]
  aggregation: objective.Aggregation
  scale: float | None
  rescore: bool  # old log-probs from a full pass, not from the sampler
  compare_every: int  # steps between looks at the mismatch; 0: never
  ema_decay: float
  ema_every: int  # updates between two moves of the slow copy
  guard_window: int
  # Sigmas of a spike, and the norm that is harmless: see `guard.is_spike`.
  guard_spikes: tuple[float, float]
  guard_limit: int  # refused updates in a row after which none is taken
  dynamic: Dynamic | None  # None: the first prompts that come are trained on
  share_prompts: bool = False  # full passes read a prompt once for its rows
  ahead: bool = False  # the next rollout is sampled before a step is learnt

  @property
  def prompt_widths(self) -> tuple[int, ...]:
    """Positions that prompts are padded to, the least that holds a batch.

    A checkpoint holds the rollout ahead, so that has one shape.
    """
    width = self.prompt_width
    return (width,) if self.ahead else tasks.prompt_widths(width)

  @property
  def asked(self) -> int:
    """Prompts that are sampled at a time."""
    return self.prompts if self.dynamic is None else self.dynamic.prompts
