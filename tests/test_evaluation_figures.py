"""Figures of records written by hand; the arithmetic stands beside each."""

import json
import math

import pytest

from rlvr_jax.evaluation import figures
from rlvr_jax.evaluation.records import Log, Record, read


def record(id, answers, right, source="a", **more):
  n = len(answers)
  each = dict(
    tokens=[10] * n, truncated=[False] * n, entropy=[0.5] * n, texts=[]
  )
  return Record(source, id, f"{id}?", "4", list(answers), right, **each | more)


ONE = record("1", "4455", [True, True, False, False])
ALL = record("2", "4444", [True] * 4)
NONE = record("3", "5678", [False] * 4)


def row(*records, ks=(1, 2, 4)):
  return figures.row(figures.per_problem(records, ks))


def test_pass_at_k_is_the_closed_form():
  # 2 right of 4: 1 - C(2,2)/C(4,2) = 5/6 at k = 2; 1 at k = 4.
  found = row(ONE)
  assert found["pass@1"].value == pytest.approx(1 / 2)
  assert found["pass@2"].value == pytest.approx(5 / 6)
  assert found["pass@4"].value == 1
  # Over three problems: (5/6 + 1 + 0) / 3.
  assert row(ONE, ALL, NONE)["pass@2"].value == pytest.approx(11 / 18)
  assert row(ONE, ALL, NONE)["avg@4"].value == pytest.approx(1 / 2)


def test_tied_votes_count_the_share_of_right_answers_among_them():
  assert row(ONE)["maj@4"].value == 1 / 2
  assert row(ALL)["maj@4"].value == 1
  three = record("t", "4566", [True, False, False, False])
  assert row(three)["maj@4"].value == 0
  silent = record("s", [None, None, None, "4"], [False, False, False, True])
  assert row(silent)["maj@4"].value == 1


def test_answers_are_counted_and_their_entropy_is_in_nats():
  found = row(ONE)
  assert found["distinct"].value == 2
  assert found["distinct_right"].value == 1
  assert found["answer_entropy"].value == pytest.approx(math.log(2))
  assert row(NONE)["answer_entropy"].value == pytest.approx(math.log(4))
  assert row(NONE)["distinct_right"].value == 0


def test_length_truncation_and_entropy_are_means_over_all_samples():
  long = record(
    "l", "4444", [None, None, True, True], tokens=[10, 20, 30, 40],
    truncated=[False, False, False, True], entropy=[0.0, 0.2, 0.4, 0.6],
  )  # fmt: skip
  found = row(long)
  assert found["tokens"].value == 25
  assert found["truncated"].value == 1 / 4
  assert found["entropy"].value == pytest.approx(0.3)
  assert found["unknown"].value == 1 / 2


def test_unknown_samples_leave_a_problem_with_fewer():
  # Known are 2 of 4, one right: pass@1 = 1/2, pass@2 = 1, no pass@4.
  unsure = record("u", ["4", "5", None, "9"], [True, False, None, None])
  found = row(unsure)
  assert found["pass@1"].value == 1 / 2
  assert found["pass@2"].value == 1
  assert found["pass@4"].problems == 0 and math.isnan(found["pass@4"].value)
  assert found["distinct"].value == 2
  assert found["answer_entropy"].value == pytest.approx(math.log(2))
  # With a problem that was graded whole, pass@4 is over that one alone.
  found = row(unsure, NONE)
  assert found["pass@4"] == (0, 0, 0, 1)
  assert found["pass@1"].value == 1 / 4 and found["pass@1"].problems == 2


def test_a_problem_of_which_nothing_is_known_counts_in_no_answer_figure():
  lost = record("u", [None] * 4, [None] * 4, tokens=[30] * 4)
  found = row(lost, ALL)
  for name in ("pass@1", "avg@4", "maj@4", "distinct", "answer_entropy"):
    assert found[name] == row(ALL)[name]
  assert found["tokens"].value == 20 and found["unknown"].value == 1 / 2
  alone = row(lost)
  assert alone["avg@4"].problems == 0 and math.isnan(alone["avg@4"].low)


def test_the_interval_of_constant_figures_has_no_width():
  assert row(*[ONE] * 9)["avg@4"] == (0.5, 0.5, 0.5, 9)


def test_the_interval_covers_the_spread_over_problems():
  # 50 problems all right, 50 all wrong: the mean has deviation 0.05.
  found = row(*[ALL] * 50, *[NONE] * 50)["avg@4"]
  assert found.value == 0.5
  assert found.low == pytest.approx(0.5 - 1.96 * 0.05, abs=0.02)
  assert found.high == pytest.approx(0.5 + 1.96 * 0.05, abs=0.02)


def test_sources_have_rows_and_two_ways_of_counting_all():
  other = record("1", "4444", [True] * 4, source="b")
  found = figures.table([ALL, NONE, other, ONE], ks=(1,))
  assert list(found) == ["a", "b", figures.MEAN, figures.ALL]
  # a: (1 + 0 + 1/2) / 3; b: 1.
  assert found["a"]["avg@4"].value == pytest.approx(1 / 2)
  assert found["b"]["avg@4"].value == 1
  assert found[figures.MEAN]["avg@4"].value == pytest.approx(3 / 4)
  assert found[figures.ALL]["avg@4"].value == pytest.approx(5 / 8)
  assert found[figures.MEAN]["avg@4"].problems == 4
  assert list(figures.table([ALL, NONE], ks=(1,))) == ["a"]


def test_the_mean_of_sources_draws_problems_within_each():
  # Each source is constant, so whatever is drawn has the same mean.
  b = [record(str(i), "5555", [False] * 4, source="b") for i in range(2)]
  found = figures.table([*[ALL] * 8, *b], ks=(1,))
  assert found[figures.MEAN]["avg@4"] == (0.5, 0.5, 0.5, 10)
  assert found[figures.ALL]["avg@4"].low < 0.8 < found["a"]["avg@4"].low


def test_a_source_without_a_figure_leaves_the_mean_of_sources_without_it():
  lost = record("1", [None] * 4, [None] * 4, source="b")
  found = figures.table([ALL, lost], ks=(1,))[figures.MEAN]
  assert math.isnan(found["avg@4"].value) and found["tokens"].value == 10


def test_a_k_beyond_the_samples_and_no_records_are_refused():
  with pytest.raises(ValueError, match=r"k = \[8\] must lie in \[1, 4\]"):
    row(ONE, ks=(1, 8))
  with pytest.raises(ValueError, match="there are no records"):
    row()


def test_the_default_ks_are_powers_of_two():
  assert figures.default_ks(1) == (1,)
  assert figures.default_ks(32) == (1, 2, 4, 8, 16, 32)
  assert figures.default_ks(48) == (1, 2, 4, 8, 16, 32)


HEADER = {"model": "m", "samples": 4, "temperature": 0.6}


def written(path, *records, header=HEADER):
  log = Log(path, header)
  for one in records:
    log.append(one)
  log.close()
  return path


def test_records_come_back_as_they_were_written(tmp_path):
  said = [None, "4", "x", "\ud800"]
  odd = record("é\n\u2028", said, [None, True, False, True], texts=["<b>"])
  path = written(tmp_path / "new" / "r.jsonl", ONE, odd)
  assert read(path) == (HEADER, [ONE, odd])


@pytest.mark.parametrize("cut", [1, 20])
def test_a_line_that_a_kill_cut_short_is_dropped(tmp_path, cut):
  path = written(tmp_path / "r.jsonl", ONE, ALL)
  whole = path.read_bytes()
  path.write_bytes(whole[:-cut])
  assert read(path) == (HEADER, [ONE])
  log = Log(path, HEADER)
  assert log.records == [ONE]
  log.append(ALL)
  log.close()
  assert path.read_bytes() == whole


@pytest.mark.parametrize("cut", [0, 1])
def test_a_file_without_a_record_starts_anew(tmp_path, cut):
  path = written(tmp_path / "r.jsonl", header={"model": "other"})
  whole = path.read_bytes()
  path.write_bytes(whole[: len(whole) - cut])
  assert read(written(path, ONE)) == (HEADER, [ONE])


def test_other_settings_are_refused_by_name_and_change_nothing(tmp_path):
  path = written(tmp_path / "r.jsonl", ONE)
  before = path.read_bytes()
  with pytest.raises(ValueError) as caught:
    Log(path, {"model": "m", "samples": 4, "temperature": 1.0, "top_k": 5})
  told = str(caught.value)
  assert "temperature = 0.6, this one has 1.0" in told
  assert "top_k = None, this one has 5" in told
  assert "model" not in told and "folder, or the old values" in told
  assert path.read_bytes() == before


BROKEN = {
  "no JSON": ("{", "line 3 is not JSON"),
  "no object": ("[1]", "line 3 is not a JSON object"),
  "a field too few": ('{"id": "1"}', r"line 3 has the fields \['id'\]"),
  "an id twice": (json.dumps(ONE._asdict()), "line 3: 'a/1' has come before"),
  "another number of samples": (
    json.dumps(record("2", "44", [True, True])._asdict()),
    r"line 3: lists of \[2\] entries .* has the 4 sample",
  ),
  "lists of different lengths": (
    json.dumps(ALL._replace(tokens=[1])._asdict()),
    r"line 3: lists of \[1, 4\] entries",
  ),
  "a verdict that is none": (
    json.dumps(ALL._replace(right=[1, 1, 0, 0])._asdict()),
    r"line 3: \['right'\] hold what a record must not",
  ),
}


@pytest.mark.parametrize("line, told", BROKEN.values(), ids=BROKEN)
def test_a_broken_record_is_refused_by_its_line(tmp_path, line, told):
  path = written(tmp_path / "r.jsonl", ONE)
  path.write_text(path.read_text() + line + "\n")
  with pytest.raises(ValueError, match=told):
    read(path)


def test_a_folder_without_records_is_told(tmp_path):
  with pytest.raises(FileNotFoundError, match="does not exist; give the fold"):
    read(tmp_path / "r.jsonl")
  (tmp_path / "r.jsonl").touch()
  with pytest.raises(ValueError, match="line 1 is not JSON"):
    read(tmp_path / "r.jsonl")
