"""Rows 28 to 32: answers that loop, eat, crash or lie, in whole batches."""

import dataclasses
import json
import time

import pytest

import folders
from rlvr_jax import tasks
from rlvr_jax.verify import code

HOSTILE = [
  "__import__('os').system('touch CANARY')",
  "exec(\"open('CANARY', 'w')\")",
  "{{''.__class__.__mro__[1].__subclasses__()}}",
  "\\input{/etc/passwd}\\write18{touch CANARY}",
  "$(touch CANARY)`touch CANARY`; touch CANARY",
  "9" * 200_000,
  "\x00" * 1000 + "7",
  "\ud800\udfff7",
  "\u202e7\u202d\u2066\u200f",
  "\\boxed{" * 2000 + "8" + "}" * 2000,
  "{" * 5000 + "}" * 5000,
  "<think>" * 2000 + "</think>" * 1999,
  "(" * 3000 + "7" + ")" * 3000,
  "a" * 50_000 + "!",
  "* " * 50_000,
  "``" * 50_000,
  "1,000," * 20_000,
  "1e9999999",
  "9**9**9",
  "7%" * 500,
  "7" * 511 + "e-7",
  "\\frac" * 2000,
  "9^{9^{9^9}}",
  "99999999!",
  "(a+)+$",
  "\ufeff\ufffe\ufdd0",
]
SURE = 0.05  # seconds of processor time of this process for one text
INSTRUCTION = [
  ["punctuation:no_comma", "detectable_format:title", "keywords:existence"],
  [{}, {}, {"keywords": ["never-there"]}],
]
STYLES = {
  "instructions": json.dumps(INSTRUCTION),
  "instructions_loose": json.dumps(INSTRUCTION),
  "code": json.dumps({"inputs": ["1"], "outputs": ["never-there"]}),
}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
  return tasks.HFTokenizer(folders.chatml(tmp_path_factory.mktemp("chatml")))


def texts(canary):
  """Each bare, in a box, in tags and as a program."""
  forms = ("{}", "\\boxed{{{}}}", "<answer>{}</answer>", "```\n{}\n```")
  hostile = [one.replace("CANARY", str(canary)) for one in HOSTILE]
  return [form.format(one) for one in hostile for form in forms]


@pytest.mark.parametrize("style", STYLES)
def test_no_hostile_text_is_right_runs_or_holds_the_batch_up(
  tokenizer, style, tmp_path
):
  canary, path = tmp_path / "canary", tmp_path / "rows.jsonl"
  row = dict(prompt="?", reward_model=dict(ground_truth=STYLES[style]))
  path.write_text(json.dumps(row))
  programs = "isolated" if style == "code" else "refused"
  task = tasks.load(
    "files",
    tokenizer=tokenizer,
    evaluation=(str(path),),
    style=style,
    programs=programs,
  )
  given = texts(canary)
  # Programs need no whole run of each here: see the rows of the sandbox.
  given = given[3::16] if style == "code" else given
  began = time.process_time()
  graded = tasks.grade(task, task.evaluation * len(given), given)
  assert time.process_time() - began < SURE * len(given)
  assert graded.known.all() and not graded.reward.any()
  assert not canary.exists()


@pytest.fixture(scope="module")
def task(tmp_path_factory):
  folder = tmp_path_factory.mktemp("graders")
  (folder / "unsure.py").write_text(
    "def reward(response, reference):\n"
    "  if 'loop' in response:\n"
    "    raise MemoryError\n"
    "  return 1.0\n"
  )
  with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(folder))
    style = tasks.style_of("python:unsure:reward")
    split = tasks.load("split", data_dir=str(folder))
    yield dataclasses.replace(split, grade=style.grade, extract=style.extract)


@pytest.mark.parametrize(("failed", "stops"), [(1, False), (3, True)])
def test_a_grader_that_fails_on_too_many_answers_stops_the_run(
  task, failed, stops
):
  problems = task.train[:50]
  said = [f"loop {i}" for i in range(failed)] + ["good"] * (50 - failed)
  graded = tasks.grade(task, problems, said)
  assert graded.known.tolist() == [False] * failed + [True] * (50 - failed)
  if not stops:
    tasks.check_known(graded, problems, said)
    return
  with pytest.raises(RuntimeError, match="3 of 50 rewards") as told:
    tasks.check_known(graded, problems, said)
  assert all(f"'loop {i}'" in str(told.value) for i in range(3))


def test_what_a_program_must_print_is_nowhere_in_its_sandbox(tmp_path):
  wanted = "a-secret-output"
  look = (
    "import os, sys\n"
    "names = [os.path.join(f, n) for f, _, ns in os.walk('/tmp') for n in ns]\n"
    "found = [open(name, errors='replace').read() for name in names]\n"
    "given = sys.stdin.read()\n"
    "seen = repr((found, sys.argv, os.environ, given))\n"
    "print('a-secret' + '-output' in seen)"
  )
  tests = json.dumps(dict(inputs=["given"], outputs=["True"]))
  verifier = code.CodeVerifier(code.Limits(deadline=5.0), workers=1)
  secret = json.dumps(dict(inputs=["given"], outputs=[wanted]))
  found = verifier.verify([tests, secret], [f"```\n{look}\n```"] * 2)
  assert found == [False, False]
