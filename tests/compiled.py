"""What a process of tests holds of compiled programs."""

import pathlib

import jax

# A process may have 65,530 mappings, and every compiled program takes some.
LIMIT = 8_000


def drop() -> None:
  """Drops all programs if a process may run out of mappings, else none.

  The next test then need not compile again what it has in common with others.
  """
  maps = pathlib.Path("/proc/self/maps")
  if not maps.exists() or maps.read_bytes().count(b"\n") > LIMIT:
    jax.clear_caches()
