r"""Llama-3.1-8B-Instruct on MATH, measured on MATH-500.

Command:   python -m experiments.train \
               --config=configs/llama3_8b_math.py:method=kl_cov \
               --workdir=runs/llama3_8b_kl_cov
           and ":method=kl_cov,runlocal" for the same path on a laptop
Needs:     models/Llama-3.1-8B-Instruct, data/math_train.parquet and
           data/math500.parquet; docs/models.md and docs/data.md say from where
Hardware:  8 GPUs of 80 GB, or a TPU v5p-16
Published: 256 prompts with 8 responses, 8 updates, constant learning rate 5e-7,
           as The Entropy Mechanism of RL (2505.22617) trains models of this
           size; responses of 2,048 tokens. A method's own published numbers
           stand above these.
Expect:    not run by us yet. The model card gives 51.9 percent on MATH before
           training.
"""

from ml_collections import ConfigDict

from configs import published

VALUES = {
  "model.folder": "models/Llama-3.1-8B-Instruct",
  "task.options.train": ("data/math_train.parquet",),
  "task.options.evaluation": ("data/math500.parquet",),
  "task.options.columns.prompt": "problem|prompt",
  "task.options.columns.answer": "answer|reward_model.ground_truth",
  "task.options.instruction": published.BOXED,
  "task.options.max_prompt": 1024,
  "steps": 200,
  "rollout.prompts": 256,
  "rollout.per_prompt": 8,
  "rollout.rows": 512,
  "rollout.max_prompt": 1024,
  "rollout.max_response": 2048,
  "train.updates": 8,
  "train.slices": 16,
  "optimizer.learning_rate": 5e-7,
  "optimizer.weight_decay": 0.0,
  "evaluation.every": 10,
  "evaluation.samples": 4,
  "evaluation.ks": (1, 4),
  "evaluation.rows": 512,
  "mesh.fsdp": 8,
}


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `published.experiment`."""
  return published.experiment("llama3", arg, VALUES)
