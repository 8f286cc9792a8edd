"""Trains several methods and seeds on one task and writes one report.

python -m experiments.compare --config=configs/quickstart.py \
    --methods=grpo,steer,aepo --seeds=0,1 --workdir=runs/comparison

Stopped at any time, the same command goes on where it was.
"""

import importlib.util

from absl import flags
from ml_collections import ConfigDict, config_flags

from rlvr_jax.training import command, compare
from rlvr_jax.training.config import ConfigError

_CONFIG = config_flags.DEFINE_config_file("config", lock_config=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "folder of the comparison")
_METHODS = flags.DEFINE_list("methods", None, "method names, or all")
_SEEDS = flags.DEFINE_list("seeds", ["0"], "whole numbers")
_TITLE = flags.DEFINE_string("title", "Comparison of methods", "of the report")


def _config_of(method: str) -> ConfigDict:
  """The configuration file once more, for another method."""
  flag = flags.FLAGS["config"]
  path, _, arg = config_flags.get_config_filename(flag).partition(":")
  spec = importlib.util.spec_from_file_location("config", path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  parts = [p for p in arg.split(",") if p and not p.startswith("method=")]
  config = module.get_config(",".join([*parts, f"method={method}"]))
  overrides = config_flags.get_override_values(flag)
  if "chain" in overrides:
    raise ConfigError(
      f"--config.chain = {overrides['chain']} has no place in a comparison: "
      "--methods decides the chains; train that chain with experiments.train."
    )
  try:
    config.update_from_flattened_dict(overrides)
  except KeyError as error:
    raise ConfigError(
      f"{path} with method={method} has not all fields of the command line: "
      f"{error.args[0]}; set what all methods of --methods have."
    ) from error
  return config


def _seeds() -> list[int]:
  wrong = [seed for seed in _SEEDS.value if not seed.isdecimal()]
  if wrong:
    raise ConfigError(
      f"--seeds: {wrong[0]!r} must be a whole number >= 0, as in --seeds=0,1."
    )
  return [int(seed) for seed in _SEEDS.value]


def main() -> None:
  """Runs `training.compare.compare`."""
  compare.compare(
    _config_of, _METHODS.value, _seeds(), _WORKDIR.value, _TITLE.value
  )


if __name__ == "__main__":
  flags.mark_flags_as_required(["config", "workdir", "methods"])
  command.run(main)
