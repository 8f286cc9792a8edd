"""Problems and figures that an evaluation leaves out are named."""

import collections
import json
import math

import pytest

from rlvr_jax import tasks
from rlvr_jax.evaluation import coverage, figures, left_out, page, summary
from rlvr_jax.evaluation.records import Record
from toy_files import STYLE, Words, parquet, verl


def record(id, right, source="a", entropy=0.5):
  n = len(right)
  return Record(
    source,
    id,
    f"{id}?",
    "4",
    answers=["4" if verdict else "5" for verdict in right],
    right=right,
    tokens=[10] * n,
    truncated=[False] * n,
    entropy=[entropy] * n,
    texts=[],
  )


GOOD = record("good", [True, False])
DARK = record("dark", [None, None])
HALF_KNOWN = record("half", [True, None])
NO_NUMBER = record("nan", [True, False], entropy=math.nan)


def told(*records, rows=None):
  table = figures.table(records, (1, 2))
  return left_out.notes(table, rows or {})


def test_a_mean_that_a_problem_without_a_number_leaves_is_named(tmp_path):
  assert told(GOOD) == []
  why = (
    "token entropy is over 1 of 2 problems; the others have a sample for which "
    "it is no number."
  )
  assert told(GOOD, NO_NUMBER) == [("a", why)]
  page.write({}, [GOOD, NO_NUMBER], (1, 2), tmp_path)
  assert why in (tmp_path / "evaluation.html").read_text()
  assert f"- a: {why}" in (tmp_path / "summary.md").read_text()


def test_every_figure_over_fewer_problems_is_named():
  why = "the others have too few samples that could be graded."
  figures_of_answers = (
    "avg@2, maj@2, pass@2, distinct answers and answer entropy are"
  )
  assert told(GOOD, DARK) == [
    ("a", f"{figures_of_answers} over 1 of 2 problems; {why}")
  ]
  assert told(GOOD, HALF_KNOWN) == [
    ("a", f"pass@2 is over 1 of 2 problems; {why}")
  ]


def test_rows_over_several_sources_name_their_figures_too():
  other = GOOD._replace(source="b")
  short = "pass@2 is over 2 of 3 problems"
  found = told(GOOD, HALF_KNOWN, other)
  assert [source for source, _ in found] == ["a", figures.MEAN, figures.ALL]
  assert all(text.startswith(short) for _, text in found[1:])
  found = dict(told(NO_NUMBER, other))
  assert found[figures.MEAN] == (
    "token entropy is over 0 of 2 problems; one of the sources has no such "
    "figure."
  )


UNPARSABLE = "reference answer cannot be parsed"
REPEATS = "repeats an earlier prompt"


def of(read, kept, **dropped):
  names = {"unparsable": UNPARSABLE, "repeats": REPEATS}
  return dict(
    read=read, kept=kept, dropped={names[k]: n for k, n in dropped.items()}
  )


def test_problems_that_were_not_asked_are_named_and_repeats_are_not():
  rows = {"a": of(9, 1, repeats=6, unparsable=2), "b": of(2, 1, repeats=1)}
  other = GOOD._replace(source="b")
  assert told(GOOD, other, rows=rows) == [
    (
      "a",
      f"2 of 3 problems are not asked, and in no figure: 2 × {UNPARSABLE}.",
    )
  ]
  table = figures.table([GOOD, other], (1,))
  asked = {r["source"]: r["problems"] for r in summary.text(table, rows)}
  assert asked == {
    "a": "1 of 3", "b": "1", figures.MEAN: "2 of 4", figures.ALL: "2 of 4"
  }  # fmt: skip


def test_an_evaluation_that_was_stopped_names_what_is_still_to_do():
  rows = {"a": of(3, 2, unparsable=1), "b": of(4, 4)}
  found = told(GOOD, rows=rows)
  assert [(s, text.split(" problems")[0]) for s, text in found] == [
    ("a", "1 of 3"),
    ("a", "1 of 2"),
    ("b", "0 of 4"),
  ]
  assert "the command that began the evaluation goes on" in found[1][1]
  (line,) = summary.text(figures.table([GOOD], (1,)), rows)
  assert line["problems"] == "1 of 3"


def test_a_source_of_which_nothing_is_asked_is_still_told(tmp_path):
  rows = {"a": of(1, 1), "gone": of(3, 0, unparsable=3)}
  page.write({"data_rows": rows}, [GOOD], (1,), tmp_path)
  numbers = json.loads((tmp_path / "figures.json").read_text())
  assert numbers["gone"] == {"rows": rows["gone"]}
  text = (tmp_path / "evaluation.html").read_text()
  assert "<strong>gone</strong>: 3 of 3 problems are not asked" in text
  table = text.split("<h2>Data</h2>")[1].split("</table>")[0]
  cells = ["gone", "3", "0", "3"]
  assert "".join(f"<td>{cell}</td>" for cell in cells) in table


def test_rows_are_counted_as_they_are_asked(tmp_path):
  rows = [
    verl("two words", index=0),
    verl("two  words", index=1),
    verl("two words", "5", index=2),
    verl("not a number", "x", index=3),
    verl("far too many words", index=4),
    verl(" ", index=5),
    verl("two words", index=0, source="other"),
  ]
  path = parquet(tmp_path / "toy.parquet", rows)
  options = tasks.FilesOptions(
    evaluation=(path,), max_prompt=3, unparsable="drop"
  )
  found = coverage.rows(tasks.to_measure_on(Words(), options, STYLE).report)
  assert found == {
    "toy": {
      "read": 6,
      "kept": 1,
      "dropped": {
        "repeats an earlier prompt": 1,
        "repeats an earlier prompt with another answer": 1,
        UNPARSABLE: 1,
        "prompt too long": 1,
        "prompt without text": 1,
      },
    },
    "other": {"read": 1, "kept": 1, "dropped": {}},
  }


def test_a_question_that_is_dropped_is_counted_once(tmp_path):
  # As in files that repeat their problems; two rows without text are two.
  asked = ["one", "two", " ", "one", "two", " "]
  answers = ["4", "x", "4", "4", "x", "4"]
  rows = [verl(*row, index=i) for i, row in enumerate(zip(asked, answers))]
  path = parquet(tmp_path / "toy.parquet", rows)
  options = tasks.FilesOptions(evaluation=(path,), unparsable="drop")
  report = tasks.to_measure_on(Words(), options, STYLE).report
  (found,) = coverage.rows(report).values()
  assert found["dropped"] == {
    UNPARSABLE: 1, "prompt without text": 2, REPEATS: 2
  }  # fmt: skip
  assert (found["read"], found["kept"]) == (6, 1)


@pytest.mark.parametrize("seed", [0, 5])
def test_as_many_rows_are_kept_as_problems_are_asked(tmp_path, seed):
  pytest.importorskip("reasoning_gym")
  rows = [verl(f"Is it {i // 2}?", "4", i, f"of {i % 3}") for i in range(9)]
  options = tasks.FilesOptions(
    # Some answers to these are negative, others with another seed.
    evaluation=(parquet(tmp_path / "toy.parquet", rows), "gym:chain_sum:40"),
    unparsable="drop",
    seed=seed,
  )
  task = tasks.files_task(Words(), options, STYLE)
  kept = collections.Counter(problem.source for problem in task.evaluation)
  found = coverage.rows(tasks.to_measure_on(Words(), options, STYLE).report)
  assert kept == {source: each["kept"] for source, each in found.items()}
  assert kept["chain_sum"] < 40


@pytest.mark.parametrize("name", [figures.ALL, figures.MEAN])
def test_a_source_called_like_a_row_of_the_table_is_refused(name):
  records = [GOOD, GOOD._replace(source=name)]
  with pytest.raises(ValueError, match=f"a data set is called '{name}'"):
    figures.table(records, (1,))
