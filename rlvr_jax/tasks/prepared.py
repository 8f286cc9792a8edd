"""Prepares a TFDS dataset once and reads it whole, without TensorFlow."""

import contextlib
import os
import random
from collections.abc import Iterator

import tensorflow_datasets as tfds

from rlvr_jax.tasks.base import Problem


def read(
  builder_class: type[tfds.core.GeneratorBasedBuilder],
  config: tfds.core.BuilderConfig,
  data_dir: str | os.PathLike[str] | None = None,
) -> tuple[list[Problem], list[Problem]]:
  """Returns the train and evaluation problems, preparing them when missing.

  Several processes may call this at once with one folder: each writes a
  private folder and renames it, one wins, the others read what it wrote. That
  holds where a rename is atomic, so not on an object store such as gs://:
  there let one process prepare the folder first.

  Args:
    builder_class: writes rows of prompt, answer and demonstrations.
    config: which variant.
    data_dir: where datasets are kept; None is TFDS's own default.

  Returns:
    (train, evaluation), each in the order written.

  Raises:
    OSError: the folder cannot be written.
  """
  builder = _prepare(builder_class, config, data_dir)
  return _problems(builder, "train"), _problems(builder, "evaluation")


def _prepare(
  builder_class: type[tfds.core.GeneratorBasedBuilder],
  config: tfds.core.BuilderConfig,
  data_dir: str | os.PathLike[str] | None,
) -> tfds.core.GeneratorBasedBuilder:
  # TFDS refuses a config that equals one of its own in all but identity.
  config = builder_class.builder_configs.get(config.name, config)
  options = dict(config=config, data_dir=data_dir, file_format="array_record")
  builder = builder_class(**options)
  try:
    with _fresh_random():
      builder.download_and_prepare()
  except OSError:
    # Another process was first, so the rename onto its folder is refused.
    if not builder.data_path.exists():
      raise
    builder = builder_class(**options)
  return builder


@contextlib.contextmanager
def _fresh_random() -> Iterator[None]:
  """Seeds `random` from the system inside, and puts it back after.

  TFDS names its private folder by `random`: processes that were all seeded
  alike would write into one folder, and the first to finish would move it away
  under the others.
  """
  state = random.getstate()
  random.seed()
  try:
    yield
  finally:
    random.setstate(state)


def _problems(
  builder: tfds.core.GeneratorBasedBuilder, split: str
) -> list[Problem]:
  rows = builder.as_data_source(split=split)
  return [
    Problem(
      prompt=row["prompt"].decode(),
      answer=row["answer"].decode(),
      demonstrations=tuple(text.decode() for text in row["demonstrations"]),
      index=index,
    )
    for index, row in enumerate(rows)
  ]
