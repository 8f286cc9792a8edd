"""What a compiled program moves: read from its text, one device's share.

Loops are counted as often as they run. Programs that end when their rows do
run an unknown number of times, and what they may leave out likewise: they get
the numbers from the caller.
"""

import collections
import math
import re
from typing import NamedTuple

from rlvr_jax.planning.work import ONCE, Runs

COLLECTIVES = (
  "all-gather",
  "all-reduce",
  "reduce-scatter",
  "all-to-all",
  "collective-permute",
)
_PRODUCTS = ("dot", "convolution")
_KERNEL = 'custom_call_target="tpu_custom_call"'
_BITS = re.compile(r"(?:pred|[a-z]+?(\d+)\w*)\[([\d,]*)\]")
_HEAD = re.compile(r"^(?:ENTRY )?%([\w.\-]+) .*\{$")
_LINE = re.compile(
  r"^\s+(?:ROOT )?%([\w.\-]+) = (.*?) ([a-z][\w\-]*)\((.*?)\)(?:, (.*))?$"
)
_CALLS = re.compile(
  r"(calls|to_apply|body|condition|branch_computations|"
  r"true_computation|false_computation)=\{?((?:%[\w.\-]+(?:, )?)+)\}?"
)
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_GROUPS = re.compile(r"replica_groups=(?:\{\{([\d,]+)\}|\[(\d+),(\d+)\])")
_MESH = re.compile(r"replica_groups=mesh\[([^\]]*)\].*? \{('[^}]*)\}")


class Operation(NamedTuple):
  """One line of a program."""

  name: str
  shape: str
  kind: str
  operands: tuple[str, ...]
  given: str  # what stands in its brackets
  rest: str  # attributes


class Sent(NamedTuple):
  """What one kind of collective sends."""

  count: float
  bytes: float  # that a device sends, in rings


class Moved(NamedTuple):
  """What a run of the program moves on one device."""

  sent: dict[str, Sent]  # by kind of collective
  products: float  # bytes that matrix products read and write


def moved(text: str, runs: Runs = ONCE) -> Moved:
  """Adds up the program of one device.

  Of what excludes each other the dearest counts, as `work.flops` has it.

  Args:
    text: of a compiled program.
    runs: what it leaves open.
  """
  return _moved(*_computations(text), runs)


def _moved(bodies: dict, entry: str, runs: Runs) -> Moved:
  """Of what one of the computations does."""
  sent: dict[str, Sent] = {}
  products = 0.0
  for name, times in _times(bodies, entry, runs).items():
    shapes = {operation.name: operation.shape for operation in bodies[name]}
    for operation in bodies[name]:
      kind = operation.kind.removesuffix("-start")
      if kind in COLLECTIVES:
        old = sent.get(kind, Sent(0, 0.0))
        more = times * _sent(kind, operation)
        sent[kind] = Sent(old.count + times, old.bytes + more)
      elif kind in _PRODUCTS or _KERNEL in operation.rest:
        named = [shapes.get(operand, "") for operand in operation.operands]
        products += times * sum(map(_bytes, [operation.shape, *named]))
  return Moved(sent, products)


def _computations(text: str) -> tuple[dict[str, list[Operation]], str]:
  """The operations of every computation, and the name of the first one."""
  found: dict[str, list[Operation]] = {}
  entry, lines = "", []
  for line in text.splitlines():
    if head := _HEAD.match(line):
      lines = found[head[1]] = []
      if line.startswith("ENTRY"):
        entry = head[1]
    elif match := _LINE.match(re.sub(r"/\*.*?\*/", "", line)):
      operands = tuple(re.findall(r"%([\w.\-]+)", match[4]))
      name, shape, kind, given, rest = match.groups("")
      lines.append(Operation(name, shape, kind, operands, given, rest))
  return found, entry


def _times(bodies: dict, entry: str, runs: Runs) -> dict[str, float]:
  """How often each computation runs."""
  times: collections.Counter = collections.Counter()

  def run(name, count, runs):
    times[name] += count
    for operation in bodies[name]:
      again, deeper = 1, runs
      if operation.kind == "conditional":
        again = runs.choice
      if operation.kind == "while":
        again = _known_trips(operation, bodies)
        if again is None:
          again, deeper = runs.loop, runs._replace(loop=1.0)
      for inner in _run(operation, bodies, deeper):
        run(inner, count * again, deeper)

  run(entry, 1, runs)
  return times


def _run(operation: Operation, bodies: dict, runs: Runs) -> list[str]:
  """The computations that an operation runs, one of those it chooses from."""
  called = [
    name
    for kind, name in _called(operation)
    if kind != "to_apply" or operation.kind == "call"
  ]
  if operation.kind != "conditional":
    return called
  return [max(called, key=lambda name: _moved(bodies, name, runs).products)]


def _called(operation: Operation) -> list[tuple[str, str]]:
  """(how, name) of the computations that an operation runs."""
  return [
    (kind, name)
    for kind, names in _CALLS.findall(operation.rest)
    for name in re.findall(r"%([\w.\-]+)", names)
  ]


def _known_trips(loop: Operation, bodies: dict) -> int | None:
  """How often a loop runs, if a number alone decides; compilers differ."""
  if known := _TRIPS.search(loop.rest):
    return int(known[1])
  names = [name for kind, name in _called(loop) if kind == "condition"]
  condition = [
    operation
    for name in names
    for one in bodies[name]
    for operation in (one, *(o for _, n in _called(one) for o in bodies[n]))
  ]
  kinds = [operation.kind for operation in condition]
  ends = [o.given for o in condition if o.kind == "constant"]
  below = [o for o in condition if "direction=LT" in o.rest]
  if kinds.count("compare") == len(below) == len(ends) == 1:
    return int(ends[0]) if "and" not in kinds else None
  return None


def _bytes(shape: str) -> float:
  """Of an array, or of all arrays of a tuple."""
  return sum(_arrays(shape))


def _arrays(shape: str) -> list[float]:
  size = lambda dims: math.prod(int(n) for n in dims.split(",") if n)
  return [
    size(dims) * int(bits or 8) / 8 for bits, dims in _BITS.findall(shape)
  ]


def _sent(kind: str, operation: Operation) -> float:
  """Bytes that a device sends if all pass theirs round a ring."""
  # One that starts has what comes in and what goes out in its shape.
  whole = max(_arrays(operation.shape), default=0.0)
  if not operation.kind.endswith("-start"):
    whole = _bytes(operation.shape)
  if kind == "collective-permute":
    return whole
  group = _group(operation.rest)
  if kind == "reduce-scatter" and not operation.kind.endswith("-start"):
    whole *= group
  passes = 2 if kind == "all-reduce" else 1
  return passes * whole * (group - 1) / group


def _group(rest: str) -> int:
  """Devices that take part in a collective together."""
  if found := _MESH.search(rest):
    sizes = dict(re.findall(r"'(\w+)'=(\d+)", found[1]))
    axes = re.findall(r"'(\w+)'", found[2])
    return math.prod(int(sizes[axis]) for axis in axes)
  if found := _GROUPS.search(rest):
    return len(found[1].split(",")) if found[1] else int(found[3])
  raise ValueError(f"who takes part in a collective? {rest:.200}")
