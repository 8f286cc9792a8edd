"""A small world for large configurations: the same path on a laptop.

Random models of every family, with tokenizer and chat template, and problems in
a parquet file like those of verl, made once and kept in a cache folder.
"""

import os
import pathlib
import tempfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from ml_collections import ConfigDict

from rlvr_jax.models.hf import small

# A change of what is made needs another number.
_VERSION = 2
_SIZES = {"train": 256, "evaluation": 8}
# Answers of one digit: even random text is right now and then.
_TEXTS = (
  "Ann has {sum} apples and eats {other}. How many are left?",
  "How many buses of {other} seats are needed for {product} people?",
  r"What is $\frac{{{product}}}{{{other}}}$?",
)


def _cache() -> pathlib.Path:
  root = os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")
  path = pathlib.Path(root) / "rlvr_jax" / f"laptop-{_VERSION}"
  path.mkdir(parents=True, exist_ok=True)
  return path


def model(name: str) -> str:
  """The folder of a small random model, see `small.SMALL`."""
  path = _cache() / name
  if not path.exists():
    with tempfile.TemporaryDirectory(dir=path.parent) as made:
      small.write(pathlib.Path(made) / name, name)
      _settle(pathlib.Path(made) / name, path)
  return str(path)


def problems(split: str) -> str:
  """The parquet file of a split: "train" or "evaluation"."""
  path = _cache() / f"{split}.parquet"
  if not path.exists():
    with tempfile.TemporaryDirectory(dir=path.parent) as made:
      table = pa.Table.from_pylist(_rows(split))
      pyarrow.parquet.write_table(table, pathlib.Path(made) / path.name)
      _settle(pathlib.Path(made) / path.name, path)
  return str(path)


def _settle(made: pathlib.Path, path: pathlib.Path) -> None:
  """Moves what is complete to its place, unless another process was first."""
  try:
    made.rename(path)
  except OSError:
    if not path.exists():
      raise


def _rows(split: str) -> list[dict]:
  seed = list(_SIZES).index(split)
  dice = np.random.default_rng(seed)
  rows = []
  for index in range(_SIZES[split]):
    answer, other = (int(x) for x in dice.integers((1, 10), (10, 1000)))
    text = _TEXTS[index % len(_TEXTS)]
    question = text.format(
      sum=answer + other, other=other, product=answer * other
    )
    row = {
      "data_source": "laptop",
      "prompt": [{"role": "user", "content": question}],
      "ability": "math",
      "reward_model": {"ground_truth": str(answer), "style": "rule"},
      "extra_info": {"index": index, "split": split},
    }
    rows.append(row)
  return rows


def shrink(c: ConfigDict, name: str) -> None:
  """Turns a configuration for a cluster into one of two minutes.

  Chain, task, template, verifier, precision and order of the steps stay; but
  answers need not be marked, since a random model marks none.

  Args:
    c: the configuration.
    name: of a small model of the same family.
  """
  c.steps = 3
  c.model.folder = model(name)
  c.task.options.train = (problems("train"),)
  c.task.options.evaluation = (problems("evaluation"),)
  c.task.options.train_weights = ()
  c.task.options.style = "math_lenient"
  c.task.options.max_prompt = c.rollout.max_prompt = 512
  c.rollout.prompts, c.rollout.max_response = 8, 160
  c.rollout.rows = 32
  c.rollout.per_prompt = 8
  c.train.updates, c.train.slices = 2, 2
  c.optimizer.warmup = min(c.optimizer.warmup, 1)
  c.optimizer.decay = 0
  c.evaluation.update(dict(every=3, samples=4, ks=(1, 2, 4), rows=16))
  c.checkpoint.every = 3
  c.mesh = dict(data=-1, fsdp=1, sequence=1, tensor=1)
