r"""Training without one reference answer: votes, clusters, or entropy alone.

Command:  python -m experiments.compare --config=configs/label_free.py \
              --methods=ttrl,empo,open_set_tta,one_shot_rlvr --seeds=0,1,2 \
              --workdir=runs/label_free
          python -m experiments.train \
              --config=configs/label_free.py:method=ttrl --workdir=runs/ttrl
Hardware: 2 CPU cores
Time:     3 minutes a run, 2 of them for the warm start
Expect:   pass@1 on unseen sums rises from 0.66 to 0.83 or more by the majority
          vote (ttrl), by clusters of equal answers (empo), and by the entropy
          of the tokens alone, minimised (open_set_tta as TENT). Maximised alone
          (one_shot_rlvr) it ends near 0: the model knows the form of an answer,
          and errs by chance only.
"""

from ml_collections import ConfigDict

from configs import common, recipe

# What a method has to be told, beyond its own recipe, to read no label.
METHODS = {
  "ttrl": {},
  "empo": {},
  "open_set_tta": {
    "chain": ("open_set_tta",),
    "open_set_tta.rule": "all",
    "open_set_tta.entropy_coef": 1.0,
  },
  "one_shot_rlvr": {
    "chain": ("one_shot_rlvr",),
    "one_shot_rlvr.policy_coef": 0.0,
    "one_shot_rlvr.kl_coef": 0.0,
  },
}


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; `arg` is e.g. "method=empo" or "method=ttrl,tiny".

  "tiny" makes 4 steps.

  Raises:
    ValueError: the method is none of `METHODS`.
  """
  given = common.parse_arg(arg, method="ttrl", task="sum", tiny=False)
  name = given["method"]
  if name not in METHODS:
    raise ValueError(
      f"config argument method = {name!r} must be one of {list(METHODS)}."
    )
  c = recipe.quickstart(recipe.of(name), given["task"], steps=60)
  c.task.labelled = False
  # Votes err: at the rate of runs with labels the policy follows them down.
  c.optimizer.learning_rate = 1e-4
  c.update_from_flattened_dict(METHODS[name])
  if given["tiny"]:
    recipe.shrink(c)
  return c
