r"""Qwen2.5-1.5B on GSM8K: the smallest real experiment.

Command:   python -m experiments.train \
               --config=configs/qwen2_5_1_5b_gsm8k.py:method=steer \
               --workdir=runs/qwen2_5_1_5b_steer
           and ":method=steer,runlocal" for the same path on a laptop
Needs:     models/Qwen2.5-1.5B, data/gsm8k_train.parquet and
           data/gsm8k_test.parquet; docs/models.md and docs/data.md say from
           where
Hardware:  1 GPU of 80 GB; a TPU v5litepod-16 with --config.mesh.fsdp=16
           --config.train.slices=80
Published: as verl's example on GSM8K: 1,024 prompts with 5 responses, 4
           updates, constant learning rate 1e-6, prompts of 512 and responses of
           1,024 tokens, in its own wording. A method's own published numbers
           stand above these.
Expect:    not run by us yet. The model card gives 62 percent (4 shots) for the
           base model; trained ones reach 70 to 77 percent at the first try.
"""

from ml_collections import ConfigDict

from configs import published

VALUES = {
  "model.folder": "models/Qwen2.5-1.5B",
  "task.options.train": ("data/gsm8k_train.parquet",),
  "task.options.evaluation": ("data/gsm8k_test.parquet",),
  "task.options.max_prompt": 512,
  "steps": 105,
  "rollout.prompts": 1024,
  "rollout.per_prompt": 5,
  "rollout.rows": 512,
  "rollout.max_prompt": 512,
  "rollout.max_response": 1024,
  "train.updates": 4,
  "train.slices": 160,
  "optimizer.learning_rate": 1e-6,
  "optimizer.weight_decay": 0.01,
  "evaluation.every": 15,
  "evaluation.samples": 4,
  "evaluation.ks": (1, 4),
  "evaluation.rows": 512,
}


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; for `arg` see `published.experiment`."""
  return published.experiment("qwen2", arg, VALUES)
