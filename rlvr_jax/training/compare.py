"""Runs several methods and seeds one after the other and reports on them."""

import os
import pathlib
from collections.abc import Callable, Sequence

import tabulate
from ml_collections import ConfigDict

from rlvr_jax import methods, report
from rlvr_jax.training import config as config_lib
from rlvr_jax.training import loop

Make = Callable[[str], ConfigDict]


def plan(
  make: Make,
  names: Sequence[str],
  seeds: Sequence[int],
  workdir: str | os.PathLike,
) -> dict[str, ConfigDict]:
  """The configuration of every run, by folder name.

  Runs of a seed share one warm start. One seed gives folders named after the
  methods, several give `method-seed1`.

  Args:
    make: method name to its configuration.
    names: methods; "all" stands for the whole catalogue.
    seeds: of the runs.
    workdir: of the comparison.

  Returns:
    Folder name to configuration, in the order they will run.

  Raises:
    ValueError: an unknown method, or a wrong configuration.
  """
  names = list(methods.CATALOGUE) if list(names) == ["all"] else list(names)
  runs = {}
  for seed in seeds:
    for name in names:
      if name not in methods.CATALOGUE:
        methods.make(name)  # tells the nearest one
      config = make(name)
      config.seed, config.label = seed, name
      shared = pathlib.Path(workdir).absolute() / f"warm_start-seed{seed}"
      config.warm_start.folder = os.fspath(shared)
      folder = name if len(seeds) == 1 else f"{name}-seed{seed}"
      config_lib.check(config, pathlib.Path(workdir) / folder)
      runs[folder] = config
  return runs


def compare(
  make: Make,
  names: Sequence[str],
  seeds: Sequence[int],
  workdir: str | os.PathLike,
  title: str,
) -> pathlib.Path:
  """Trains what is not trained yet, writes the report and prints its table.

  Everything is checked before the first run begins. Call it again after it was
  stopped at any time: finished runs are kept and the one under way goes on.

  Args:
    make: method name to its configuration.
    names: methods, or ["all"].
    seeds: of the runs.
    workdir: gets a folder per run, report.html and figures/.
    title: of the report.

  Returns:
    Path of the report.
  """
  workdir = pathlib.Path(workdir)
  runs = plan(make, names, seeds, workdir)
  for folder, config in runs.items():
    loop.train(config, workdir / folder)
  found = [report.read(workdir / folder) for folder in runs]
  page = report.write(found, workdir, title)
  rows = report.summary_text(report.summary_rows(found))
  print(tabulate.tabulate(rows, "keys", disable_numparse=True))
  print(f"report: {page}")
  return page
