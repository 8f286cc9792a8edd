"""The rules of Light-IF: the points of each, kept and broken."""

import json
import time

import pytest

from rlvr_jax.verify import light_if

REPEAT = (
  "First repeat the request word for word without change, then give your "
  "answer (1. do not say any words or characters before repeating the request; "
  "2. the request you need to repeat does not include this sentence)."
)


def parse(asked, english=True, prompt="Say it."):
  source = "jqzl-en" if english else "other"
  row = dict(source=source, query=prompt, jqzl_prompt=asked)
  return light_if.parse(json.dumps(row, ensure_ascii=False))


def points(article, asked, english=True, prompt="Say it."):
  return light_if.score(article, parse(asked, english, prompt)).points


# Requirement, articles that keep its rule, articles that break it, points.
ENGLISH = [
  (dict(num_highlights=2), ["*a* _b_", "*a* *b* *c*"], ["*a*", "** **"], 0.05),
  (dict(low_word_cnt=2, max_word_cnt=3), ["a b c"], ["a", "a b c d"], 0.1),
  (dict(low_word_cnt=2, max_word_cnt=2), ["a b", "a b c"], ["a"], 0.05),
  (dict(max_word_cnt=2), ["", "a b"], ["a b c"], 0.05),
  (dict(num_placeholders=2), ["[a] [b]", "[[a][b]]"], ["[a]", "[] [ b"], 0.05),
  (dict(num_bullets=2), ["* a\n* b"], ["* a", "* \n* \n* ", "- a\n- b"], 0.1),
  (dict(low_capital_cnt=1, max_capital_cnt=2), ["AB CD."], ["A B"], 0.1),
  (dict(low_capital_cnt=2, max_capital_cnt=-1), ["AB CD EF"], ["AB"], 0.05),
  (dict(low_capital_cnt=2, max_capital_cnt=2), ["AB CD"], ["AB CD EF"], 0.1),
  (dict(max_capital_cnt=1), ["ab", "AB"], ["AB CD"], 0.05),
  (dict(keywords=["go"], keywords_num=[[1, 2]]), ["gogo"], ["", "Go"], 0.1),
  (dict(keywords=["go"], keywords_num=[[2, -1]]), ["go go go"], ["go"], 0.05),
  (dict(keywords=["go"], keywords_num=[[2, 2]]), ["go go"], ["go go go"], 0.1),
  (dict(keywords=["go"], keywords_num=[[0, 1]]), ["", "go"], ["go go"], 0.05),
  (dict(keywords=["go"], keywords_num=[[-1, -1]]), ["Go"], ["go"], 0.05),
  (dict(num_sentences=2, sentences_style=-1), ["a."], ["a. b."], 0.05),
  (dict(num_sentences=2), ["a."], ["a. b"], 0.05),
  (dict(num_sentences=2, sentences_style=0), ["a. b!"], ["a", "3.5 a. b"], 0.2),
  (dict(num_sentences=2, sentences_style=1), ["a. b? c!"], ["a. b."], 0.05),
  (dict(letter="e", low_letter_num=2), ["eel"], ["E e"], 0.05),
  (dict(letter="e", max_letter_num=1), ["E e"], ["eel"], 0.05),
  (dict(letter="e", max_letter_num=-1), ["E"], ["e"], 0.2),
  (dict(paragraphs="***", paragraphs_num=2), ["a***b***"], ["a"], 0.1),
  (dict(end_phrase="Bye."), ["So. Bye."], ["Bye. So", "bye."], 0.1),
  (
    dict(paragraphs="\n\n", nth_paragraph=2, first_word="So"),
    ["a\n\nSo", "a\n\n\n\nSome"],
    ["So", "So\n\na"],
    0.1,
  ),
  (dict(prompt_to_repeat="x"), ["Say it. Yes."], ["Yes. Say it."], 0.1),
]  # fmt: skip
BASE = 0.06  # title, beginning and end, which nothing is asked of
CHINESE = [
  (
    dict(keywords_req=1, keywords=["猫"], keywords_num=[[1, 2]]),
    ["猫猫"],
    ["狗"],
    0.1,
  ),
  (dict(paragraphs_split=2, paragraphs_num=2), ["一\n\n二"], ["一"], 0.1),
  (dict(paragraphs_split=3, paragraphs_num=1), ["一\n\n"], ["\n\n\n"], 0.1),
  (dict(sentence_num=2), ["一。二！"], ["一。"], 0.2),
  (dict(low_word_cnt=2, max_word_cnt=3), ["一二三"], ["一"], 0.1),
  (dict(max_word_cnt=2), ["一"], ["一二三"], 0.05),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "kept", "broken", "earned"), ENGLISH)
def test_a_rule_for_english_earns_its_points(asked, kept, broken, earned):
  for article in kept:
    found = light_if.score(article, parse(asked))
    assert found == (pytest.approx(earned), pytest.approx(earned), True)
    assert found.reward == 1
  for article in broken:
    found = light_if.score(article, parse(asked))
    assert found == (0, pytest.approx(earned), False)
    assert found.reward == 0


@pytest.mark.parametrize(("asked", "kept", "broken", "earned"), CHINESE)
def test_a_rule_for_chinese_earns_its_points(asked, kept, broken, earned):
  for article in kept:
    assert points(article, asked, False) == pytest.approx(BASE + earned)
  for article in broken:
    assert points(article, asked, False) == pytest.approx(BASE)


def test_the_sentence_that_asks_to_repeat_is_not_repeated():
  asked = dict(prompt_to_repeat="x", end_phrase="Yes.", max_word_cnt=1)
  prompt = f"Say yes. {REPEAT}"
  assert points("Say yes.\n\nYes.", asked, prompt=prompt) == pytest.approx(0.25)
  # The other rules are for what is left without the prompt, wherever it stood.
  assert points("Yes. Say yes.", asked, prompt=prompt) == pytest.approx(0.15)


def test_chinese_titles_beginnings_and_ends_earn_points():
  asked = dict(topic_style=1, max_topic_word_cnt=2, begin_content="话说")
  asked |= dict(end_content="完。", paragraphs_split=2, paragraphs_num=1)
  whole = 0.02 * 3 + 0.05 + 0.1
  earned = lambda article: points(article, asked, english=False)
  assert earned("《猫》\n\n话说猫。完") == pytest.approx(whole)
  assert earned("《猫的事》\n\n话说猫。完") == pytest.approx(whole - 0.05)
  assert earned("《猫》\n\n猫。完") == pytest.approx(whole - 0.02)
  assert earned("《猫》\n\n话说猫") == pytest.approx(whole - 0.02)
  assert earned("话说猫\n\n完") == pytest.approx(whole - 0.02)


def test_the_reward_is_a_share_of_all_points_and_one_only_for_all_rules():
  asked = dict(num_bullets=1, end_phrase="b", max_word_cnt=5)
  assert light_if.score("* a b", parse(asked)).reward == 1
  some = light_if.score("* a", parse(asked))
  assert some.points == pytest.approx(0.15)
  assert some.reward == pytest.approx(0.15 / 1.25)


@pytest.mark.parametrize(
  ("reference", "message"),
  [
    ("no", "not JSON"),
    ("[" * 100_000, "not JSON"),
    ("7", "must have a text `query`"),
    ('{"check_code": "def check_response(x): ..."}', "in code are not run"),
    ('{"query": "a", "jqzl_prompt": "b"}', "an object `jqzl_prompt`"),
  ],
)
def test_a_reference_that_is_no_requirement_is_told(reference, message):
  with pytest.raises(ValueError, match=message):
    light_if.parse(reference)


@pytest.mark.parametrize(
  ("asked", "message"),
  [
    ({}, "asks for nothing"),
    (dict(num_bulets=3), r"asks for nothing: \['num_bulets'\]"),
    (dict(num_bullets="3"), "num_bullets = '3' must be a whole number"),
    (dict(end_phrase=3), "end_phrase = 3 must be text"),
    (dict(keywords="go", keywords_num=[[1, 2]]), "keywords = 'go' must be"),
    (dict(keywords=["go"], keywords_num=[[1]]), r"\[1\] must be two whole"),
    (dict(nth_paragraph=1, first_word="a"), "needs what divides them"),
  ],
)
def test_a_requirement_by_which_nothing_could_be_scored_is_told(asked, message):
  with pytest.raises(ValueError, match=message):
    parse(asked)


def test_a_hostile_article_of_100_kb_is_scored_at_once():
  english = {}
  for asked, *_ in ENGLISH:
    english |= asked
  chinese = {"topic_style": 2, "max_topic_word_cnt": 3}
  for asked, *_ in CHINESE:
    chinese |= asked
  pieces = [
    "*",
    "_",
    "*_",
    "[",
    "[a",
    "]",
    "\n",
    "***",
    "a.",
    "go",
    "AB ",
    "\ud800",
  ]
  for piece in pieces:
    article = piece * (100_000 // len(piece))
    for requirement in (parse(english), parse(chinese, english=False)):
      began = time.process_time()
      assert 0 <= light_if.score(article, requirement).reward <= 1
      assert time.process_time() - began < 0.1, piece
