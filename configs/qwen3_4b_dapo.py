r"""Qwen3-4B-Base on DAPO-Math-17k with long responses.

Command:   python -m experiments.train \
               --config=configs/qwen3_4b_dapo.py:method=lp_reg \
               --workdir=runs/qwen3_4b_lp_reg
           with ",dynamic" behind the method for DAPO's dynamic sampling, and
           ":method=lp_reg,runlocal" for the same path on a laptop
Needs:     models/Qwen3-4B-Base, data/DAPO-Math-17k.parquet, data/aime24.parquet
           and data/aime25.parquet; docs/models.md and docs/data.md say from
           where
Hardware:  8 GPUs of 80 GB, or a TPU v5p-16
Published: DAPO's numbers: 512 prompts with 16 responses, 16 updates, learning
           rate 1e-6 after 20 steps of warm-up, weight decay 0.1, bounds 0.2 and
           0.28, token mean; prompts of 2,048 tokens, but responses of 8,192
           instead of 20,480. A method's own published numbers stand above
           these.
Expect:    not run by us yet; no published figure with these very settings is
           known to us.
"""

from ml_collections import ConfigDict

from configs import published

VALUES = published.DAPO | {
  "model.folder": "models/Qwen3-4B-Base",
  "task.options.train": ("data/DAPO-Math-17k.parquet",),
  "task.options.evaluation": ("data/aime24.parquet", "data/aime25.parquet"),
  "task.options.max_prompt": 2048,
  "rollout.max_prompt": 2048,
  "rollout.rows": 128,
  "rollout.max_response": 8192,
  "train.slices": 64,
  "evaluation.rows": 256,
}


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `published.experiment`."""
  return published.experiment("qwen3", arg, VALUES)
