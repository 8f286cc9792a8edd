"""The instruction bundles that the TPU compiler schedules for a kernel."""

import pathlib
import re
from collections.abc import Iterable


def read(dump: pathlib.Path, name: str) -> list[str]:
  """The lines of the final schedule of a kernel.

  Args:
    dump: where the compiler wrote.
    name: of the kernel.

  Raises:
    ValueError: there is not one such file.
  """
  found = [
    path
    for path in dump.glob(f"*-{name}.*final_bundles.txt")
    if "schedule" not in path.name
  ]
  if len(found) != 1:
    raise ValueError(
      f"the compiler wrote {len(found)} schedules of {name!r} to {dump}, not "
      "one; this libtpu may name its files in another way."
    )
  return found[0].read_text().splitlines()


def regions(lines: Iterable[str]) -> list[int]:
  """Bundles between marks: bounds of loops, and branches around a region."""
  marks, number = [0], 0
  for line in lines:
    bundle = re.match(r"\s*(0x[0-9a-f]+|0)\s+(LB|PF|PB|LE|CT|LH)?", line)
    if not bundle:
      continue
    number = int(bundle[1], 16)
    marks += [number] * bool(bundle[2]) + [number + 1] * ("sbr.rel" in line)
  marks = sorted([*marks, number])
  return [after - before for before, after in zip(marks, marks[1:])]
