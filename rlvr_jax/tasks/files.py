"""The task "files": problems of datasets, for a pretrained model."""

import functools
import os

from rlvr_jax.tasks import chat, filters, selection, sources
from rlvr_jax.tasks.base import Problem, Task
from rlvr_jax.tasks.files_options import FilesOptions
from rlvr_jax.tasks.order import Part
from rlvr_jax.tasks.style import Style

Asked = tuple[Problem, int]  # with the tokens of its prompt


def files_task(
  tokenizer: chat.ChatTokenizer,
  options: FilesOptions,
  grading: Style,
  data_dir: str | os.PathLike[str] | None = None,
  measured: selection.Found | None = None,
  labelled: bool = True,
) -> Task:
  """Returns the problems of datasets as a task.

  A question comes once in all datasets to learn from and once in each to
  measure on. The log tells which rows were dropped, and why.

  Args:
    tokenizer: of the model.
    options: of the task.
    grading: of answers.
    data_dir: where TFDS keeps datasets; None is its own default.
    measured: what `to_measure_on` returned, for who wants its report too.
    labelled: False reads no reference answers of what is learned from.

  Returns:
    The task, its prompts rendered. Every problem has the name of its dataset
    and its id there. There are no demonstrations, and no room for a response
    that the datasets could tell.

  Raises:
    ValueError: a dataset cannot be read, or nothing of it is kept.
    ImportError: reasoning-gym is not installed.
  """
  common = _common(tokenizer, options, grading, data_dir)
  if measured is None:
    measured = to_measure_on(tokenizer, options, grading, data_dir)
  held_out = selection.held_out_of(measured, options.ngram)
  if not labelled:
    common = _without_answers(common)
  learned = selection.to_learn_from(options.train, held_out=held_out, **common)
  learned.check_left(options.train)
  learned.log("problems to learn from")
  evaluation = [_asked(kept) for part in measured.parts for kept in part]
  flat = [_asked(kept) for part in learned.parts for kept in part]
  sizes = [len(part) for part in learned.parts]
  return Task(
    name="files",
    train=_numbered(flat),
    evaluation=_numbered(evaluation),
    tokenizer=tokenizer,
    grade=grading.grade,
    extract=grading.extract,
    agree=grading.agree,
    bounds=grading.bounds,
    max_prompt_length=max(length for _, length in flat + evaluation),
    max_response_length=0,
    mixture=tuple(map(Part, sizes, options.train_weights)),
  )


def to_measure_on(
  tokenizer: chat.ChatTokenizer,
  options: FilesOptions,
  grading: Style,
  data_dir: str | os.PathLike[str] | None = None,
) -> selection.Found:
  """Returns what is kept of the datasets to measure on, and what is not.

  Args and errors are those of `files_task`.
  """
  common = _common(tokenizer, options, grading, data_dir)
  measured = selection.to_measure_on(options.evaluation, **common)
  measured.check_left(options.evaluation)
  measured.log("problems to measure on")
  return measured


def _common(
  tokenizer: chat.ChatTokenizer,
  options: FilesOptions,
  grading: Style,
  data_dir: str | os.PathLike[str] | None,
) -> dict[str, object]:
  """What both kinds of datasets are read and kept by."""
  rows = functools.partial(
    sources.read,
    columns=options.columns,
    reference=grading.reference,
    data_dir=data_dir,
  )
  keep = _keep(tokenizer, options, grading)
  return dict(keep=keep, rows=rows, seed=options.seed)


def _without_answers(common: dict[str, object]) -> dict[str, object]:
  """The same for datasets whose reference answers nobody reads."""
  return common | dict(
    keep=functools.partial(common["keep"], answered=False),
    rows=functools.partial(common["rows"], answers="none"),
  )


def _keep(
  tokenizer: chat.ChatTokenizer, options: FilesOptions, grading: Style
) -> selection.Keep:
  write = functools.partial(
    render,
    tokenizer,
    instruction=options.instruction,
    system=options.system,
    thinking=options.thinking,
    template=options.template,
  )
  return functools.partial(
    filters.Filter,
    render=write,
    count=lambda prompt: len(tokenizer.encode(prompt)),
    check=grading.check,
    longest=options.max_prompt,
    unparsable=options.unparsable,
  )


def render(
  tokenizer: chat.ChatTokenizer,
  row: sources.Row,
  *,
  instruction: str,
  system: str,
  thinking: bool | None,
  template: str,
) -> str:
  """Returns the prompt of a row; for the options see `FilesOptions`."""
  return tokenizer.render(
    chat.instructed(row.messages, instruction),
    system=system or None,
    thinking=thinking,
    template=template,
  )


def _asked(kept: filters.Kept) -> Asked:
  row = kept.row
  problem = Problem(
    kept.prompt, row.answer, (), 0, row.source, row.id, row.question
  )
  return problem, kept.length


def _numbered(asked: list[Asked]) -> list[Problem]:
  return [p._replace(index=index) for index, (p, _) in enumerate(asked)]
