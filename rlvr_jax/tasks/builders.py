"""TFDS datasets of arithmetic, prepared and read without TensorFlow.

`split`: "73=" asks for two positive numbers that add up to 73; every "a+b" is
right. `sum`: "417+88=" asks for the one right answer, "505".
"""

from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds

from rlvr_jax.tasks.configs import split_config, sum_config

Row = dict[str, str | list[str]]  # prompt, answer, demonstrations

# A change of what the builders generate needs a new version: TFDS goes on
# reading what was prepared under the old one.
VERSION = tfds.core.Version("1.0.0")


class _Arithmetic(tfds.core.GeneratorBasedBuilder, skip_registration=True):
  """What both datasets share: features, splits and the row order."""

  VERSION = VERSION

  def _info(self) -> tfds.core.DatasetInfo:
    text = tfds.features.Text()
    return tfds.core.DatasetInfo(
      builder=self,
      description=__doc__,
      features=tfds.features.FeaturesDict(
        {
          "prompt": text,
          "answer": text,
          "demonstrations": tfds.features.Sequence(text),
        }
      ),
      # Rows are read in the order written; `prompts_at` does the shuffling.
      disable_shuffling=True,
    )

  def _split_generators(self, dl_manager: tfds.download.DownloadManager):
    del dl_manager  # Nothing is downloaded.
    train, evaluation = self._rows()
    return {
      "train": self._generate_examples(train),
      "evaluation": self._generate_examples(evaluation),
    }

  def _generate_examples(self, rows: list[Row]) -> Iterator[tuple[int, Row]]:
    yield from enumerate(rows)

  def _rows(self) -> tuple[list[Row], list[Row]]:
    raise NotImplementedError


class Split(_Arithmetic):
  """Targets to write as a sum; a fifth of them is held out at random."""

  name = "rlvr_split"
  BUILDER_CONFIGS = [split_config(99), split_config(199)]

  def _rows(self) -> tuple[list[Row], list[Row]]:
    config = self.builder_config
    targets = np.arange(10, config.largest + 1)
    order = np.random.default_rng(config.seed).permutation(targets)
    held_out = len(targets) // 5
    train, evaluation = order[held_out:], order[:held_out]
    return _split_rows(train), _split_rows(evaluation)


class Sum(_Arithmetic):
  """Sums of two operands; no pair is in both splits, in either order."""

  name = "rlvr_sum"
  BUILDER_CONFIGS = [sum_config(99), sum_config(999)]

  def _rows(self) -> tuple[list[Row], list[Row]]:
    config = self.builder_config
    count = config.train + config.evaluation
    rows = _sum_rows(config.largest, config.seed, count)
    # Held out first, so that more training problems leave them as they are.
    return rows[config.evaluation :], rows[: config.evaluation]


def _split_rows(targets: np.ndarray) -> list[Row]:
  return [
    {
      "prompt": f"{target}=",
      "answer": "",
      "demonstrations": [f"{a}+{target - a}" for a in range(1, target)],
    }
    for target in sorted(targets.tolist())
  ]


def _sum_rows(largest: int, seed: int, count: int) -> list[Row]:
  generator = np.random.default_rng(seed)
  pairs = {}  # Keyed by the sorted pair: 88+417 gives away 417+88.
  while len(pairs) < count:
    a, b = generator.integers(1, largest + 1, size=2).tolist()
    pairs.setdefault((min(a, b), max(a, b)), (a, b))
  return [
    {
      "prompt": f"{a}+{b}=",
      "answer": f"{a + b}",
      "demonstrations": [f"{a + b}"],
    }
    for a, b in pairs.values()
  ]
