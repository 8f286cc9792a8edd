"""Trains one run, or goes on with the one that --workdir holds.

python -m experiments.train --config=configs/quickstart.py:method=clip_cov \
    --workdir=runs/clip_cov --config.steps=20
"""

from absl import flags
from ml_collections import config_flags

from rlvr_jax.training import command, loop

_CONFIG = config_flags.DEFINE_config_file("config", lock_config=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "folder of the run")


def main() -> None:
  """Runs `training.loop.train`."""
  loop.train(_CONFIG.value, _WORKDIR.value)


if __name__ == "__main__":
  flags.mark_flags_as_required(["config", "workdir"])
  command.run(main, trains=True, together=True)
