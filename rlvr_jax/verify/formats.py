r"""Rewards of the form of a response, whatever it says; each lies in [0, 1].

They are parts of a user's own reward, see docs/data.md. All of them take time
in proportion to the text.
"""

import re

_TAGS = ("<think>\n", "\n</think>\n", "\n<answer>\n", "\n</answer>")
_ANSWERED = re.compile(r"\n</answer>$", re.MULTILINE)
# What a list of steps is written with. A number counts where the text begins.
_STEP = re.compile(r"Step \d+:|^\d+\.|\n[-*]|(?:First|Second|Next|Finally),")
_STEPS = 3  # earn the whole reward


def think(text: str) -> float:
  """Returns 1 for a response that thinks once, at its beginning.

  Args:
    text: the response, with `<think>`: where the prompt ends in it, put it
      before the text.

  Returns:
    1.0 if the text begins with the only `<think>` and closes it, else 0.0.
  """
  once = text.startswith("<think>") and text.count("<think>") == 1
  return float(once and "</think>" in text)


def think_and_answer(text: str) -> float:
  """Returns 1 for thoughts and an answer, between tags on lines of their own.

  Args:
    text: the response.

  Returns:
    1.0 if the text begins with `<think>`, goes on with `</think>` and
    `<answer>` and then has `</answer>` at the end of a line, else 0.0.
  """
  between = _TAGS[1] + _TAGS[2].lstrip()
  if not text.startswith(_TAGS[0]):
    return 0.0
  start = text.find(between, len(_TAGS[0]))
  if start < 0:
    return 0.0
  return float(_ANSWERED.search(text, start + len(between)) is not None)


def tag_count(text: str) -> float:
  """Returns a quarter for each tag that is there once, on a line of its own.

  Args:
    text: the response.

  Returns:
    A quarter for each of `<think>`, `</think>`, `<answer>` and `</answer>`:
    repeated tags earn nothing.
  """
  return sum(text.count(tag) == 1 for tag in _TAGS) / len(_TAGS)


def reasoning_steps(text: str) -> float:
  """Returns a third for each mark of a step, at most 1.

  Args:
    text: the response.

  Returns:
    The reward for "Step 1:", bullets, "First," and the like.
  """
  return min(1.0, len(_STEP.findall(text)) / _STEPS)
