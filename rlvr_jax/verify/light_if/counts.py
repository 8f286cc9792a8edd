"""Rules of how often something is there, in both languages."""

from collections.abc import Iterator, Mapping

# Whether a rule is kept, and the points it then earns.
Rule = tuple[bool, float]


def bounded(count: int, low: int, high: int) -> Iterator[Rule]:
  """Yields the rule of a count, if there is one.

  Args:
    count: of something in the article.
    low: at least so many; none is asked for if it is not above 0.
    high: at most so many, if it is above 0 and not below `low`.
  """
  if 0 < low <= high:
    yield low <= count <= high, 0.1
  elif low > 0:
    yield count >= low, 0.05
  elif high > 0:
    yield count <= high, 0.05


def length(count: int, asked: Mapping[str, object]) -> Iterator[Rule]:
  """Yields the rule of the length of the article; equal bounds are the lower.

  Args:
    count: words or characters.
    asked: the requirement.
  """
  low, high = asked.get("low_word_cnt", -1), asked.get("max_word_cnt", -1)
  yield from bounded(count, low, high if high != low else 0)


def keywords(article: str, asked: Mapping[str, object]) -> Iterator[Rule]:
  """Yields the rules of keywords; one without any bound must not be there.

  Args:
    article: the response.
    asked: the requirement.
  """
  words, bounds = asked.get("keywords", []), asked.get("keywords_num", [])
  if len(words) != len(bounds):
    return
  for word, (low, high) in zip(words, bounds):
    count = article.count(word)
    if low <= 0 and high <= 0:
      yield count == 0, 0.05
    yield from bounded(count, low, high)
