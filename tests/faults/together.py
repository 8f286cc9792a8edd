"""The configuration of runs that are made by one and by several processes."""

from ml_collections import ConfigDict

import runs

# Needs the answers of whole groups, and draws again: of the 24 + 4 rows two
# processes hold 14 each, which tears a group of 3. The entropy has a gradient
# even where no answer is right.
TORN = dict(
  chain=("seed_grpo", "aepo", "entropy_bonus"),
  aepo=dict(target_entropy=1.0, per_prompt=2, rows=4),
  rollout__per_prompt=3,
  entropy_bonus=dict(coef=0.1),
  warm_start__steps=5,
)


def get_config(arg: str) -> ConfigDict:
  """A short run that touches every exchange between processes.

  Args:
    arg: folder of the task's data; with ",torn" behind it groups are torn.
  """
  data_dir, _, kind = arg.partition(",")
  plain = dict(
    steps=2,
    chain=("seed_grpo",),
    train__updates=1,
    optimizer__decay=0,
    warm_start__steps=0,
    rollout__max_response=8,
    task__data_dir=data_dir,
  )
  c = runs.config(**plain | (TORN if kind == "torn" else {}))
  c.model.layers = 1
  c.evaluation.update(dict(every=8, samples=1, ks=(1,)))
  c.checkpoint.every = 1
  return c
