"""What a run takes on a topology, as text and as numbers."""

from typing import NamedTuple

import tabulate

from rlvr_jax.planning import compiled
from rlvr_jax.planning.chips import GIB, Topology
from rlvr_jax.planning.compiled import Bounds, Figures
from rlvr_jax.planning.places import Place

KNOBS = (
  "more config.train.slices, fewer config.rollout.rows, a larger "
  "config.mesh.fsdp or tensor, config.mesh.sequence if an update does not fit "
  "with one row in a slice, config.model.remat, or shorter responses"
)


class Plan(NamedTuple):
  """All that is known of a run on a topology."""

  topology: Topology
  places: list[Place]
  programs: list[Figures]
  tokens: int  # of the responses of a step, all of full length

  @property
  def bounds(self) -> list[Bounds]:
    """Of every program."""
    return [compiled.bounds(f, self.topology) for f in self.programs]

  @property
  def memory(self) -> float:
    """Bytes on each device that the hungriest program holds."""
    return max(f.memory.total for f in self.programs)

  @property
  def fits(self) -> bool:
    """Whether every program fits in the memory of a device."""
    return self.memory <= self.topology.memory

  @property
  def seconds(self) -> float:
    """The least that a step can take."""
    return sum(f.times * b.seconds for f, b in zip(self.programs, self.bounds))


def text(plan: Plan) -> str:
  """The tables of a plan, and what to make of them."""
  tables = (
    _places(plan.places),
    _memory(plan),
    _limits(plan),
    _collectives(plan),
  )
  return "\n\n".join([*(_table(rows) for rows in tables), verdict(plan)])


def verdict(plan: Plan) -> str:
  """Whether it fits, and how long a step takes at least."""
  have, want = plan.topology.memory / GIB, plan.memory / GIB
  rate = plan.tokens / plan.seconds
  if plan.fits:
    fits = f"Fits: {want:.1f} of {have:.1f} GiB a device."
  else:
    most = max(plan.programs, key=lambda f: f.memory.total).name
    fits = (
      f"Does not fit: {most} wants {want:.1f} GiB a device, there are "
      f"{have:.1f}. What helps, in this order: {KNOBS}."
    )
  return (
    f"{fits}\nAt the published rates a step takes at least {plan.seconds:.1f} "
    f"s: at most {rate:,.0f} tokens of responses a second, if all have full "
    "length."
  )


def refusal(where: list[Place], error: MemoryError) -> str:
  """Where arrays live, and that the compiler finds no room for a program."""
  return (
    f"{_table(_places(where))}\n\nDoes not fit: the chip's compiler finds no "
    f"room for {error}\nWhat helps, in this order: {KNOBS}."
  )


def numbers(plan: Plan) -> dict:
  """A plan for JSON: bytes on each device, seconds, operations."""
  of = lambda f, b: {
    **{k: v for k, v in f._asdict().items() if k not in ("moved", "memory")},
    "bytes": f.memory._asdict(),
    "sent": {k: s._asdict() for k, s in f.moved.sent.items()},
    "read_by_products": f.moved.products,
    "bounds": b._asdict(),
  }
  return {
    "topology": f"{plan.topology.name}:"
    + "x".join(map(str, plan.topology.shape)),
    "places": [place._asdict() for place in plan.places],
    "programs": [of(f, b) for f, b in zip(plan.programs, plan.bounds)],
    "bytes": plan.memory,
    "fits": plan.fits,
    "seconds": plan.seconds,
  }


def _table(rows: list[dict]) -> str:
  return tabulate.tabulate(rows, "keys", "github", floatfmt=",.2f")


def _places(where: list[Place]) -> list[dict]:
  return [
    {"arrays": p.name, "split": p.split, "GiB a device": p.bytes / GIB}
    for p in where
  ]


def _memory(plan: Plan) -> list[dict]:
  return [
    {
      "program": f.name,
      "a step": f.times,
      "arguments": f.memory.arguments / GIB,
      "outputs": f.memory.outputs / GIB,
      "temporaries": f.memory.temporaries / GIB,
      "GiB a device": f.memory.total / GIB,
      "compiled in (s)": f.seconds,
    }
    for f in plan.programs
  ]


def _limits(plan: Plan) -> list[dict]:
  return [
    {
      "program": f.name,
      "TFLOP a device": f.flops / 1e12,
      "compute (s)": b.compute,
      "memory (s)": b.memory,
      "network (s)": b.network,
      "bound": b.limit,
    }
    for f, b in zip(plan.programs, plan.bounds)
  ]


def _collectives(plan: Plan) -> list[dict]:
  return [
    {
      "program": f.name,
      "collective": kind,
      "a run": sent.count,
      "GiB sent a device": sent.bytes / GIB,
    }
    for f in plan.programs
    for kind, sent in sorted(f.moved.sent.items())
  ]
