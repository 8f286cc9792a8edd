r"""Three methods on one small task: entropy that collapses and entropy held.

Command:  make quickstart
          python -m experiments.train \
              --config=configs/quickstart.py:method=steer --workdir=runs/steer
Hardware: 2 CPU cores
Time:     6 minutes for all three: 2 of them for the warm start they share
Expect:   all solve more than 0.9 of unseen problems at the first try; the
          entropy of GRPO falls to about 0.1 nats or less, with one to three
          distinct right answers of 16, that of AEPO stays at its target of
          0.5, with nine or ten.
"""

from ml_collections import ConfigDict

from configs import common, default
from rlvr_jax import methods

# What differs from a method's own defaults on this task.
PRESETS = {
  "grpo": {},
  "aepo": dict(
    target_entropy=0.5,
    temperature_low=0.7,
    temperature_high=1.6,
    per_prompt=8,
    prompt_fraction=1.0,
    rows=204,
    cool_divisor=1,
    positive_rule="reward",
    entropy_estimator="full_vocab",
  ),
  "dcpo": dict(target_entropy=0.5),
}


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; `arg` is e.g. "method=steer,task=sum"."""
  known = dict(method="grpo", task="split", runlocal=False)
  given = common.parse_arg(arg, **known)
  c = default.get_config(f"task={given['task']}")
  method = given["method"]
  alone = "advantages" in methods.make(method, **PRESETS.get(method, {})).owns
  c.chain = (method,) if alone else ("grpo", method)
  c[method].update(PRESETS.get(method, {}))
  c.label = method
  if given["runlocal"]:
    c.steps, c.warm_start.steps, c.rollout.prompts = 4, 20, 8
    c.evaluation.every, c.checkpoint.every = 2, 2
  return c
