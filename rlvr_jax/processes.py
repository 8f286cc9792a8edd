"""Several processes that run one program, each with devices of its own.

All of them compute the same steps on one mesh. The host's share of a step is
divided: a process decodes and grades the rows that its devices hold, and they
tell each other what came out. Alone, a process tells everything to itself.
"""

import json
import os
import sys
from collections.abc import Sequence

import jax
import numpy as np
from jax.experimental import multihost_utils

from rlvr_jax.types import Array

Json = None | bool | int | float | str | list | dict

# How the explicit form is told: where process 0 listens, how many there are,
# and which one this is.
VARIABLES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
AUTO = "auto"  # of JAX_NUM_PROCESSES: jax asks the cluster itself

# Seconds until a silent process counts as lost, and until one that ends waits
# no longer for the others to end. Their sum is below the minute that is
# promised.
HEARTBEAT, PATIENCE = 30, 15


def start() -> None:
  """Joins the other processes that the environment tells of, if any.

  Must be called before any device is touched. The environment tells of others
  by `VARIABLES`, or by a SLURM step of several tasks; with JAX_NUM_PROCESSES =
  "auto" jax finds out how many there are from the cluster, as on TPU VMs. A
  process that is lost ends all others: see docs/several_machines.md.

  Raises:
    ValueError: some of the variables are set and others not, or one of them is
      no number.
  """
  explicit = _explicit()
  if explicit is None:
    return
  jax.config.update("jax_cpu_collectives_implementation", "gloo")
  # It would take SIGTERM for itself; the loop asks `any_of` instead.
  jax.config.update("jax_enable_preemption_service", False)
  jax.distributed.initialize(
    **explicit,
    heartbeat_timeout_seconds=HEARTBEAT,
    shutdown_timeout_seconds=PATIENCE,
  )
  print(
    f"process {jax.process_index()} of {jax.process_count()}, "
    f"{jax.local_device_count()} of {jax.device_count()} devices",
    file=sys.stderr,
    flush=True,
  )


def _explicit() -> dict[str, str | int] | None:
  """What jax must be told of the others; None if there are none."""
  address, count, number = (os.environ.get(name, "") for name in VARIABLES)
  if count == AUTO:
    return {}
  if not (address or count or number):
    several = int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1
    return {} if several else None
  if not (":" in address and count.isdecimal() and number.isdecimal()):
    raise ValueError(
      f"the environment has {VARIABLES[0]} = {address!r}, {VARIABLES[1]} = "
      f"{count!r}, {VARIABLES[2]} = {number!r}; set all three, as in "
      "10.0.0.1:8476, 4 and 0, or none for a single process."
    )
  if not int(number) < int(count):
    raise ValueError(
      f"{VARIABLES[2]} = {number} must be less than {VARIABLES[1]} = {count}; "
      "processes count from 0."
    )
  return dict(
    coordinator_address=address,
    num_processes=int(count),
    process_id=int(number),
  )


def last_words() -> str:
  """What the user must know when an error ends this process, if anything."""
  if not jax.distributed.is_initialized():
    return ""
  return (
    f"process {jax.process_index()} of {jax.process_count()} ends with an "
    f"error; those that have not ended within {PATIENCE} seconds are named "
    "and ended, too"
  )


def is_first() -> bool:
  """Whether this process writes the files; every other one only reads."""
  return jax.process_index() == 0


def exchange(value: Json) -> list[Json]:
  """What every process says, in their order. All of them must call it."""
  if jax.process_count() == 1:
    return [value]
  said = np.frombuffer(json.dumps(value).encode(), np.uint8)
  sizes = multihost_utils.process_allgather(np.int32(said.size))
  # Few different lengths, since each is compiled.
  room = np.zeros(1 << int(sizes.max() - 1).bit_length(), np.uint8)
  room[: said.size] = said
  rows = multihost_utils.process_allgather(room)
  return [json.loads(row[:size].tobytes()) for row, size in zip(rows, sizes)]


def any_of(flag: bool) -> bool:
  """Whether the flag is set in any process. All of them must call it."""
  if jax.process_count() == 1:  # Asked at every step: nothing may wait.
    return flag
  return bool(multihost_utils.process_allgather(np.bool_(flag)).any())


def meet() -> None:
  """Waits until all processes are here."""
  exchange(None)


def held(x: Array) -> tuple[np.ndarray, np.ndarray]:
  """The rows of a batch that this process answers for; each row has one.

  Args:
    x: [B, ...], with the same place on every process.

  Returns:
    Their numbers, i64[b] and rising, and the rows, [b, ...].
  """
  if not isinstance(x, jax.Array):  # It never was on a device.
    return np.arange(len(x)), x
  pieces = {
    shard.index[0].indices(len(x))[0]: np.asarray(shard.data)
    for shard in x.addressable_shards
    if shard.replica_id == 0
  }
  numbers = [first + np.arange(len(pieces[first])) for first in sorted(pieces)]
  rows = [pieces[first] for first in sorted(pieces)]
  none = np.zeros((0, *x.shape[1:]), x.dtype)
  return np.concatenate([*numbers, np.arange(0)]), np.concatenate([*rows, none])


def of_all_rows(
  numbers: Sequence[int], *columns: Sequence[Json]
) -> tuple[list[Json], ...]:
  """Puts together what every process says of its rows.

  Args:
    numbers: of the rows that this process tells of.
    *columns: each with one value for each of these rows.

  Returns:
    The columns with the values of all rows, in the order of the rows.
  """
  told = exchange([[int(x) for x in numbers], *map(list, columns)])
  rows = {
    number: row for part, *own in told for number, row in zip(part, zip(*own))
  }
  return tuple(map(list, zip(*(rows[number] for number in sorted(rows)))))
