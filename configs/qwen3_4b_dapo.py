r"""Qwen3-4B-Base on DAPO-Math-17k with long responses.

Command:   python -m experiments.train \
               --config=configs/qwen3_4b_dapo.py:method=lp_reg \
               --workdir=runs/qwen3_4b_lp_reg
           and ":method=lp_reg,runlocal" for the same path on a laptop
Needs:     models/Qwen3-4B-Base, data/DAPO-Math-17k.parquet, data/aime24.parquet
           and data/aime25.parquet; docs/models.md and docs/data.md say from
           where
Hardware:  8 GPUs of 80 GB, or a TPU v5p-16
Published: DAPO's numbers: 512 prompts with 16 responses, 16 updates, learning
           rate 1e-6 after 10 steps of warm-up, weight decay 0.1, bounds 0.2 and
           0.28, token mean; responses of 8,192 tokens. A method's own published
           numbers stand above these.
Expect:    not run by us yet; no published figure with these very settings is
           known to us.
"""

from ml_collections import ConfigDict

from configs import published

VALUES = {
  "model.folder": "models/Qwen3-4B-Base",
  "task.options.train": ("data/DAPO-Math-17k.parquet",),
  "task.options.evaluation": ("data/aime24.parquet", "data/aime25.parquet"),
  "task.options.max_prompt": 1024,
  "steps": 300,
  "rollout.prompts": 512,
  "rollout.per_prompt": 16,
  "rollout.rows": 128,
  "rollout.max_prompt": 1024,
  "rollout.max_response": 8192,
  "train.updates": 16,
  "train.slices": 64,
  "loss.clip_high": 0.28,
  "optimizer.learning_rate": 1e-6,
  "evaluation.every": 10,
  "evaluation.samples": 32,
  "evaluation.ks": (1, 8, 32),
  "evaluation.top_p": 0.7,
  "evaluation.rows": 256,
  "mesh.fsdp": 8,
}


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `published.experiment`."""
  return published.experiment("qwen3", arg, VALUES)
