"""Datasets graded by other styles than mathematics, from file to reward."""

import json

import pytest

import folders
from rlvr_jax import tasks
from rlvr_jax.tasks import sources

NO_COMMA = ("punctuation:no_comma", {})
TITLE = ("detectable_format:title", {})
# Tables have a column for every argument of any kind.
FEW = (
  "length_constraints:number_words",
  dict(num_words=3, relation="less than"),
)


def row(question, *instructions, key=0):
  """A row as IFEval's files have it."""
  return dict(
    key=key,
    prompt=question,
    instruction_id_list=[name for name, _ in instructions],
    kwargs=[dict(keywords=None) | given for _, given in instructions],
  )


def jsonl(path, rows):
  path.write_text("".join(json.dumps(row) + "\n" for row in rows))
  return str(path)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
  return tasks.HFTokenizer(folders.chatml(tmp_path_factory.mktemp("chatml")))


IFEVAL = dict(prompt="prompt", answer="instruction_id_list+kwargs", id="key")


def load(tokenizer, path, **options):
  options = dict(columns=IFEVAL, style="instructions") | options
  return tasks.load("files", tokenizer=tokenizer, evaluation=(path,), **options)


def rewards(task, *texts):
  graded = tasks.grade(task, task.evaluation[:1] * len(texts), texts)
  assert graded.known.all() and set(graded.answers) == {None}
  return graded.reward.tolist()


def test_rows_of_ifeval_are_graded_strictly_loosely_or_by_share(
  tokenizer, tmp_path
):
  path = jsonl(tmp_path / "a.jsonl", [row("Write.", NO_COMMA, TITLE, key=7)])
  texts = ["<<a>> b", "Sure, so:\n<<a>> b", "a b", "a, b", ""]
  assert load(tokenizer, path).evaluation[0].id == "7"
  found = {
    style: rewards(load(tokenizer, path, style=style), *texts)
    for style in ("instructions", "instructions_loose", "instructions_dense")
  }
  assert found == {
    "instructions": [1, 0, 0, 0, 0],
    "instructions_loose": [1, 1, 0, 0, 0],
    "instructions_dense": [1, 0.5, 0.5, 0, 0],
  }


def test_thoughts_follow_and_break_no_instruction(tokenizer, tmp_path):
  path = jsonl(tmp_path / "a.jsonl", [row("Write.", NO_COMMA, FEW)])
  texts = ["<think>a, b, c</think>d", "<think>a b", "<think>", "a b c"]
  assert rewards(load(tokenizer, path), *texts) == [1, 0, 0, 0]


def test_thoughts_that_the_prompt_began_are_thoughts(tokenizer, tmp_path):
  path = jsonl(tmp_path / "a.jsonl", [row("Write.", NO_COMMA)])
  task = load(tokenizer, path)
  begun = task.evaluation[0]
  begun = begun._replace(prompt=begun.prompt + "<think>\n")
  assert task.grade([begun] * 2, ["a, b</think>c", "a b"]) == [1, 0]


def test_instructions_may_stand_in_one_column_as_text_or_as_a_list(
  tokenizer, tmp_path
):
  both = [["punctuation:no_comma"], [{}]]
  for column in (both, json.dumps(both)):
    path = jsonl(tmp_path / "a.jsonl", [dict(prompt="Write.", asked=column)])
    columns = dict(prompt="prompt", answer="asked")
    assert rewards(load(tokenizer, path, columns=columns), "a", "a, b") == [
      1,
      0,
    ]


@pytest.mark.parametrize(
  ("asked", "message"),
  [
    (("punctuation:no_coma", {}), "nearest is 'punctuation:no_comma'"),
    (("keywords:existence", {}), r"takes \['keywords'\]"),
  ],
)
def test_an_instruction_that_cannot_be_checked_names_the_row(
  asked, message, tokenizer, tmp_path
):
  path = jsonl(
    tmp_path / "a.jsonl", [row("a", NO_COMMA), row("b", asked, key=1)]
  )
  with pytest.raises(ValueError, match=f"line 2.*{message}"):
    load(tokenizer, path)
  task = load(tokenizer, path, unparsable="drop")
  assert [p.question for p in task.evaluation] == ["a"]


def test_columns_that_are_taken_together_must_all_be_there(tmp_path):
  path = jsonl(tmp_path / "a.jsonl", [dict(prompt="q", a=[1], c=3)])
  read = lambda answer, reference="json": list(
    sources.read(
      path, dict(prompt="prompt", answer=answer), reference=reference
    )
  )
  assert read("a+c")[0].answer == "[[1], 3]"
  assert read("a+b|c+a")[0].answer == "[3, [1]]"
  with pytest.raises(ValueError, match=r"nothing under 'a\+b'"):
    read("a+b")
  # Mathematics takes no lists for answers.
  with pytest.raises(ValueError, match="must be text or a number"):
    read("a+c", "text")


def test_rows_of_light_if_earn_a_share_of_their_points(tokenizer, tmp_path):
  asked = dict(num_bullets=1, end_phrase="b", max_word_cnt=5)
  asked = dict(source="jqzl-en", query="Write.", jqzl_prompt=asked)
  for truth in (asked, json.dumps(asked)):
    line = dict(prompt="Write.", reward_model=dict(ground_truth=truth))
    path = jsonl(tmp_path / "a.jsonl", [line])
    task = load(tokenizer, path, columns={}, style="light_if")
    texts = ["so</think>\n* a b\n", "so</think>* a", "* a b"]
    assert rewards(task, *texts) == pytest.approx([1, 0.15 / 1.25, 0])


def test_answers_in_words_are_graded_as_by_arpo(tokenizer, tmp_path):
  rows = [dict(prompt="Where?", answer=a) for a in ("Paris", ["no", "Rome"])]
  rows[1]["prompt"] = "And there?"
  path = jsonl(tmp_path / "a.jsonl", rows)
  columns = dict(prompt="prompt", answer="answer")
  task = load(tokenizer, path, columns=columns, style="arpo")
  answer = r"<think>a</think><answer>\boxed{%s}</answer>"
  tools = "<search>a</search><python>b</python><result>c</result>"
  texts = [answer % "Paris!", tools + answer % "paris", answer % "No", "Paris"]
  for problem, want in zip(task.evaluation, ([1, 1.1, 0, -1], [0, 0, 1, -1])):
    graded = tasks.grade(task, [problem] * 4, texts)
    assert graded.reward.tolist() == pytest.approx(want)
    assert graded.answers == ["paris", "paris", "no", None]
  with pytest.raises(ValueError, match="an answer with a word in it"):
    path = jsonl(tmp_path / "b.jsonl", [dict(prompt="a", answer="the")])
    load(tokenizer, path, columns=columns, style="arpo")


def test_questions_of_reasoning_gym_are_files_with_their_own_scorers(tokenizer):
  pytest.importorskip("reasoning_gym")
  task = tasks.load(
    "files",
    tokenizer=tokenizer,
    train=("gym:chain_sum:6",),
    evaluation=("gym:gcd:3",),
    style="gym",
  )
  problems = [*task.train[:3], *task.evaluation]
  right = [json.loads(p.answer)["answer"] for p in problems]
  texts = [f"<answer>{answer}</answer>" for answer in right]
  graded = tasks.grade(task, problems, texts)
  assert graded.reward.tolist() == [1] * len(problems)
  assert graded.answers == right
  with pytest.raises(ValueError, match="'countdown' executes answers"):
    load(tokenizer, "gym:countdown:3", columns={}, style="gym")


def test_a_style_that_nothing_has_is_told():
  with pytest.raises(ValueError, match="style = 'instruction' must be one of"):
    tasks.style_of("instruction")
