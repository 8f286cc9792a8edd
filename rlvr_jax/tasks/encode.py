"""Problems as arrays of tokens: prompts on the left, responses on the right."""

from collections.abc import Sequence

import numpy as np

from rlvr_jax.tasks.base import Problem
from rlvr_jax.tasks.tokenizer import Tokenizer


def prompt_widths(longest: int, count: int = 4, least: int = 16) -> list[int]:
  """The few widths prompts are padded to, so that little is compiled.

  Args:
    longest: the longest prompt, tokens.
    count: widths at most.
    least: no width but the longest itself is below it, tokens.

  Returns:
    `longest` and its halves, quarters, ..., rounded up, largest first.
  """
  halves = [-(-longest // 2**i) for i in range(count)]
  return halves[:1] + [width for width in halves[1:] if width >= least]


def prompt_width(
  problems: Sequence[Problem], tokenizer: Tokenizer, widths: Sequence[int]
) -> int:
  """Returns the smallest allowed width that fits the longest prompt.

  A few fixed widths keep the number of compiled programs small.

  Args:
    problems: the batch, at least one.
    tokenizer: encodes the prompts.
    widths: allowed widths in tokens, in any order.

  Returns:
    One of `widths`.

  Raises:
    ValueError: the longest prompt fits none of `widths`.
  """
  longest = max(problems, key=lambda p: len(tokenizer.encode(p.prompt)))
  length = len(tokenizer.encode(longest.prompt))
  fitting = [width for width in widths if width >= length]
  if not fitting:
    raise ValueError(
      f"Prompt {longest.prompt!r} has {length} tokens and fits none of the "
      f"widths {tuple(widths)}; add a width of at least {length}."
    )
  return min(fitting)


def encode_prompts(
  problems: Sequence[Problem], tokenizer: Tokenizer, width: int
) -> tuple[np.ndarray, np.ndarray]:
  """Returns the prompts as tokens, padded on the left.

  Padding on the left puts the last prompt token of every row in the last
  column, where the first response token is predicted.

  Args:
    problems: n problems.
    tokenizer: encodes the prompts.
    width: columns P, in tokens.

  Returns:
    tokens i32[n, P] and mask bool[n, P], true at tokens of the prompt.

  Raises:
    ValueError: a prompt has no token or more than `width`.
  """
  tokens = np.full((len(problems), width), tokenizer.pad_id, np.int32)
  mask = np.zeros((len(problems), width), bool)
  for row, problem in enumerate(problems):
    ids = tokenizer.encode(problem.prompt)
    _check_length("Prompt", problem.prompt, len(ids), width)
    tokens[row, width - len(ids) :] = ids
    mask[row, width - len(ids) :] = True
  return tokens, mask


def demonstration_batch(
  problems: Sequence[Problem],
  tokenizer: Tokenizer,
  seed: int,
  cursor: int,
  prompt_width: int,
  response_width: int,
  typos: float = 0.0,
) -> dict[str, np.ndarray]:
  """Returns prompts with one demonstration each, for supervised training.

  Which demonstration row i gets is a pure function of (seed, cursor + i), so
  a part of the batch, asked for with its own cursor, equals that part.

  Args:
    problems: n problems, each with a demonstration.
    tokenizer: encodes prompts and demonstrations.
    seed: at least 0.
    cursor: place of the first problem in the data order, at least 0.
    prompt_width: columns P, in tokens.
    response_width: columns T, in tokens, eos included.
    typos: share of the responses whose last token before the eos is replaced
      by a random one, in [0, 1]: a teacher that knows the task and is sloppy.

  Returns:
    tokens i32[n, P + T]: prompt padded on the left, then the response and eos
      padded on the right.
    prompt_mask bool[n, P]: true at tokens of the prompt.
    mask bool[n, T]: true at tokens of the response, eos included.

  Raises:
    ValueError: a problem has no demonstration, or a text does not fit.
  """
  prompts, prompt_mask = encode_prompts(problems, tokenizer, prompt_width)
  shape = len(problems), response_width
  tokens = np.full(shape, tokenizer.pad_id, np.int32)
  mask = np.zeros(shape, bool)
  for row, problem in enumerate(problems):
    text = _demonstration(problem, seed, cursor + row)
    ids = _sloppy(tokenizer.encode(text), tokenizer, seed, cursor + row, typos)
    ids = [*ids, tokenizer.eos_id]
    _check_length("Demonstration with its eos", text, len(ids), response_width)
    tokens[row, : len(ids)] = ids
    mask[row, : len(ids)] = True
  return {
    "tokens": np.concatenate([prompts, tokens], axis=1),
    "prompt_mask": prompt_mask,
    "mask": mask,
  }


def _demonstration(problem: Problem, seed: int, place: int) -> str:
  if not problem.demonstrations:
    raise ValueError(
      f"Problem {problem.index} ({problem.prompt!r}) has no demonstration; "
      "leave it out or train on this task without a supervised start."
    )
  # The 1 keeps these numbers apart from those of `prompts_at`.
  choice = np.random.default_rng((seed, place, 1))
  return problem.demonstrations[choice.integers(len(problem.demonstrations))]


def _sloppy(ids, tokenizer: Tokenizer, seed: int, place: int, typos: float):
  """The tokens, now and then with the last one replaced."""
  # The 2 keeps these numbers apart from those of `_demonstration`.
  dice = np.random.default_rng((seed, place, 2))
  if dice.random() >= typos:
    return ids
  # Counted past the special ones: a list of all would be long for a real
  # vocabulary.
  special = sorted({tokenizer.pad_id, *tokenizer.stop_ids})
  letter = int(dice.integers(tokenizer.vocab_size - len(special)))
  for token in special:
    letter += letter >= token
  return [*ids[:-1], letter]


def _check_length(what: str, text: str, length: int, width: int) -> None:
  if not 0 < length <= width:
    raise ValueError(
      f"{what} {text!r} has {length} tokens; allowed are 1 to {width}: widen "
      "the batch or leave the problem out."
    )
