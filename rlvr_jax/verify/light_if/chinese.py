"""The rules of Light-IF for Chinese."""

import re
from collections.abc import Iterator, Mapping

from rlvr_jax.verify.light_if import counts
from rlvr_jax.verify.light_if.counts import Rule

_TITLES = {1: "《》", 2: "[]", 3: "【】"}  # what encloses one, by `topic_style`


def rules(article: str, asked: Mapping[str, object]) -> Iterator[Rule]:
  """Yields the rules of a requirement, in the order of the authors.

  Title, beginning and end earn their points also where none is asked for, as
  the authors' do. Their exact rule of sentences has no case for that, and is
  left out then: it would be broken always.

  Args:
    article: the response.
    asked: the requirement, by the authors' names.
  """
  title = _TITLES.get(asked.get("topic_style", 0), "")
  if asked.get("keywords_req"):
    yield from counts.keywords(article, asked)
  size, number = (asked.get(f"paragraphs_{x}", -1) for x in ("split", "num"))
  if size > 0 and number > 0:
    pieces = article.split("\n\n" if size == 2 else "\n\n\n")
    yield len(pieces) - bool(title) == number, 0.1
  number = asked.get("sentence_num", -1)
  if number >= 0:
    found = re.split("[。？！]", article)
    yield sum(bool(s.strip()) for s in found) == number, 0.2
  yield from counts.length(len(article), asked)
  yield all(mark in article for mark in title), 0.02
  yield from _ends(article, title, asked)
  most = asked.get("max_topic_word_cnt", 0)
  if title and most > 0:
    yield len(_title(article, *title)) <= most, 0.05


def _ends(
  article: str, title: str, asked: Mapping[str, object]
) -> Iterator[Rule]:
  begin, end = (_bare(asked.get(f"{x}_content", "")) for x in ("begin", "end"))
  after = article.partition(title[1])[2] if title else ""
  starts = (_bare(article), _bare(after))
  yield any(text.startswith(begin) for text in starts), 0.02
  yield starts[0].endswith(end), 0.02


def _bare(text: str) -> str:
  return text.strip().strip("。")


def _title(article: str, opening: str, closing: str) -> str:
  """The first title, in one line; "" if there is none."""
  for line in article.split("\n"):
    head, mark, _ = line.partition(opening)[2].partition(closing)
    if mark:
      return head
  return ""
