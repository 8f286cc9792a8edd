"""Trains one run, or goes on with the one that --workdir holds.

python -m experiments.train --config=configs/quickstart.py:method=clip_cov \
    --workdir=runs/clip_cov --config.steps=20
"""

from absl import app, flags, logging
from ml_collections import config_flags

from rlvr_jax.training import loop

_CONFIG = config_flags.DEFINE_config_file("config", lock_config=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "folder of the run")


def main(argv: list[str]) -> None:
  """Runs `training.loop.train`."""
  if len(argv) > 1:
    raise app.UsageError(f"unexpected arguments: {argv[1:]}")
  if not flags.FLAGS["verbosity"].present:
    logging.set_verbosity(logging.WARNING)  # Orbax is talkative.
  loop.train(_CONFIG.value, _WORKDIR.value)


if __name__ == "__main__":
  flags.mark_flags_as_required(["config", "workdir"])
  app.run(main)
