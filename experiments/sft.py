"""Trains on demonstrations, or goes on with the run that --workdir holds.

python -m experiments.sft --config=configs/sft.py --workdir=runs/sft \
    --config.model.folder=models/Qwen2.5-1.5B \
    --config.data.train="('demonstrations.parquet',)"
"""

from absl import flags
from ml_collections import config_flags

from rlvr_jax.training import command, sft

_CONFIG = config_flags.DEFINE_config_file("config", lock_config=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "folder of the run")


def main() -> None:
  """Runs `training.sft.train`."""
  sft.train(_CONFIG.value, _WORKDIR.value)


if __name__ == "__main__":
  flags.mark_flags_as_required(["config", "workdir"])
  command.run(main, trains=True, together=True)
