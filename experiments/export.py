r"""Writes the newest checkpoint of a run as a Hugging Face model.

python -m experiments.export --workdir=runs/steer --out=models/steer \
    --config=configs/qwen2_5_1_5b_gsm8k.py:method=steer

The configuration and its changes are those of the run. transformers, vLLM and
experiments.evaluate open the folder as it is.
"""

from absl import flags
from ml_collections import config_flags

from rlvr_jax.training import command
from rlvr_jax.training.export import export

_CONFIG = config_flags.DEFINE_config_file("config", lock_config=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "folder of the run")
_OUT = flags.DEFINE_string("out", None, "folder to write; must not exist")
_DTYPE = flags.DEFINE_enum(
  "dtype",
  None,
  ["float32", "float16", "bfloat16"],
  "of the files; else that of the model the run began with",
)


def main() -> None:
  """Runs `training.export.export`."""
  step = export(_CONFIG.value, _WORKDIR.value, _OUT.value, _DTYPE.value)
  print(f"{_OUT.value} holds the policy after step {step}")


if __name__ == "__main__":
  flags.mark_flags_as_required(["config", "workdir", "out"])
  command.run(main)
