"""The page of an evaluation, and what it says of problems."""

import json
import re

import pytest

from rlvr_jax.evaluation import figures, notable, page, summary
from rlvr_jax.evaluation.records import Record
from rlvr_jax.report import style

EVIL = "<script>alert('x')</script> & </pre>"
HEADER = {"model": "<b>policy</b>", "samples": 4, "temperature": 0.6}


def record(id, answers, right, source="aime", **more):
  n = len(answers)
  prompt = more.pop("prompt", f"{id}?")
  each = dict(
    tokens=[10] * n, truncated=[False] * n, entropy=[0.5] * n, texts=[EVIL]
  )
  return Record(source, id, prompt, "4", list(answers), right, **each | more)


YES, NO = True, False
RECORDS = [
  record("solved", "4444", [YES] * 4),
  record("half", "4456", [YES, YES, NO, NO], source="<amc>"),
  record("vote", "4455", [YES, YES, NO, NO], source="<amc>"),
  record("sure", "5556", [NO] * 4, prompt="sure of a mistake " + EVIL),
  record("lost", ["5", "6", "7", None], [NO] * 4, truncated=[YES] * 4),
  record("once", "4567", [YES, NO, NO, None], texts=["right one", "wrong one"]),
  record("dark", [None] * 4, [None] * 4),
]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
  folder = tmp_path_factory.mktemp("evaluation")
  path, table = page.write(HEADER, RECORDS, (1, 2, 4), folder)
  return path, path.read_text(), table


def sections(text):
  parts = re.split(r"<h2>([^<]+)</h2>", text)
  return dict(zip(parts[1::2], parts[2::2]))


def test_every_part_of_the_page_is_there_in_order(written):
  _, text, _ = written
  found = sections(text)
  assert list(found) == [
    "Summary",
    "Figures",
    "Hardest problems",
    "Most split problems",
    "Settings",
  ]
  assert re.findall(r'<img [^>]*alt="([^"]+)"', found["Figures"]) == [
    "Problems solved within k samples",
    "How often problems are solved",
    "Length of right and wrong responses",
  ]
  assert "7 problems, 4 samples of each" in text
  assert found["Hardest problems"].count("<details") == 5
  assert found["Most split problems"].count("<details") == 3
  assert "&#34;temperature&#34;: 0.6" in found["Settings"]


@pytest.mark.parametrize("length", [4, 20, 35])
def test_the_legend_of_many_data_sets_is_not_cut(tmp_path, monkeypatch, length):
  drawn, png = [], style.png
  monkeypatch.setattr(style, "png", lambda f: drawn.append(f) or png(f))
  names = [f"{i}".ljust(length, "a") for i in range(7)]
  records = [RECORDS[0]._replace(source=name) for name in names]
  page.write(HEADER, records, (1,), tmp_path)
  for figure in drawn:
    for legend in figure.legends:
      assert legend.get_window_extent().x1 <= figure.bbox.x1


def test_what_a_model_wrote_is_text_and_nothing_else(written):
  _, text, _ = written
  assert text.count("<script>") == 1  # that which sorts the table
  assert "<b>" not in text and "<amc>" not in text
  assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp;" in text
  assert "<title>&lt;b&gt;policy&lt;/b&gt;</title>" in text


def test_the_page_asks_nothing_of_the_network(written):
  _, text, _ = written
  for sign in ("://", "<link", "@import", "url(", 'src="/', "fetch("):
    assert sign not in text


def test_the_table_has_a_line_for_each_source_and_for_all(written):
  _, text, table = written
  table, _ = table.split("\n\n")
  lines = [line.split("|")[1].strip() for line in table.splitlines()]
  assert lines[2:] == ["aime", "<amc>", figures.MEAN, figures.ALL]
  rows = summary.text(figures.table(RECORDS, (1, 2, 4)), {})
  assert list(rows[0])[:4] == ["source", "problems", "avg@4", "maj@4"]
  assert rows[1]["avg@4"].startswith("0.500 [0.500, 0.500]")
  # pass@2 of 2 right of 4 is 1 - 1/6.
  assert rows[1]["pass@2"].startswith("0.833 [")
  for cell in [*rows[1].values()][1:]:
    assert f"<td>{cell.split(' [')[0]}<" in text


def test_figures_over_fewer_problems_are_named(written):
  _, text, table = written
  told = re.findall(r"<li><strong>(.*?)</strong>: (.*?);", text)
  # "dark" has no sample that is known, "once" has three.
  most = "avg@4, maj@4, pass@2, distinct answers and answer entropy are over"
  assert told == [
    ("aime", f"{most} 4 of 5 problems"),
    ("aime", "pass@4 is over 3 of 5 problems"),
    (figures.MEAN, f"{most} 6 of 7 problems"),
    (figures.MEAN, "pass@4 is over 5 of 7 problems"),
    (figures.ALL, f"{most} 6 of 7 problems"),
    (figures.ALL, "pass@4 is over 5 of 7 problems"),
  ]
  assert all(f"- {source}: {said};" in table for source, said in told)


def test_figures_and_table_lie_beside_the_page(written):
  path, _, table = written
  names = {p.name for p in (path.parent / "figures").iterdir()}
  assert names == {"pass-at-k.png", "accuracy.png", "length.png"}
  assert (path.parent / "summary.md").read_text() == table + "\n"
  numbers = json.loads((path.parent / "figures.json").read_text())
  assert numbers["<amc>"]["avg@4"] == {
    "value": 0.5, "low": 0.5, "high": 0.5, "problems": 2
  }  # fmt: skip
  assert numbers["aime"]["pass@4"]["problems"] == 3


def test_the_same_records_give_the_same_page(written, tmp_path):
  path, text, _ = written
  again, _ = page.write(HEADER, RECORDS, (1, 2, 4), tmp_path / "new")
  assert again.read_text() == text


def test_records_of_which_nothing_is_known_still_make_a_page(tmp_path):
  path, _ = page.write({}, [RECORDS[-1]], (1, 4), tmp_path)
  text = path.read_text()
  assert "No sample is known to be wrong" in text
  numbers = json.loads((tmp_path / "figures.json").read_text())
  assert numbers["aime"]["avg@4"]["value"] is None
  assert f"<td>{summary.NOTHING}</td>" in text


def test_odd_text_makes_no_page_fail(tmp_path):
  odd = record("$x_1 & $ \ud800", "5555", [NO] * 4, source="_$a")
  text = page.write({}, [odd], (1,), tmp_path)[0].read_text()
  assert "$x_1 &amp; $ ?" in text


def test_the_hardest_are_those_least_solved_and_surest_of_their_mistake():
  shown = notable.hardest(RECORDS)
  assert [s.id for s in shown] == ["sure", "lost", "once", "vote", "half"]
  assert [s.id for s in notable.hardest(RECORDS, 2)] == ["sure", "lost"]
  sure, lost, once, *_ = shown
  assert sure.wrong == [("5", 3), ("6", 1)]
  assert lost.example_truncated and not sure.example_truncated
  # An unknown sample does not count, and the wrong response is shown.
  assert (once.right, once.known, once.samples) == (1, 3, 4)
  assert (once.example, once.example_right) == ("wrong one", False)


def test_the_most_split_are_nearest_to_half_and_then_most_varied():
  # 4 4 5 6 has more entropy than 4 4 5 5.
  shown = notable.most_split(RECORDS)
  assert [s.id for s in shown] == ["half", "vote", "once"]
  assert shown[0].answer_entropy > shown[1].answer_entropy


def test_a_problem_without_kept_responses_has_no_example(tmp_path):
  bare = [r._replace(texts=[]) for r in RECORDS]
  assert all(s.example is None for s in notable.hardest(bare))
  text = page.write({}, bare, (1,), tmp_path)[0].read_text()
  assert "ask for some with --keep_text" in text


def test_long_texts_lose_their_middle():
  text = "a" * 5000 + "b" * 5000
  short = notable.shorter(text, 3000)
  assert short.startswith("a" * 1000 + "\n") and short.endswith("b" * 2000)
  assert "7,000 characters left out" in short
  assert notable.shorter("abc", 3) == "abc"


def test_colours_are_those_of_the_report(written):
  _, text, _ = written
  for colour in style.colours(["aime", "<amc>"]).values():
    assert f"background: {colour}" in text
