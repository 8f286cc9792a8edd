"""Which rows are kept, and what is told of the others."""

import pytest

from rlvr_jax.tasks import filters, overlap, sources
from toy_files import check, message_of


def keep(rows, **options):
  report = filters.Report()
  options = dict(render=lambda row: row.question, count=len) | options
  keeper = filters.Filter(report, **options)
  return [kept.row.question for kept in keeper(rows)], report


def row(question, answer="1", id=None, source="toy", place="a.jsonl, line 1"):
  messages = (dict(role="user", content=question),)
  return sources.Row(messages, answer, source, id or question, place)


def dropped(report):
  return {key: found.count for key, found in report.dropped.items()}


def test_prompts_that_are_empty_too_long_or_repeated_are_counted():
  rows = [row("one"), row(" \n"), row("three"), row("one"), row("four")]
  kept, report = keep(rows, longest=4)
  assert kept == ["one", "four"]
  assert dropped(report) == {
    ("toy", filters.EMPTY): 1,
    ("toy", filters.LONG): 1,
    ("toy", filters.REPEATED): 1,
  }
  assert (report.read["toy"], report.kept["toy"]) == (5, 2)
  told = str(report)
  assert "toy: 2 of 5 rows kept" in told
  assert "1 dropped: prompt too long\n    'a.jsonl, line 1: 5 tokens" in told


def test_a_system_message_alone_asks_nothing():
  system = dict(role="system", content="Add.")
  blank = dict(role="user", content=" \n")
  silent = row("a")._replace(messages=(system, blank))
  kept, report = keep([silent, row("b")])
  assert kept == ["b"] and dropped(report) == {("toy", filters.EMPTY): 1}


def test_a_prompt_is_the_same_whatever_its_blanks_and_its_form_of_accents():
  rows = [
    row("is é 2?"),
    row("is  e\u0301\n2?"),
    row("is É 2?"),
    row("is é-2?"),
  ]
  assert keep(rows)[0] == ["is é 2?", "is É 2?", "is é-2?"]


def test_a_prompt_with_two_answers_is_told_and_the_first_stays():
  kept, report = keep([row("a"), row("a", "2", place="a.jsonl, line 2")])
  assert kept == ["a"]
  (found,) = report.dropped.values()
  told = "a.jsonl, line 2: '2', but '1' in a.jsonl, line 1"
  assert dropped(report) == {("toy", filters.CONTRADICTS): 1}
  assert found.examples == (told,)


def test_a_report_shows_few_examples_however_many_there_are():
  report = keep([row("")] * 500)[1]
  (found,) = report.dropped.values()
  assert (found.count, len(found.examples)) == (500, 2)


def test_every_dataset_of_the_evaluation_has_its_own_problems():
  rows = [row("a"), row("a", source="other"), row("a")]
  assert keep(rows)[0] == ["a"]
  assert keep(rows, by_source=True)[0] == ["a", "a"]


def test_duplicate_ids_of_different_problems_are_an_error():
  twice = [row("a", id="7"), row("a", id="7"), row("b", id="7", place="x")]
  with pytest.raises(ValueError, match="x: its id '7' is that of another"):
    keep(twice)
  # Those of two datasets may be alike, and so may those of two files.
  kept, _ = keep([row("a", id="7"), row("b", id="7", source="other")])
  assert kept == ["a", "b"]
  keeper = filters.Filter(filters.Report(), lambda row: row.question, len)
  assert list(keeper([row("a", id="7")])) and list(keeper([row("b", id="7")]))


@pytest.mark.parametrize("answer", ["", " ", "four"])
def test_a_reference_that_cannot_be_parsed_is_an_error_or_dropped(answer):
  rows = [row("a"), row("b", answer, place="a.jsonl, line 2")]
  told = message_of(lambda: keep(rows, check=check))
  assert told.startswith("a.jsonl, line 2: the reference answer") and (
    repr(answer) in told and 'unparsable="drop"' in told
  )
  kept, report = keep(rows, check=check, unparsable="drop")
  assert kept == ["a"] and dropped(report) == {("toy", filters.UNPARSABLE): 1}


# Overlap.

LONG = "one two three four five six seven eight nine ten eleven twelve thirteen"


def left(train, evaluation, length=13):
  """The training questions that are not in the evaluation."""
  report = filters.Report()
  held_out = overlap.HeldOut({"toy": evaluation}, length)
  apart = filters.Apart(held_out, report)
  for number, question in enumerate(train):
    apart.note(number, row(question))
  out = apart.found()
  assert sum(dropped(report).values()) == len(out)
  return [q for number, q in enumerate(train) if number not in out]


def test_a_shared_run_of_words_drops_a_problem_whatever_its_signs_and_case():
  near = "Say: " + LONG.upper().replace(" ", ", ") + "!"
  shorter = LONG.replace("seven", "7")
  assert left([near, shorter, "else"], [LONG + " end"]) == [shorter, "else"]
  assert left([near, shorter], [LONG + " end"], length=6) == []
  assert left([near, LONG + " end"], [LONG + " end"], length=0) == [
    near,
    LONG + " end",
  ]


def test_a_short_prompt_is_held_out_only_if_it_is_the_same():
  train = ["What is 2 + 3?", "What is  2 + 3?", "What is 2 - 3?", "2 + 3?"]
  assert left(train, ["What is 2 + 3?"]) == train[2:]


def test_the_instruction_of_a_dataset_gives_no_problem_away():
  ask = f"{LONG} words of instruction. What is {{}}? Put it in a box, please."
  evaluation = [ask.format(word) for word in ("love", "truth", "beauty")]
  train = [ask.format(word) for word in ("hate", "lies", "love")]
  assert left(train, evaluation) == train[:2]


def test_a_phrase_of_many_problems_gives_none_away():
  evaluation = ["Find it, " + LONG, "Something else"]
  many = [f"Problem {i}: {LONG}" for i in range(11)]
  assert left(many, evaluation) == many
  assert left(many[:10], evaluation) == []


FORM = (
  "The probability can be written as m over n where m and n are coprime "
  "positive integers. Find m plus n."
)
OWN = (
  "A frog hops from pad to pad along a river and rests on each third pad, but "
  "a heron waits on every seventh one, so that half of all frogs are eaten. "
  "Two frogs start one after the other from the first pad at dawn."
)


def test_a_phrase_in_another_variant_gives_none_away():
  variant = FORM.replace("probability", "area")
  train = [f"Two squares of side {i} share a corner. {variant}" for i in (2, 3)]
  assert left(train, [f"{OWN} {FORM}"]) == train


@pytest.mark.parametrize(
  "leak",
  [
    OWN.replace("third", "4th"),
    f"Solve this step by step.\n\n{OWN} {FORM}\n\nPut the answer in a box.",
    f"{LONG} {OWN} {FORM} {LONG}",
    f"{OWN} Give the share of the eaten ones in percent.",
    OWN.upper().replace(" ", "\n"),
  ],
  ids=["number", "instruction", "longer", "form of the answer", "type"],
)
def test_a_problem_that_is_changed_in_one_place_is_still_found(leak):
  assert left([leak, "else"], [f"{OWN} {FORM}"]) == ["else"]


def test_words_of_phrases_do_not_make_a_question_longer():
  eggs = "Of twelve eggs five are bad and three of all are taken by a cook."
  question = f"{eggs} {FORM} {FORM}"
  phrases = [f"Problem {i}: {FORM} {FORM}" for i in range(11)]
  assert left([*phrases, eggs], [question]) == phrases
  assert left([eggs], [question]) == [eggs]  # Less than a third of it.


def test_indices_are_words_however_they_are_written():
  plain, braced = (
    "What is " + " + ".join(form.format(i=i) for i in range(14))
    for form in ("a_{i}", "a_{{{i}}}")
  )
  assert left([plain], [braced]) == []
