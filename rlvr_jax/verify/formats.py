r"""Rewards of the form of a response, whatever it says; each lies in [0, 1].

They are parts of a user's own reward, see docs/data.md. All of them take time
in proportion to the text.
"""

import re

from rlvr_jax.verify import extract

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


def tools_and_answer(text: str) -> float:
  r"""Returns 1 for thoughts, tools with their results, and one boxed answer.

  Args:
    text: the response, with the results that the tools put into it.

  Returns:
    1.0 if there are as many `<think>` as `</think>`, at least one; each call
    `<search>` or `<python>` is closed and then has `<result>...</result>`; and
    between the only `<answer>` and the only `</answer>` stands a closed box,
    `\boxed{7}`. Else 0.0.
  """
  thoughts = text.count("<think>")
  thinks = thoughts > 0 and thoughts == text.count("</think>")
  called = all(_are_answered(text, tool) for tool in ("search", "python"))
  return float(thinks and called and answer_box(text) is not None)


def answer_box(text: str) -> str | None:
  """Returns what the last box of the only `<answer>...</answer>` holds.

  Args:
    text: the response.

  Returns:
    The content as it is written; None where there is no such box, or not one
    answer.
  """
  once = text.count("<answer>") == text.count("</answer>") == 1
  inside = text[text.find("<answer>") : text.find("</answer>")]
  return extract.boxed(inside) if once else None


def _are_answered(text: str, tool: str) -> bool:
  """Whether each call of a tool is closed and followed by a result."""
  at = 0
  while (at := text.find(f"<{tool}>", at)) >= 0:
    end, result = text.find(f"</{tool}>", at), text.find("<result>", at)
    at = text.find("</result>", result)
    if not 0 <= end < result or at < 0:
      return False
  return True
