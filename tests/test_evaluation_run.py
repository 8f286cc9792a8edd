"""An evaluation from model to records, killed and batched in any way."""

import collections
import copy
import dataclasses
import functools
import math
import pathlib
import tempfile

import jax
import pytest
from hypothesis import given
from hypothesis import strategies as st

import exam
from rlvr_jax import tasks
from rlvr_jax.evaluation.batches import batches
from rlvr_jax.evaluation.examiner import Examiner, How
from rlvr_jax.evaluation.records import FILE, Log
from rlvr_jax.evaluation.run import Evaluation
from rlvr_jax.kernels.sharded import Layout
from rlvr_jax.models import Transformer
from rlvr_jax.models import mesh as mesh_lib

pytestmark = pytest.mark.usefixtures("quick_compile")


@st.composite
def plans(draw):
  widths = draw(st.lists(st.sampled_from([16, 32]), min_size=1, max_size=9))
  parts = draw(st.integers(1, 3))
  samples, more = draw(st.integers(1, 6)), draw(st.integers(0, 20))
  return widths, samples, draw(st.sampled_from([0, parts + more])), parts


@given(plans())
def test_batches_hold_every_sample_once_in_shapes_that_fit(plan):
  widths, samples, rows, parts = plan
  count = collections.Counter()
  last = {}
  for batch in batches(widths, samples, rows, parts):
    assert 0 < len(batch.pieces) <= batch.prompts
    assert batch.prompts % parts == 0
    assert not rows or batch.prompts * batch.per_prompt <= rows
    for problem, first in batch.pieces:
      assert widths[problem] == batch.width
      assert last.get(problem, 0) == first  # one after the other
      last[problem] = first + batch.per_prompt
      count.update((problem, first + i) for i in range(batch.per_prompt))
  every = {(p, s) for p in range(len(widths)) for s in range(samples)}
  assert count.keys() == every and set(count.values()) == {1}


@given(plans())
def test_batches_of_one_width_have_one_shape_and_are_about_equally_full(plan):
  widths, samples, rows, parts = plan
  found = batches(widths, samples, rows, parts)
  assert [b.width for b in found] == sorted(b.width for b in found)[::-1]
  for width in set(widths):
    its = [b for b in found if b.width == width]
    assert len({(b.prompts, b.per_prompt) for b in its}) == 1
    empty = sum(b.prompts - len(b.pieces) for b in its)
    assert empty < parts * len(its)


def test_fewer_rows_than_devices_are_refused():
  with pytest.raises(ValueError, match="rows = 3 must be at least 4"):
    examiner(HOW._replace(rows=3), devices=4)


HOW = How(samples=4, length=5, widths=(4, 3), temperature=1.2, rows=8, texts=4)
ONE_WIDTH = HOW._replace(widths=(4,))  # less to compile
HEADER = {"model": "random", "samples": 4}


@functools.cache
def examiner(how, devices=1):
  mesh = mesh_lib.make_mesh(devices=jax.devices()[:devices])
  return Examiner(exam.TASK, Transformer(exam.SIZES, Layout(mesh)), how, mesh)


def of_task(task, how=HOW):
  """An examiner of another task with the programs that are compiled."""
  made = copy.copy(examiner(how))
  made.task = task
  return made


def evaluate(folder, asks=None, seed=0, weights=None):
  log = Log(folder / FILE, HEADER)
  try:
    evaluation = Evaluation(asks or examiner(HOW), log)
    return evaluation.run(weights or exam.params(), seed)
  finally:
    log.close()


def killed(folder, after, how):
  """An evaluation that dies while it grades a response."""
  left = iter(range(after))

  def dying(problem, text):
    if next(left, None) is None:
      raise KeyboardInterrupt
    return exam.grade(problem, text)

  with pytest.raises(KeyboardInterrupt):
    evaluate(
      folder,
      of_task(dataclasses.replace(exam.TASK, grade=tasks.each(dying)), how),
    )


def sampled(records):
  """What was sampled, by problem; entropies but for rounding."""
  return {
    r.name: (r.texts, r.tokens, r.truncated, [round(e, 2) for e in r.entropy])
    for r in records
  }


@functools.cache
def peace(how):
  """The file of an evaluation that was left alone."""
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    evaluate(folder, examiner(how))
    return (folder / FILE).read_bytes()


FEW = HOW._replace(rows=2)  # a problem takes two batches


@pytest.mark.parametrize("how", [HOW, FEW], ids=["rows 8", "rows 2"])
@pytest.mark.parametrize("after", [0, 9, 14, 23])
def test_a_killed_evaluation_ends_with_the_same_bytes(tmp_path, how, after):
  killed(tmp_path, after, how)
  held = (tmp_path / FILE).read_bytes()
  assert held != peace(how) and peace(how).startswith(held)
  evaluate(tmp_path, examiner(how))
  assert (tmp_path / FILE).read_bytes() == peace(how)


@pytest.mark.parametrize("cut", range(100, 2000, 333))
def test_a_file_cut_anywhere_is_made_whole(tmp_path, cut):
  (tmp_path / FILE).write_bytes(peace(FEW)[:-cut])
  evaluate(tmp_path, examiner(FEW))
  assert (tmp_path / FILE).read_bytes() == peace(FEW)


def test_a_finished_evaluation_asks_nothing(tmp_path):
  first = evaluate(tmp_path)
  nothing = {"weights": "none"}  # which would fail if something were sampled
  assert evaluate(tmp_path, weights=nothing) == first


def test_a_sample_depends_on_its_problem_and_number_alone(tmp_path):
  plain = sampled(evaluate(tmp_path / "plain"))
  texts = {tuple(texts) for texts, *_ in plain.values()}
  assert len(texts) == len(exam.PROBLEMS)
  for name, how in {"few": FEW, "all": ONE_WIDTH._replace(rows=0)}.items():
    assert sampled(evaluate(tmp_path / name, examiner(how))) == plain
  other = dataclasses.replace(exam.TASK, evaluation=exam.PROBLEMS[:2:-1])
  part = sampled(evaluate(tmp_path / "part", of_task(other)))
  assert part == {name: plain[name] for name in part} and len(part) == 3
  assert sampled(evaluate(tmp_path / "seed", seed=1)) != plain


def test_devices_change_no_sample(tmp_path):
  four = examiner(ONE_WIDTH, devices=4)
  spread = jax.device_put(
    exam.params(), mesh_lib.shardings(exam.params(), four.mesh)
  )
  found = evaluate(tmp_path / "four", four, weights=spread)
  assert sampled(found) == sampled(evaluate(tmp_path / "one"))


def test_fewer_samples_are_the_first_of_more(tmp_path):
  two = examiner(ONE_WIDTH._replace(samples=2))
  many = {r.name: r.texts for r in evaluate(tmp_path / "4")}
  for few in evaluate(tmp_path / "2", two):
    assert few.texts == many[few.name][:2]


def test_a_record_says_what_was_asked_and_what_came_back(tmp_path):
  records = evaluate(tmp_path)
  assert {r.name for r in records} == {f"signs/{i}" for i in range(6)}
  assert {r.prompt for r in records} == {p.asked for p in exam.PROBLEMS}
  ended = set()
  for r in records:
    verdicts = [exam.grade(None, text) for text in r.texts]
    assert r.right == [v if v is None else v == 1 for v in verdicts]
    assert r.answers == [text[:1] or None for text in r.texts]
    for text, tokens, cut in zip(r.texts, r.tokens, r.truncated):
      ended.add(not cut)
      # Padding may be sampled, and is no text.
      assert len(text) + (not cut) <= tokens <= 5 and (tokens == 5 or not cut)
    assert all(0 < e < math.log(14) for e in r.entropy)
  assert {None, True, False} == {v for r in records for v in r.right}
  assert ended == {True, False}


def test_only_as_many_texts_are_kept_as_asked(tmp_path):
  one = of_task(exam.TASK)
  one.how = HOW._replace(texts=1)
  assert all(len(r.texts) == 1 for r in evaluate(tmp_path, one))


def test_a_policy_that_knows_nothing_has_the_entropy_of_its_vocabulary(
  tmp_path,
):
  flat = jax.tree.map(lambda x: 0 * x, exam.params())
  records = evaluate(tmp_path, weights=flat)
  ln = pytest.approx(math.log(14), abs=1e-4)
  assert all(e == ln for r in records for e in r.entropy)


def test_records_of_other_problems_are_refused(tmp_path):
  evaluate(tmp_path)
  changed = [p._replace(answer="5") for p in exam.PROBLEMS]
  for problems in (exam.PROBLEMS[:3], changed):
    other = of_task(dataclasses.replace(exam.TASK, evaluation=problems))
    with pytest.raises(ValueError, match="use another folder, or the data of"):
      evaluate(tmp_path, other)


def test_two_problems_of_one_name_are_refused(tmp_path):
  twice = [p._replace(id="same") for p in exam.PROBLEMS[:2]]
  other = of_task(dataclasses.replace(exam.TASK, evaluation=twice))
  with pytest.raises(ValueError, match="0 and 1 are both called 'signs/same'"):
    evaluate(tmp_path, other)
