"""Programs of responses are graded by running them against tests."""

import contextlib
import json
import os
import resource
import tempfile
import time

import pytest

import folders
from rlvr_jax import tasks
from rlvr_jax.verify import code
from rlvr_jax.verify.code import cases

ADD = "```python\nprint(sum(map(int, input().split())))\n```"
FUNCTION = "```\ndef add(a, b):\n  print('adding')\n  return a + b\n```"
METHOD = "```py\nclass Solution:\n  def add(self, a, b): return a + b\n```"
PRINTED = dict(inputs=["1 2\n", "3 4"], outputs=["3\n", "7"])
CALLED = PRINTED | dict(
  fn_name="add", inputs=[[1, 2], "3\n4"], outputs=[3, "7"]
)


def block(*lines):
  return "\n".join(("```python", *lines, "```"))


@pytest.fixture(scope="module")
def verifier():
  limits = code.Limits(seconds=1, deadline=5.0)
  return code.CodeVerifier(limits, workers=2)


@pytest.mark.parametrize(
  ("text", "program"),
  [
    ("a\n```python\nx = 1\n```\nb", "x = 1"),
    ("```\nfirst\n```\nthen\n``` py\nlast\n\nline\n```", "last\n\nline"),
    ("<think>\n```\ny\n```\n</think>\n```\nx\n```", "x"),
    ("  ```Python3\n  x\n  ```", "  x"),
    ("```python\nx = 1", None),
    ("```python\nx\n```\n```bash\nrm\n```", None),
    ("```\n```", None),
    ("print(1)", None),
    ("", None),
    ("<think>\n```\nx\n```", None),
    ("```\n" + "x" * 70_000 + "\n```", None),
  ],
)
def test_the_program_of_a_response_is_its_last_block(text, program):
  assert code.program_of(text) == program


def test_programs_are_right_wrong_or_unknown_in_their_order(verifier):
  tests = json.dumps(PRINTED)
  texts = {
    ADD: True,
    block("print(3)"): False,
    block("print(int(input().split()[0]) + 2)"): False,
    block("1 / 0"): False,
    block("not python"): False,
    block("x = '\x00\ud800'"): False,
    "no program": False,
  }
  given = [*texts, ADD]
  verdicts = verifier.verify([tests] * len(given), given)
  assert verdicts == [*texts.values(), True]


def test_a_program_that_only_waits_until_its_deadline_is_unknown():
  hurried = code.CodeVerifier(code.Limits(deadline=0.5), workers=1)
  sleep = block("import time", "time.sleep(99)")
  assert hurried.verify([json.dumps(PRINTED)], [sleep]) == [None]


def test_a_response_whose_tests_take_too_long_together_is_unknown():
  counting = code.CodeVerifier(workers=1, budget=0.3)
  tests = json.dumps(dict(inputs=["1 2"] * 1000, outputs=["3"] * 1000))
  start = time.monotonic()
  assert counting.verify([tests], [ADD]) == [None]
  assert time.monotonic() - start < 0.3 + 10.0  # the deadline of one test
  assert counting.verify([tests], [block("print(4)")]) == [False]
  with pytest.raises(ValueError, match="budget = 0 must be above 0"):
    code.CodeVerifier(budget=0)


@contextlib.contextmanager
def descriptors(most):
  """At most so many files may be open, if the machine allows that."""
  soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
  if hard != resource.RLIM_INFINITY and hard < most:
    pytest.skip(f"only {hard} files may be open here")
  resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
  try:
    yield
  finally:
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_machine_without_room_or_descriptors_leaves_the_verdict_unknown(
  verifier, tmp_path, monkeypatch
):
  asked = [json.dumps(PRINTED)], [ADD]
  with descriptors(len(os.listdir("/proc/self/fd"))):
    assert verifier.verify(*asked) == [None]
  monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
  assert verifier.verify(*asked) == [None]


def test_a_trainer_with_more_than_a_thousand_open_files_grades(verifier):
  with descriptors(4096), contextlib.ExitStack() as opened:
    for _ in range(1100):
      opened.enter_context(open(os.devnull))
    assert verifier.verify([json.dumps(PRINTED)], [ADD]) == [True]


@pytest.mark.parametrize(
  ("tests", "right"),
  [
    (CALLED, FUNCTION),
    (CALLED, METHOD),
    (dict(CALLED, outputs=[[3], [7]]), METHOD),
    (dict(input=["1 2"], output=["3"]), ADD),
    ([dict(input="1 2", output="3", testtype="stdin")], ADD),
    ([dict(input="1\n2", output="3", metadata=dict(func_name="add"))], METHOD),
    (["assert add(1, 2) == 3"], FUNCTION),
    (dict(test_list=["assert add(x, 2) == 3"], test_setup_code="x = 1"),
     FUNCTION),
    (dict(assert_case=["assert add(1, 2) == 3"]), FUNCTION),
    (dict(test="def check(f):\n  assert f(1, 2) == 3", entry_point="add"),
     FUNCTION),
  ],
)  # fmt: skip
def test_the_tests_of_every_form_tell_right_from_wrong(verifier, tests, right):
  wrong = right.replace("a + b", "a - b").replace("sum", "max")
  both = verifier.verify([json.dumps(tests)] * 2, [right, wrong])
  assert both == [True, False]


@pytest.mark.parametrize(
  "line",
  ["import sys; sys.exit(0)", "import os; os._exit(0)", "raise SystemExit"],
)
def test_a_program_that_leaves_before_its_asserts_is_wrong(verifier, line):
  tests = json.dumps(["assert False"])
  assert verifier.verify([tests], [block(line)]) == [False]


@pytest.mark.parametrize(
  ("printed", "wanted", "right"),
  [
    ("1  2 \n3\n\n", "1 2\n3", True),
    ("1 2 3", "1 2\n3", False),
    ("0.3333333", "0.33333333", True),
    ("0.3334", "0.33333333", False),
    ("1e-3", "0.001", True),
    ("1.0", "1", False),
    ("nan", "0.5", False),
    ("9" * 5000 + ".5", "0.5", False),
    ("yes", "YES", False),
  ],
)
def test_outputs_are_equal_word_by_word_and_decimals_nearly(
  printed, wanted, right
):
  alike = code.verifier._alike(printed, wanted)
  assert alike == right


@pytest.mark.parametrize(
  ("reference", "told"),
  [
    ("7", "holds no tests"),
    ("{", "no JSON"),
    ("[" * 100_000, "no JSON"),
    ("{}", "holds no tests"),
    ("[]", "holds no tests"),
    ('{"inputs": [], "outputs": []}', "holds no tests"),
    ('{"inputs": ["1"], "outputs": []}', "as many outputs"),
    ('{"inputs": [1], "outputs": ["1"]}', "which is no text"),
    ('{"inputs": ["1"]}', "as many outputs"),
    ('{"inputs": [[1]], "outputs": [1], "fn_name": "f(); x"}', "no name"),
    ('{"inputs": [5], "outputs": [1], "fn_name": "f"}', "no list"),
    ('{"test": "x", "entry_point": "os.system"}', "no name"),
    ('{"test_list": [1]}', "no text"),
    ('[{"input": "1"}]', "has no input and output"),
    ('{"x": "' + "y" * (5 << 20) + '"}', "more than"),
  ],
)
def test_a_reference_without_tests_is_told(reference, told):
  with pytest.raises(ValueError, match=told):
    cases.parse(reference)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
  return tasks.HFTokenizer(folders.chatml(tmp_path_factory.mktemp("chatml")))


@pytest.fixture
def path(tmp_path):
  row = dict(
    prompt="Add two numbers.",
    data_source="apps",
    reward_model=dict(ground_truth=json.dumps(PRINTED)),
  )
  (tmp_path / "rows.jsonl").write_text(json.dumps(row))
  return str(tmp_path / "rows.jsonl")


def load(tokenizer, path, **options):
  return tasks.load("files", tokenizer=tokenizer, evaluation=(path,), **options)


def test_a_dataset_of_programs_is_graded_if_that_is_switched_on(
  tokenizer, path
):
  task = load(tokenizer, path, style="code", programs="isolated")
  graded = tasks.grade(task, task.evaluation * 2, [ADD, "3"])
  assert graded.reward.tolist() == [1, 0] and graded.known.all()


@pytest.mark.parametrize(
  ("options", "told"),
  [
    (dict(style="code"), "only style = 'code' runs what a model writes"),
    (dict(programs="isolated"), "style = 'math' and programs = 'isolated'"),
    (dict(style="code", programs="yes"), "must be one of"),
  ],
)
def test_programs_run_only_if_both_options_say_so(
  tokenizer, path, options, told
):
  with pytest.raises(ValueError, match=told):
    load(tokenizer, path, **options)


def test_mathematics_says_of_tests_what_they_are(tokenizer, path):
  pytest.importorskip("math_verify")
  with pytest.raises(ValueError, match="line 1: .*tests of a program"):
    load(tokenizer, path)
