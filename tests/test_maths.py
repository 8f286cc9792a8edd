"""Verification of mathematics: right, wrong, unknown, and never harmful."""

import importlib.util
import resource
import time

import pytest

from rlvr_jax import verify
from rlvr_jax.verify import canonical, maths

SECONDS = 0.5  # of processor time
SLOW = "x^{" * 30 + "2" + "}" * 30  # to parse
TOWER = r"\dfrac{5^{(5^{(5^{(5^5)})} - 4)} - 5}{16}"


@pytest.fixture(scope="module")
def verifier():
  pytest.importorskip("math_verify")
  with verify.MathVerifier(workers=2, seconds=SECONDS) as made:
    yield made


def boxed(*answers):
  return [rf"so it is \boxed{{{answer}}}." for answer in answers]


@pytest.mark.parametrize(
  "reference, right",
  [
    (
      "42",
      ["42", "42.0", r"\frac{84}{2}", r"2\cdot 21", "6 \\times 7", "x=42"],
    ),
    (r"\frac{1}{2}", ["0.5", "1/2", r"2^{-1}", r"\sin(\pi/6)", r"50\%"]),
    ("62.5%", ["62.5", r"62.5\%", "5/8"]),
    (r"2\sqrt{2}", [r"\sqrt8", r"\sqrt{8}", r"\frac{4}{\sqrt{2}}"]),
    ("(x+1)^2", ["x^2+2x+1", "(1+x)^2", r"(x+1)\cdot(x+1)"]),
    ("y=-2x", ["-2x", "y = -2x", "y=-x-x"]),
    (r"\{1, 2\}", ["2,1", r"\{2,1\}", r"\{1, \frac{4}{2}\}"]),
    ("(1,2]", [r"\left(1, 2\right]", r"(1, \sqrt{4}]"]),
    ("3-2i", ["-2i+3", "1+2-2i"]),
    (
      r"\begin{pmatrix}1\\2\end{pmatrix}",
      [r"\begin{pmatrix}1\\4/2\end{pmatrix}"],
    ),
    ("Evelyn", ["evelyn", r"\text{Evelyn}"]),
    ("(B)", ["B", r"\text{(B)}"]),
    ("1024", ["2^{10}"]),
  ],
)
def test_equal_answers_are_right_whichever_is_the_reference(
  verifier, reference, right
):
  verdicts = verifier.verify([reference] * len(right), boxed(*right))
  assert dict(zip(right, verdicts)) == dict.fromkeys(right, True)
  assert verifier.verify(right, boxed(reference) * len(right)) == verdicts


@pytest.mark.parametrize(
  "reference, wrong",
  [
    ("42", ["43", "4.2", "42i", "42x", r"42\sqrt{2}", "41,42", "(42,42)"]),
    (r"\frac{1}{2}", ["2", "-0.5", "1,2", r"5\%", "0.5001"]),
    ("1/3", ["0.333", "0.33"]),
    (r"2\sqrt{2}", ["2.8", r"\sqrt{6}", r"2\sqrt{3}"]),
    ("(x+1)^2", ["x^2+1", "x^2+2x", "(y+1)^2"]),
    ("(1,2)", ["(2,1)", "[1,2]", "(1,2,3)"]),
    ("x=5", ["y=5", "6"]),
    ("5", ["", " ", r"\text{}", "nan", r"\infty", "five", "?", r"\frac{5}"]),
    ("12", ["\u0661\u0662", "\uff11\uff12", "1 2", "1_2"]),
  ],
)
def test_other_answers_are_wrong_whichever_is_the_reference(
  verifier, reference, wrong
):
  verdicts = verifier.verify([reference] * len(wrong), boxed(*wrong))
  assert dict(zip(wrong, verdicts)) == dict.fromkeys(wrong, False)
  written = [answer for answer in wrong if canonical.key(answer)]
  assert not any(verifier.verify(written, boxed(reference) * len(written)))


def test_only_the_last_box_counts(verifier):
  texts = [r"\boxed{5} or \boxed{6}", r"\boxed{6}\boxed{5}", r"\boxed{5,6}"]
  assert verifier.verify(["5"] * 3, texts) == [False, True, False]


def test_a_response_without_an_answer_is_wrong_and_a_guess_only_if_strict():
  pytest.importorskip("math_verify")
  with verify.MathVerifier() as strict, verify.MathVerifier(False) as lenient:
    assert strict.verify(["5"], ["it must be 5"]) == [False]
    assert lenient.verify(["5"], ["it must be 5"]) == [True]
    assert (strict.extract("it is 5"), lenient.extract("it is 5")) == (
      None,
      "5",
    )


def test_canonical_answers_of_responses_count_distinct_answers(verifier):
  texts = [*boxed("1/2", "0.5", r"\frac12", "2", ""), "none"]
  found = [verifier.extract(text) for text in texts]
  assert found == ["1/2", "1/2", "1/2", "2", None, None]


HOSTILE = [
  *(TOWER, r"10^{10^{10}}", "9^{9^{9^9}}", "99999999!", "1000000!"),
  *("9**9**9", "1e9999999", "1e400", r"\binom{10^9}{10^8}"),
  *(
    "$" + "{" * 5000 + "$",
    "{" * 400,
    "(a+)+" * 60,
    "(" * 400,
    "-" * 400 + "1",
  ),
  *("(" * 32 + "1+x" + ")" * 32, SLOW),
  *("9" * 511, "9" * 5000, "1" * 200_000, r"\sum_{k=1}^{10^{9}} k^{k}"),
  *(
    r"\boxed{" * 2000 + "5" * 2 + "}" * 2000,
    r"\boxed{",
    "5\x00",
    "\ud800",
    "\u202e6",
  ),
  "__import__('os').system('touch CANARY')",
  "__import__('pathlib').Path('CANARY').touch()",
  r"\text{__import__('os').system('touch CANARY')}",
  r"\operatorname{exec}(open('CANARY','w'))",
  "exec(\"open('CANARY', 'w')\")",
  "eval('9**9**9')",
  "sin(__import__('os').system('touch CANARY'))",
]


def test_hostile_answers_are_never_right_run_nothing_and_harm_no_other(
  verifier, tmp_path
):
  canary = tmp_path / "canary"
  texts = boxed(*(h.replace("CANARY", str(canary)) for h in HOSTILE))
  mixed = [text for hostile in texts for text in (*boxed("5"), hostile)]
  verdicts = verifier.verify(["5"] * len(mixed), mixed)
  assert verdicts[::2] == [True] * len(HOSTILE)
  for hostile, verdict in zip(HOSTILE, verdicts[1::2]):
    assert verdict in (False, None), hostile
  assert not canary.exists()


@pytest.mark.parametrize("size", [10_000, 200_000])
def test_answers_that_are_too_large_are_wrong_at_once(verifier, size):
  texts = boxed("x" * size, "9" * size, "(" * size, "{" * size)
  began = time.process_time()
  assert verifier.verify(["5"] * 4, texts) == [False] * 4
  assert time.process_time() - began < 0.05


def test_a_comparison_that_takes_too_long_is_unknown_and_the_batch_in_order(
  verifier,
):
  answers = ["x+x", TOWER, "2x+1", "99999999!+x", "3x-x"]
  verdicts = verifier.verify(["2x"] * 5, boxed(*answers))
  assert verdicts[0] is verdicts[4] is True
  assert verdicts[2] is False
  assert verdicts[1] is verdicts[3] is None


def test_each_pair_is_compared_once_and_numbers_never(verifier, monkeypatch):
  asked = []

  def compare(jobs):
    asked.extend(jobs)
    return [False] * len(jobs)

  monkeypatch.setattr(verifier._pool, "map", compare)
  texts = boxed("7", "x+1", "x+1", "8", "1+x", "y", "") * 100
  verifier.verify(["7", "1+x", "1+x", "9", "1+x", "1+x", "y"] * 100, texts)
  assert asked == [["1+x", "x+1"], ["1+x", "y"]]


def test_references_are_checked_when_data_are_loaded(verifier):
  good = ["5", "1,000", "(1,2]", r"\frac{\sqrt{3}}{2}", "y=-2x", "Evelyn"]
  assert verifier.check_references(good) == [None] * len(good)
  assert verifier.verify(good, boxed(*good)) == [True] * len(good)
  bad = {
    "$$": "empty",
    "x" * 513: "512 characters",
    r"\frac{1}{": "cannot parse",
    SLOW: "takes too long",
  }
  told = verifier.check_references([*bad, *good])
  assert told[len(bad) :] == [None] * len(good)
  for why, part in zip(told, bad.values()):
    assert part in why


def test_a_worker_starts_in_little_time():
  pytest.importorskip("math_verify")
  before = resource.getrusage(resource.RUSAGE_CHILDREN)
  with verify.MathVerifier(workers=1) as verifier:
    assert verifier.verify(["x+1"], boxed("1+x")) == [True]
  after = resource.getrusage(resource.RUSAGE_CHILDREN)
  used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
  assert used < 3  # of which computer algebra takes 0.6 to load


def test_no_text_is_run_as_python_by_whatever_path(tmp_path):
  pytest.importorskip("math_verify")
  script = tmp_path / "script.py"
  script.write_text(f"""
import importlib.util, sympy
path = {str(maths._ALGEBRA)!r}
spec = importlib.util.spec_from_file_location("algebra", path)
spec.loader.exec_module(importlib.util.module_from_spec(spec))
judge = lambda text: bool(sympy.sympify(text) is not None)
""")
  texts = ["12", "1.5", "__import__('os').getpid()", "sin(1)", "(1).__class__"]
  with verify.Pool(script, workers=1) as pool:
    verdicts = pool.map([[text] for text in texts])
  assert verdicts == [True, True, None, None, None]


def test_unequal_lengths_are_refused(verifier):
  with pytest.raises(ValueError, match="shorter|longer"):
    verifier.verify(["5"], boxed("5", "6"))


def test_without_math_verify_the_error_says_how_to_install_it(monkeypatch):
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
  with pytest.raises(ImportError, match=r"pip install rlvr_jax\[verify\]"):
    verify.MathVerifier()
