r"""Three methods on one small task: entropy that collapses and entropy held.

Command:  make quickstart
          python -m experiments.train \
              --config=configs/quickstart.py:method=steer --workdir=runs/steer
Hardware: 2 CPU cores
Time:     6 minutes for all three: 2 of them for the warm start they share
Expect:   all solve about 0.9 of unseen problems at the first try, or more; the
          entropy of GRPO falls to about 0.1 nats or less, with one to three
          distinct right answers of 16, that of AEPO stays at its target of
          0.5, with nine or ten.
"""

from ml_collections import ConfigDict

from configs import common, recipe


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; `arg` is e.g. "method=steer,task=sum".

  "runlocal" makes 100 steps of the 200, for comparing many methods; "tiny"
  makes 4.
  """
  known = dict(method="grpo", task="split", runlocal=False, tiny=False)
  given = common.parse_arg(arg, **known)
  steps = 100 if given["runlocal"] else 200
  c = recipe.quickstart(recipe.of(given["method"]), given["task"], steps)
  if given["tiny"]:
    recipe.shrink(c)
  return c
