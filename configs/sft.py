r"""Supervised training on demonstrations: every field, its unit and range.

Command:  python -m experiments.sft --config=configs/sft.py --workdir=runs/sft \
              --config.model.folder=models/Qwen2.5-1.5B \
              --config.data.train="('demonstrations.parquet',)"
          python -m experiments.sft --config=configs/sft.py:runlocal \
              --workdir=runs/small
Needs:    a model's folder and rows of prompts and answers, see docs/sft.md;
          runlocal makes a small random model and rows of its own.
Hardware: with runlocal 2 CPU cores, two minutes
Expect:   the cross-entropy falls; with runlocal from 6 nats to below 4.
"""

from ml_collections import ConfigDict, FieldReference

from configs import common, default, laptop
from rlvr_jax import methods
from rlvr_jax.tasks import demonstrations

# These sections are those of configs/default.py, field by field.
SHARED = ("model", "optimizer", "guard", "checkpoint", "mesh")


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration; `arg` is e.g. "method=entropy_sft,runlocal"."""
  given = common.parse_arg(arg, method="reinforce", runlocal=False)
  base, c = default.get_config("task=files"), ConfigDict()
  c.label = ""  # name of the run in reports; the last method if empty
  c.seed = 0  # decides everything random
  c.steps = 1000
  c.progress = True  # show a progress bar
  # Methods from left to right, as in RL. One must set the loss of a token:
  # "reinforce", minus the log-likelihood, is cross-entropy, since every
  # demonstration has the advantage 1; or "entropy_sft".
  c.chain = (given["method"],)
  for name in methods.CATALOGUE:
    c[name] = common.hyper_parameters(name)

  c.data = dict(
    train=(),  # datasets: ("a.parquet", "b.jsonl")
    evaluation=(),  # held out; () for none
    columns=dict(demonstrations.COLUMNS),  # where rows have what
    answers="all",  # all | last: of a conversation
    system="",  # message before every prompt
    instruction="",  # after every prompt
    template="chat",  # chat | plain
    length=2048,  # of a row, tokens; longer demonstrations are dropped
    pack=True,  # as many demonstrations in a row as fit, or one
    ngram=13,  # words shared with the evaluation that drop a demonstration
    data_dir="",  # where TFDS keeps datasets; "" is its own default
    # True or False turns a model's thinking on or off; None leaves it.
    thinking=FieldReference(None, field_type=object),
  )
  for name in SHARED:
    c[name] = base[name]
  c.model.update(dict(dtype="bfloat16", remat="full"))
  c.loss = dict(
    # token-mean; with pack=False also the other modes of configs/default.py
    aggregation="token-mean",
    scale=0.0,  # tokens, divisor of seq-mean-token-sum-norm
  )
  c.train = dict(
    rows=32,  # a step
    updates=1,  # optimizer steps a step
    slices=1,  # row slices the model runs in; changes memory, not results
    chunk=4096,  # tokens swept at once, see docs/kernel.md; likewise
    ema_decay=0.0,  # of the slow copy that some methods ask for
    # Optimizer steps from one move of the slow copy to the next: it keeps the
    # share ema_decay of itself and takes the rest from the policy.
    ema_every=1,
  )
  c.optimizer.update(
    dict(learning_rate=1e-5, warmup=30, decay=970, weight_decay=0.0)
  )
  c.evaluation = dict(every=100)  # steps; also after the first and the last
  c.checkpoint.every = 100
  if given["runlocal"]:
    _shrink(c)
  return c


def _shrink(c: ConfigDict) -> None:
  """Two minutes on a laptop, on the path of a real run."""
  c.steps = 60
  c.model.folder = laptop.model("qwen2")
  c.data.train = (laptop.problems("train"),)
  c.data.evaluation = (laptop.problems("evaluation"),)
  c.data.columns.answer = "reward_model.ground_truth"
  c.data.update(dict(length=256, ngram=0))
  c.train.rows = 8
  c.optimizer.update(dict(learning_rate=3e-3, warmup=5, decay=55))
  c.evaluation.every = c.checkpoint.every = 20
