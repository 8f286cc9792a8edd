r"""Qwen2.5-Math-7B on DAPO-Math-17k, measured on AIME 2024: the usual setting.

Command:   python -m experiments.train \
               --config=configs/qwen2_5_math_7b_dapo.py:method=clip_cov \
               --workdir=runs/qwen2_5_math_7b_clip_cov
           with ",dynamic" behind the method for DAPO's dynamic sampling, and
           ":method=clip_cov,runlocal" for the same path on a laptop
Needs:     models/Qwen2.5-Math-7B, data/DAPO-Math-17k.parquet and
           data/aime24.parquet; docs/models.md and docs/data.md say from where
Hardware:  8 GPUs of 80 GB, or a TPU v5p-16
Published: DAPO's numbers: 512 prompts with 16 responses, 16 updates, learning
           rate 1e-6 after 20 steps of warm-up, weight decay 0.1, bounds 0.2 and
           0.28, token mean; evaluation at temperature 1 and top-p 0.7 with 32
           samples. Prompt and response share the model's 4,096 positions. A
           method's own published numbers stand above these.
Expect:    not run by us yet. Papers report 12 to 17 percent avg@32 on AIME 2024
           before, and 30 to 37 percent after training.
"""

from ml_collections import ConfigDict

from configs import published

VALUES = published.DAPO | {
  "model.folder": "models/Qwen2.5-Math-7B",
  "task.options.train": ("data/DAPO-Math-17k.parquet",),
  "task.options.evaluation": ("data/aime24.parquet",),
  "rollout.rows": 512,
  "rollout.max_response": 3072,
  "train.slices": 32,
  "evaluation.rows": 512,
}


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `published.experiment`."""
  return published.experiment("qwen2_untied", arg, VALUES)
