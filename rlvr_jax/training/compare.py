"""Runs several methods and seeds one after the other and reports on them."""

import difflib
import importlib.util
import os
import pathlib
from collections.abc import Callable, Collection, Sequence

import tabulate
from absl import flags
from ml_collections import ConfigDict, config_flags

from rlvr_jax import methods, report
from rlvr_jax.training import build, loop, metrics, warm_start
from rlvr_jax.training import config as config_lib

Make = Callable[[str], ConfigDict]


def maker(flag: flags.FlagHolder) -> Make:
  """From the flag --config of a command line to the config of a method.

  The file is read once more for every method, with `method=NAME` among its
  arguments, and takes the same overrides.
  """

  def make(method: str) -> ConfigDict:
    path, _, arg = config_flags.get_config_filename(flag).partition(":")
    spec = importlib.util.spec_from_file_location("config", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    parts = [p for p in arg.split(",") if p and not p.startswith("method=")]
    config = module.get_config(",".join([*parts, f"method={method}"]))
    overrides = config_flags.get_override_values(flag)
    if "chain" in overrides:
      raise config_lib.ConfigError(
        f"--config.chain = {overrides['chain']} has no place in a comparison: "
        "--methods decides the chains; train that chain with "
        "experiments.train."
      )
    try:
      config.update_from_flattened_dict(overrides)
    except KeyError as error:
      raise config_lib.ConfigError(
        f"{path} with method={method} has not all fields of the command line: "
        f"{error.args[0]}; set what all methods of --methods have."
      ) from error
    return config

  return make


def plan(
  make: Make,
  names: Sequence[str],
  seeds: Sequence[int],
  workdir: str | os.PathLike,
) -> dict[str, ConfigDict]:
  """The configuration of every run of methods, by folder name.

  A hyper-parameter set for one method is left out of the runs without it; if no
  run has the method, it is refused.

  Args:
    make: method name to its configuration.
    names: methods; "all" stands for the whole catalogue.
    seeds: of the runs.
    workdir: of the comparison.

  Returns:
    As of `arrange`.

  Raises:
    ConfigError: an unknown method, or wrong configurations, all told.
  """
  names = list(methods.CATALOGUE) if list(names) == ["all"] else list(names)
  _check_names(names, seeds)
  return arrange(make, names, seeds, workdir)


def arrange(
  make: Make,
  names: Sequence[str],
  seeds: Sequence[int],
  workdir: str | os.PathLike,
) -> dict[str, ConfigDict]:
  """The configuration of every run, whatever the runs are named after.

  Runs of a seed share one warm start. One seed gives folders of the names,
  several give `name-seed1`.

  Args:
    make: name to its configuration.
    names: of what is compared.
    seeds: of the runs.
    workdir: of the comparison.

  Returns:
    Folder name to configuration, in the order they will run.

  Raises:
    ConfigError: wrong configurations, all told.
  """
  workdir, runs = pathlib.Path(workdir), {}
  for seed in seeds:
    for name in names:
      config = make(name)
      config.seed, config.label = seed, name
      shared = workdir.absolute() / f"warm_start-seed{seed}"
      config.warm_start.folder = os.fspath(shared)
      runs[name if len(seeds) == 1 else f"{name}-seed{seed}"] = config
  _leave_out(runs.values())
  _check(runs, workdir)
  return runs


def _check_names(names: Sequence[str], seeds: Sequence[int]) -> None:
  problems = []
  for name in names:
    if name not in methods.CATALOGUE:
      near = difflib.get_close_matches(name, methods.CATALOGUE, n=1)
      hint = f" (did you mean {near[0]!r}?)" if near else ""
      problems.append(
        f"--methods: no method named {name!r}{hint}; choose from "
        f"{sorted(methods.CATALOGUE)}, or give all alone."
      )
  for flag, values in (("methods", names), ("seeds", seeds)):
    if not values or len(set(values)) < len(values):
      problems.append(
        f"--{flag} = {list(values)} must name at least one, each once."
      )
  config_lib.refuse(problems)


def _leave_out(configs: Collection[ConfigDict]) -> None:
  """Drops from each run what only other runs of the comparison use."""
  used = {name for config in configs for name in config.chain}
  for config in configs:
    for name in used.difference(config.chain).intersection(config):
      with config.unlocked():
        del config[name]


def _check(runs: dict[str, ConfigDict], workdir: pathlib.Path) -> None:
  """Raises the problems of all runs, those that several share once."""
  where = {}
  for folder, config in runs.items():
    for problem in config_lib.problems(config, workdir / folder):
      where.setdefault(problem, []).append(folder)
  config_lib.refuse([f"{', '.join(f)}: {p}" for p, f in where.items()])


def rehearse(runs: dict[str, ConfigDict], workdir: pathlib.Path) -> None:
  """Builds the runs of one seed, so that none is refused after others ran.

  What `check` cannot tell, such as the rows of a method's own draws, is the
  same for every seed.

  Args:
    runs: of `plan`.
    workdir: of the comparison.

  Raises:
    ConfigError: a run cannot be built, or has another warm start.
  """
  first = next(iter(runs.values()))
  made = {}
  for folder, config in runs.items():
    warm_start.check(config, workdir / folder)
    _check_shared(folder, config, made)
    if config.seed == first.seed:
      with config_lib.building():
        build.build(config)


def _check_shared(folder: str, config: ConfigDict, made: dict) -> None:
  """Runs of a seed begin with one warm start; `made` remembers them."""
  own = warm_start.identity(config)
  differ = config_lib.differences(made.setdefault(config.seed, own), own)
  if differ:
    raise config_lib.ConfigError(
      f"{folder} differs from the runs before it in {differ}, but the runs of "
      "a comparison share their warm start; compare those in another --workdir."
    )


def trained(
  runs: dict[str, ConfigDict], workdir: str | os.PathLike
) -> list[report.Run]:
  """Trains what is not trained yet and reads all runs.

  A run whose last step is written is not built again.

  Args:
    runs: of `plan` or `arrange`.
    workdir: gets a folder per run.

  Returns:
    What the runs logged, in their order.
  """
  workdir = pathlib.Path(workdir)
  rehearse(runs, workdir)
  for folder, config in runs.items():
    done = metrics.last_step(workdir / folder / "metrics.jsonl")
    if done != config.steps - 1:
      loop.train(config, workdir / folder)
  return [report.read(workdir / folder) for folder in runs]


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
  found = trained(plan(make, names, seeds, workdir), workdir)
  page = report.write(found, workdir, title)
  rows = report.summary_text(report.summary_rows(found))
  print(tabulate.tabulate(rows, "keys", disable_numparse=True))
  print(f"report: {page}")
  return page
