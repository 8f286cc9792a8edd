"""Trains several methods and seeds on one task and writes one report.

python -m experiments.compare --config=configs/quickstart.py \
    --methods=grpo,steer,aepo --seeds=0,1 --workdir=runs/comparison

Stopped at any time, the same command goes on where it was.
"""

from absl import flags
from ml_collections import config_flags

from rlvr_jax.training import command, compare
from rlvr_jax.training.config import ConfigError

_CONFIG = config_flags.DEFINE_config_file("config", lock_config=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "folder of the comparison")
_METHODS = flags.DEFINE_list("methods", None, "method names, or all")
_SEEDS = flags.DEFINE_list("seeds", ["0"], "whole numbers")
_TITLE = flags.DEFINE_string("title", "Comparison of methods", "of the report")


def _seeds() -> list[int]:
  wrong = [seed for seed in _SEEDS.value if not seed.isdecimal()]
  if wrong:
    raise ConfigError(
      f"--seeds: {wrong[0]!r} must be a whole number >= 0, as in --seeds=0,1."
    )
  return [int(seed) for seed in _SEEDS.value]


def main() -> None:
  """Runs `training.compare.compare`."""
  make = compare.maker(flags.FLAGS["config"])
  compare.compare(make, _METHODS.value, _seeds(), _WORKDIR.value, _TITLE.value)


if __name__ == "__main__":
  flags.mark_flags_as_required(["config", "workdir", "methods"])
  command.run(main, trains=True)
