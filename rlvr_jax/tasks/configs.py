"""Configs of the TFDS datasets of arithmetic, named by their contents."""

import dataclasses

import tensorflow_datasets as tfds

_MOST = 10**9


@dataclasses.dataclass(eq=False, kw_only=True)
class SplitConfig(tfds.core.BuilderConfig):
  """Which targets `Split` asks for, and which of them it holds out."""

  largest: int  # targets are 10 .. largest
  seed: int


@dataclasses.dataclass(eq=False, kw_only=True)
class SumConfig(tfds.core.BuilderConfig):
  """Which operands `Sum` draws from, and how many problems it makes."""

  largest: int  # operands are 1 .. largest
  seed: int
  train: int  # problems
  evaluation: int  # problems


def split_config(largest: int = 99, seed: int = 0) -> SplitConfig:
  """Returns the config of `Split`, named by its contents.

  Args:
    largest: largest target, 14 .. 999: 14 is the least that leaves a problem
      to hold out, and 999 has half a million right answers to store.
    seed: chooses the held-out fifth of the targets, at least 0.

  Returns:
    A config whose name is different for different contents.

  Raises:
    ValueError: an argument is out of its range.
  """
  _check_range("split", "largest", largest, 14, 999)
  _check_range("split", "seed", seed, 0, _MOST)
  name = f"largest{largest}_seed{seed}"
  return SplitConfig(name=name, largest=largest, seed=seed)


def sum_config(
  largest: int = 999, seed: int = 0, train: int = 4000, evaluation: int = 200
) -> SumConfig:
  """Returns the config of `Sum`, named by its contents.

  Args:
    largest: largest operand, 1 .. 10⁹.
    seed: chooses the problems, at least 0.
    train: problems to learn from, at least 1.
    evaluation: problems held out, at least 1.

  Returns:
    A config whose name is different for different contents.

  Raises:
    ValueError: an argument is out of its range, or there are fewer pairs of
      operands than problems.
  """
  _check_range("sum", "largest", largest, 1, _MOST)
  _check_range("sum", "seed", seed, 0, _MOST)
  _check_range("sum", "train", train, 1, _MOST)
  _check_range("sum", "evaluation", evaluation, 1, _MOST)
  pairs = largest * (largest + 1) // 2
  if train + evaluation > pairs:
    raise ValueError(
      f"sum: train + evaluation = {train + evaluation} problems, but operands "
      f"up to largest = {largest} make only {pairs} pairs; ask for fewer "
      "problems or a larger `largest`."
    )
  name = f"largest{largest}_seed{seed}_train{train}_evaluation{evaluation}"
  return SumConfig(
    name=name, largest=largest, seed=seed, train=train, evaluation=evaluation
  )


def _check_range(task: str, name: str, value: int, low: int, high: int) -> None:
  if not low <= value <= high:
    raise ValueError(f"{task}: {name} = {value} must lie in [{low}, {high}].")
