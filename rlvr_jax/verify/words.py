"""Answers in words, compared by the words that they have in common."""

import collections
import re
import string

_ARTICLE = re.compile(r"\b(a|an|the)\b")
_WITHOUT_SIGNS = str.maketrans("", "", string.punctuation)
# Nothing between right and wrong: these are equal to the reference or not.
_WHOLE = (["yes"], ["no"], ["noanswer"])


def words(text: str) -> list[str]:
  """Returns the words of an answer that count.

  Args:
    text: any.

  Returns:
    Words in small letters, without the signs of ASCII and without articles.
  """
  plain = text.lower().translate(_WITHOUT_SIGNS)
  return _ARTICLE.sub(" ", plain).split()


def f1(answer: str, reference: str) -> float:
  """Returns the harmonic mean of precision and recall of an answer's words.

  Args:
    answer: to be judged.
    reference: right answer.

  Returns:
    2 c / (n + m) with c words in common, n in the answer and m in the
    reference; 1 for the same words in any order. Where one of them is "yes",
    "no" or "noanswer", 1 if both are, else 0.
  """
  given, right = words(answer), words(reference)
  if given != right and (given in _WHOLE or right in _WHOLE):
    return 0.0
  common = collections.Counter(given) & collections.Counter(right)
  return 2 * common.total() / max(len(given) + len(right), 1)
