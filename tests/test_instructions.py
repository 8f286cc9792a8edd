"""The instructions of IFEval: each followed and broken by tiny texts."""

import importlib.util
import json
import time

import pytest

from rlvr_jax.verify import ifeval
from rlvr_jax.verify.ifeval import language, lengths

LESS, LEAST = "less than", "at least"

# By kind: arguments, texts that follow, texts that do not.
CASES = [
  (
    "keywords:existence",
    dict(keywords=["cat", "c++"]),
    ["A CAT writes C++.", "concatenate c++"],
    ["A cat.", "c++", "a ca t in c+"],
  ),
  (
    "keywords:frequency",
    dict(keyword="go", frequency=2, relation=LEAST),
    ["Go, go!", "gogo"],
    ["go", "to"],
  ),
  (
    "keywords:frequency",
    dict(keyword="go", frequency=2, relation=LESS),
    ["go", "to"],
    ["Go, go!"],
  ),
  (
    "keywords:forbidden_words",
    dict(forbidden_words=["cat", "c++"]),
    ["concatenate", "a dog in c"],
    ["A CAT.", "in c++!"],
  ),
  (
    "keywords:letter_frequency",
    dict(letter="a", let_frequency=3, let_relation=LEAST),
    ["Anagram", "a a a"],
    ["area", "bbb"],
  ),
  (
    "keywords:letter_frequency",
    dict(letter="!", let_frequency=1, let_relation=LESS),
    ["Calm."],
    ["Loud!"],
  ),
  (
    "length_constraints:number_sentences",
    dict(num_sentences=2, relation=LEAST),
    ["One. Two.", "One? Two", "你好。再见。"],
    ["One, two.", "Dr. J. Doe has 3.5 cats, e.g. Tom"],
  ),
  (
    "length_constraints:number_sentences",
    dict(num_sentences=2, relation=LESS),
    ["One.", "1. One"],
    ["One. Two."],
  ),
  (
    "length_constraints:number_paragraphs",
    dict(num_paragraphs=2),
    ["a\n***\nb", "***\na *** b\n***"],
    ["a", "a\n\nb", "a\n***\n***\nb", "a *** b *** c"],
  ),
  (
    "length_constraints:number_words",
    dict(num_words=3, relation=LEAST),
    ["it's me", "one two three"],
    ["one - two", ""],
  ),
  (
    "length_constraints:number_words",
    dict(num_words=3, relation=LESS),
    ["one two"],
    ["one two three"],
  ),
  (
    "length_constraints:nth_paragraph_first_word",
    dict(num_paragraphs=2, nth_paragraph=2, first_word="so"),
    ["a\n\nSo, b", 'a\n\n"So" b', "a\n\nSO"],
    ["a\n\nSome b", "So\n\nb", "a\n\nso\n\nc", "a\n\n\n\nso", "so"],
  ),
  (
    "detectable_content:number_placeholders",
    dict(num_placeholders=2),
    ["[name] of [street]", "[a][b][c]", "[[a] [b]"],
    ["[name]", "[a\n] [b]", "]["],
  ),
  (
    "detectable_content:postscript",
    dict(postscript_marker="P.S."),
    ["Bye\nP.S. More", "p. s. more"],
    ["Bye", "P.P.S more", "PS more"],
  ),
  (
    "detectable_content:postscript",
    dict(postscript_marker="P.P.S"),
    ["P.P.S more", "p.p.s. more"],
    ["P.S. more"],
  ),
  (
    "detectable_content:postscript",
    dict(postscript_marker="NB:"),
    ["nb: more"],
    ["more"],
  ),
  (
    "detectable_format:number_bullet_lists",
    dict(num_bullets=2),
    ["* a\n* b", "x\n - a\n\t- b"],
    ["* a", "* a\n* b\n- c", "**a**\n**b**", "*\n*"],
  ),
  (
    "detectable_format:constrained_response",
    {},
    ["My answer is yes.", "Well. My answer is maybe."],
    ["yes", "My answer is yes", "my answer is no."],
  ),
  (
    "detectable_format:number_highlighted_sections",
    dict(num_highlights=2),
    ["*a* and *b*", "**a** and *b*", "*a* *b* *c*"],
    ["*a*", "** **, *a*", "*a\n* b *c*".replace("c*", "c")],
  ),
  (
    "detectable_format:multiple_sections",
    dict(section_spliter="Section", num_sections=2),
    ["Section 1\na\nSection 2\nb", "Section1 Section 22"],
    ["Section 1", "section 1 section 2", "Section one Section two"],
  ),
  (
    "detectable_format:json_format",
    {},
    ['{"a": [1, 2.5]}', '```json\n{"a": 1}\n```', "```\n[]\n```"],
    ["{'a': 1}", 'Sure: {"a": 1}', "", "[" * 100_000],
  ),
  (
    "detectable_format:title",
    {},
    ["<<Title>>\ntext", "a <<b>>"],
    ["<<>>", "<< >>", "<Title>", "<<a\nb>>", ">>a<<"],
  ),
  (
    "combination:two_responses",
    {},
    ["a\n******\nb", "******a******b******"],
    ["a", "a******a", "a******b******c", "a************b", "a***b"],
  ),
  (
    "combination:repeat_prompt",
    dict(prompt_to_repeat="Say it twice."),
    ["say it TWICE. It", " Say it twice."],
    ["It", "So: say it twice."],
  ),
  (
    "startend:end_checker",
    dict(end_phrase="The end."),
    ["So. the END. ", '"It was the end."'],
    ["The end. So", "The end"],
  ),
  ("startend:quotation", {}, ['"a"', ' "a b"\n'], ['"', '"a', "a", "'a'"]),
  (
    "change_case:capital_word_frequency",
    dict(capital_frequency=2, capital_relation=LEAST),
    ["I AM", "NATO-EU, it's THE"],
    ["I am", "McDONALD iPAD A"],
  ),
  (
    "change_case:capital_word_frequency",
    dict(capital_frequency=2, capital_relation=LESS),
    ["I am"],
    ["I AM"],
  ),
  ("punctuation:no_comma", {}, ["a; b"], ["a, b"]),
]
SPOKEN = {
  "en": "It was a bright cold day in April, and the clocks were striking.",
  "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren.",
  "fr": "Tous les êtres humains naissent libres et égaux en dignité.",
  "hi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतंत्रता है",
  "ru": "Все люди рождаются свободными и равными в своём достоинстве.",
}
IDS = sorted(ifeval.KINDS)


def reference(*instructions):
  """That of (id, arguments) pairs."""
  return json.dumps(
    [[i for i, _ in instructions], [a for _, a in instructions]]
  )


def follows(text, *instructions, loose=False):
  return ifeval.followed(text, ifeval.parse(reference(*instructions)), loose)


@pytest.mark.parametrize(("kind", "arguments", "right", "wrong"), CASES)
def test_an_instruction_is_followed_or_not(kind, arguments, right, wrong):
  for text in right:
    assert follows(text, (kind, arguments)) == [True], text
  for text in wrong:
    assert follows(text, (kind, arguments)) == [False], text


def test_every_kind_has_a_case():
  told = {case[0] for case in CASES} | language_kinds()
  assert told == set(ifeval.KINDS) and len(ifeval.KINDS) == 25


def language_kinds():
  return {
    kind for kind in IDS if kind.startswith(("language:", "change_case:e"))
  }


def test_the_language_of_a_response_is_told():
  pytest.importorskip("py3langid")
  for code, text in SPOKEN.items():
    for other in SPOKEN:
      asked = ("language:response_language", dict(language=other))
      assert follows(text, asked) == [code == other], (code, other)
  for empty in ("12 + 3 = 15", "..."):
    asked = ("language:response_language", dict(language="en"))
    assert follows(empty, asked) == [False]


def test_english_in_capitals_or_without_is_told():
  pytest.importorskip("py3langid")
  upper = ("change_case:english_capital", {})
  lower = ("change_case:english_lowercase", {})
  english, german = SPOKEN["en"], SPOKEN["de"]
  assert follows(english.upper(), upper, lower) == [True, False]
  assert follows(english.lower(), upper, lower) == [False, True]
  assert follows(english, upper, lower) == [False, False]
  assert follows(german.upper(), upper, lower) == [False, False]
  assert follows(german.lower(), upper, lower) == [False, False]


def test_without_py3langid_languages_are_refused_and_nothing_else(monkeypatch):
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
  refused = {
    kind
    for kind in IDS
    if "py3langid" in (ifeval.check_arguments(kind, dict(language="en")) or "")
  }
  assert refused == language_kinds()
  language._identifier.cache_clear()
  with pytest.raises(ImportError, match=r"pip install rlvr_jax\[language\]"):
    language.response_language("so", language="en")


@pytest.mark.parametrize(
  ("text", "kind", "arguments"),
  [
    ("Sure!\nMy answer\nBye, bye", "punctuation:no_comma", {}),
    ("Sure, here:\nI agree", "punctuation:no_comma", {}),
    ("**So: the end.**", "startend:end_checker", dict(end_phrase="the end.")),
    ('Here:\n"a"', "startend:quotation", {}),
    ('"a"\nAnything else?', "startend:quotation", {}),
    ('Here:\n*"a"*\nAnything else?', "startend:quotation", {}),
    ('Here:\n{"a": 1}', "detectable_format:json_format", {}),
  ],
)  # fmt: skip
def test_loose_forgives_first_and_last_line_and_asterisks(
  text, kind, arguments
):
  assert follows(text, (kind, arguments), loose=True) == [True]
  assert follows(text, (kind, arguments)) == [False]


def test_loose_forgives_no_line_in_the_middle():
  text = "Sure\na\nb, c\nd\nBye"
  assert follows(text, ("punctuation:no_comma", {}), loose=True) == [False]


def test_what_is_strictly_followed_is_loosely_followed():
  for kind, arguments, right, _ in CASES:
    for text in right:
      assert follows(text, (kind, arguments), loose=True) == [True]


def test_a_blank_response_follows_nothing():
  few = ("length_constraints:number_words", dict(num_words=3, relation=LESS))
  for text in ("", " \n", "\n\n"):
    for loose in (False, True):
      assert follows(text, few, loose=loose) == [False]
  # Nor does a loose variant that is blank: here without the first line.
  assert follows("a b c", few, loose=True) == [False]


def test_several_instructions_are_told_apart():
  asked = [
    ("punctuation:no_comma", {}),
    ("startend:quotation", {}),
    ("detectable_format:title", {}),
  ]
  assert follows('"<<a>>, b"', *asked) == [False, True, True]


@pytest.mark.parametrize(
  ("text", "count"),
  [
    ("", 0),
    ("...", 0),
    ("No end", 1),
    ("Really?! Yes... (It is.) Good", 4),
    ("Mr. Smith of the U.S. Army paid 3.50 at 5.", 1),
    ("1. Wash.\n2. Cook.", 2),
    ("It was in 1990. Then", 2),
    ('He said "Go." She went.', 2),
  ],
)
def test_sentences_are_counted(text, count):
  assert lengths.count_sentences(text) == count


# References.


def test_arguments_that_are_null_are_left_out_and_whole_floats_are_numbers():
  table = dict(num_words=None, num_bullets=2.0, keywords=None)
  asked = ("detectable_format:number_bullet_lists", table)
  assert follows("* a\n* b", asked) == [True]
  instructions = json.dumps([["punctuation:no_comma"], [None]])
  assert ifeval.followed("a", ifeval.parse(instructions)) == [True]


@pytest.mark.parametrize(
  ("kind", "arguments", "parts"),
  [
    ("punctuation:no_coma", {}, ["nearest is 'punctuation:no_comma'"]),
    ("punctuation:no_comma", dict(a=1), ["takes [], but ['a'] are given"]),
    ("keywords:existence", {}, ["takes ['keywords'], but []"]),
    ("keywords:existence", dict(keywords=[]), ["keywords = [] must be a list"]),
    ("keywords:existence", dict(keywords="a"), ["must be a list of texts"]),
    ("keywords:existence", dict(keywords=["a", " "]), ["must be a list"]),
    (
      "detectable_format:number_bullet_lists",
      dict(num_bullets=-1),
      ["num_bullets = -1 must be a whole number of at least 0"],
    ),
    (
      "detectable_format:number_bullet_lists",
      dict(num_bullets=True),
      ["num_bullets = True must be"],
    ),
    (
      "detectable_format:number_bullet_lists",
      dict(num_bullets=2.5),
      ["num_bullets = 2.5 must be"],
    ),
    (
      "length_constraints:number_words",
      dict(num_words=3, relation="at most"),
      ['relation = \'at most\' must be "less than" or "at least"'],
    ),
    (
      "keywords:letter_frequency",
      dict(letter="ab", let_frequency=1, let_relation=LESS),
      ["letter = 'ab' must be one character"],
    ),
    (
      "length_constraints:nth_paragraph_first_word",
      dict(num_paragraphs=2, nth_paragraph=0, first_word="a"),
      ["nth_paragraph = 0 must be a whole number of at least 1"],
    ),
  ],
)
def test_an_instruction_that_cannot_be_checked_is_told(kind, arguments, parts):
  told = ifeval.check_arguments(kind, arguments)
  assert all(part in told for part in parts), told
  with pytest.raises(ValueError) as caught:
    ifeval.parse(reference((kind, arguments)))
  assert str(caught.value) == told


@pytest.mark.parametrize(
  "text",
  [
    "7",
    "no_comma",
    "[" * 100_000,
    "[]",
    "[[], []]",
    '[["punctuation:no_comma"], []]',
    '[["punctuation:no_comma"], ["a"]]',
    '[[1], [{}]]',
    '{"a": 1, "b": 2}',
    '["ab", "cd"]',
  ],
)  # fmt: skip
def test_a_reference_of_another_form_is_told(text):
  with pytest.raises(ValueError, match=r"must be JSON of \[\[id, \.\.\.\]"):
    ifeval.parse(text)


# Hostile responses.

PIECES = [
  *("[", "]", "<<", ">>", "*", "**", "***", "******", "_", "-", "\n", "\n\n"),
  *("\n* ", "\n- ", "\n*", "a.", ".", '!"', "p.", "p. ", "Section"),
  *("{", "[1,", '{"a":', '"', "```json", "9", "a", "A", " ", "\t\n ", "A-"),
  *("Section 1", "go", "\u200b", "İ", "。", "\x00", "\ud800", "e.g."),
]  # fmt: skip


@pytest.mark.parametrize("kind", [k for k in IDS if k not in language_kinds()])
def test_a_hostile_response_of_100_kb_is_checked_at_once(kind):
  arguments = next(a for k, a, *_ in CASES if k == kind)
  asked = ifeval.parse(reference((kind, arguments)))
  slowest = 0.0
  for piece in PIECES:
    text = piece * (100_000 // len(piece))
    began = time.process_time()
    ifeval.followed(text, asked)
    slowest = max(slowest, time.process_time() - began)
  assert slowest < 0.1


def test_the_language_of_a_hostile_response_is_told_at_once():
  pytest.importorskip("py3langid")
  asked = ifeval.parse(
    reference(("language:response_language", dict(language="en")))
  )
  ifeval.followed("warm", asked)
  for piece in ("the ", "é", "a", "\u4f60", "\x00a", "\ud800a", "٣a"):
    text = piece * (100_000 // len(piece))
    began = time.process_time()
    ifeval.followed(text, asked)
    assert time.process_time() - began < 0.3, piece
