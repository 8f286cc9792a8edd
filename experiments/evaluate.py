"""Measures a model on problems: avg@k, pass@k, maj@k, lengths, entropy.

python -m experiments.evaluate --model=models/Qwen3-0.6B --samples=32 \
    --data=math500.parquet,aime24.parquet --out=evaluations/qwen3

Stopped at any time, the same command goes on where it was. The figures and the
page of an evaluation that is there, with other k and without a model:

python -m experiments.evaluate --records=evaluations/qwen3 --ks=1,8
"""

import os
from collections.abc import Iterator
from typing import NamedTuple

import jax
from absl import flags

from rlvr_jax import processes, tasks
from rlvr_jax.evaluation import coverage, figures, page
from rlvr_jax.evaluation.examiner import Examiner, How
from rlvr_jax.evaluation.records import FILE, Header, Log, Record, read
from rlvr_jax.evaluation.run import Evaluation, checksum
from rlvr_jax.models import Transformer
from rlvr_jax.models.hf import files
from rlvr_jax.models.mesh import make_mesh
from rlvr_jax.training import command
from rlvr_jax.training import config as config_lib
from rlvr_jax.types import PyTree

_MODEL = flags.DEFINE_string("model", None, "folder in Hugging Face format")
_DATA = flags.DEFINE_list("data", None, "files of problems")
_OUT = flags.DEFINE_string("out", None, "folder to write to")
_RECORDS = flags.DEFINE_string("records", None, "show what a folder holds")
_SAMPLES = flags.DEFINE_integer("samples", 16, "of each problem", 1)
_KS = flags.DEFINE_list("ks", None, "k of pass@k; else the powers of two")
_TEMPERATURE = flags.DEFINE_float("temperature", 0.6, "0: greedy", 0.0)
_TOP_P = flags.DEFINE_float("top_p", 0.95, "mass that is kept", 1e-6, 1.0)
_TOP_K = flags.DEFINE_integer("top_k", 0, "tokens that are kept; 0: all", 0)
_MIN_P = flags.DEFINE_float("min_p", 0.0, "of the likeliest token's", 0.0, 1.0)
_MAX_RESPONSE = flags.DEFINE_integer("max_response", 4096, "tokens", 1)
_SEED = flags.DEFINE_integer("seed", 0, "of the samples", 0)
_SYSTEM = flags.DEFINE_string("system", "", "message before every prompt")
_INSTRUCTION = flags.DEFINE_string("instruction", "", "after every prompt")
_TEMPLATE = flags.DEFINE_enum(
  "template", "chat", ["chat", "plain"], "of prompts"
)
_THINKING = flags.DEFINE_enum(
  "thinking", "default", ["default", "on", "off"], "of models that can choose"
)
_STYLE = flags.DEFINE_string("style", "math", "of grading; see docs/data.md")
_PROGRAMS = flags.DEFINE_enum(
  "programs",
  "refused",
  tasks.styles.PROGRAMS,
  "whether --style=code may run what the model writes",
)
_COLUMNS = flags.DEFINE_list(
  "columns", [], "where rows have what: prompt=question,answer=gold"
)
_MAX_PROMPT = flags.DEFINE_integer(
  "max_prompt", 0, "tokens; longer prompts are dropped, 0 drops none", 0
)
_UNPARSABLE = flags.DEFINE_enum(
  "unparsable",
  "error",
  ["error", "drop"],
  "references the verifier cannot read",
)
_DTYPE = flags.DEFINE_enum(
  "dtype", "bfloat16", ["bfloat16", "float32"], "of weights and computation"
)
_KEEP_TEXT = flags.DEFINE_integer(
  "keep_text", 1, "responses of each problem whose text is kept", 0
)
_ROWS = flags.DEFINE_integer("rows", 128, "responses at once; 0: all", 0)
_MESH_DATA = flags.DEFINE_integer("mesh_data", -1, "devices; -1: the rest", -1)
_MESH_FSDP = flags.DEFINE_integer("mesh_fsdp", 1, "devices", 1)
_MESH_TENSOR = flags.DEFINE_integer("mesh_tensor", 1, "devices", 1)
_PROGRESS = flags.DEFINE_bool("progress", True, "show a bar")

# What decides the samples and how they are graded; the rest may change when an
# evaluation goes on.
_DECIDE = (
  _SAMPLES,
  _TEMPERATURE,
  _TOP_P,
  _TOP_K,
  _MIN_P,
  _MAX_RESPONSE,
  _SEED,
  _SYSTEM,
  _INSTRUCTION,
  _TEMPLATE,
  _THINKING,
  _STYLE,
  _PROGRAMS,
  _COLUMNS,
  _MAX_PROMPT,
  _UNPARSABLE,
  _DTYPE,
  _KEEP_TEXT,
)


class Problems(NamedTuple):
  """What is asked."""

  task: tasks.Task
  rows: coverage.Rows


class Subject(NamedTuple):
  """What is evaluated."""

  model: Transformer
  params: PyTree


def load_problems() -> Problems:
  """The problems that the flags name."""
  options = tasks.FilesOptions(
    evaluation=tuple(_DATA.value),
    system=_SYSTEM.value,
    instruction=_INSTRUCTION.value,
    template=_TEMPLATE.value,
    thinking={"default": None, "on": True, "off": False}[_THINKING.value],
    style=_STYLE.value,
    programs=_PROGRAMS.value,
    columns=dict(pair.split("=", 1) for pair in _COLUMNS.value),
    max_prompt=_MAX_PROMPT.value,
    unparsable=_UNPARSABLE.value,
  )
  tokenizer = tasks.HFTokenizer(_MODEL.value)
  style = tasks.style_of(options.style, programs=options.programs)
  measured = tasks.to_measure_on(tokenizer, options, style)
  task = tasks.files_task(tokenizer, options, style, measured=measured)
  return Problems(task, coverage.rows(measured.report))


def load_model(mesh: jax.sharding.Mesh, task: tasks.Task) -> Subject:
  """The model that the flags name."""
  # Takes seconds, and showing records needs none of it.
  from rlvr_jax.models import hf

  dtype = _DTYPE.value
  model = hf.load(_MODEL.value, mesh=mesh, dtype=dtype, param_dtype=dtype)
  config = model.transformer.config
  hf.check_vocabulary(task.tokenizer.vocab_size, config, _MODEL.value)
  hf.check_positions(task.max_prompt_length, _MAX_RESPONSE.value, config)
  return Subject(model.transformer, model.params)


def header(problems: Problems) -> Header:
  """What an evaluation that goes on must have in common with its start."""
  return {
    "model": _MODEL.value,
    "model_checksum": files.checksum(_MODEL.value),
    "data": _DATA.value,
    "problems_checksum": checksum(problems.task),
    "data_rows": problems.rows,
    **{flag.name: flag.value for flag in _DECIDE},
  }


def evaluate() -> tuple[Header, list[Record]]:
  """Asks what is left to ask."""
  with command.mistakes():
    problems = load_problems()
    log = Log(os.path.join(_OUT.value, FILE), header(problems))
    mesh = make_mesh(_MESH_DATA.value, _MESH_FSDP.value, _MESH_TENSOR.value)
    task = problems.task
    model, params = load_model(mesh, task)
    how = How(
      samples=_SAMPLES.value,
      length=_MAX_RESPONSE.value,
      widths=tuple(tasks.prompt_widths(task.max_prompt_length)),
      temperature=_TEMPERATURE.value,
      top_k=_TOP_K.value,
      top_p=_TOP_P.value,
      min_p=_MIN_P.value,
      rows=_ROWS.value,
      texts=_KEEP_TEXT.value,
    )
    evaluation = Evaluation(Examiner(task, model, how, mesh), log)
  records = evaluation.run(params, _SEED.value, _PROGRESS.value)
  log.close()
  return log.header, records


def main() -> None:
  """Evaluates, or reads an evaluation, and shows it."""
  config_lib.refuse(list(_problems()))
  if _RECORDS.value:
    with command.mistakes():
      held, records = read(os.path.join(_RECORDS.value, FILE))
  else:
    held, records = evaluate()
  if processes.is_first():
    show(held, records)


def show(held: Header, records: list[Record]) -> None:
  """Writes the page of an evaluation and prints its table."""
  with command.mistakes():
    ks = _ks() or figures.default_ks(figures.samples(records))
    folder = _OUT.value or _RECORDS.value
    path, table = page.write(held, records, ks, folder)
  print(f"{table}\n\n{path}")


def _ks() -> tuple[int, ...]:
  return tuple(sorted({int(k) for k in _KS.value or ()}))


def _problems() -> Iterator[str]:
  """What is wrong with the flags, beyond the range of each."""
  for flag in (_MODEL, _DATA, _OUT):
    if not flag.value and not _RECORDS.value:
      yield f"--{flag.name} is missing; or --records=DIR shows what is there."
  if _RECORDS.value:
    for flag in (_MODEL, _DATA):
      if flag.value:
        yield f"--{flag.name} asks for samples, --records only shows; drop one."
  elif _MODEL.value and not os.path.isdir(_MODEL.value):
    yield f"--model = {_MODEL.value!r} is no folder; nothing is downloaded."
  wrong = [k for k in _KS.value or () if not (k.isdecimal() and int(k))]
  if wrong:
    yield f"--ks: {wrong} must be whole numbers >= 1, as in --ks=1,8."
  elif not _RECORDS.value and max(_ks(), default=1) > _SAMPLES.value:
    yield (
      f"--ks: pass@{max(_ks())} needs at least as many --samples, not "
      f"{_SAMPLES.value}."
    )
  wrong = [pair for pair in _COLUMNS.value if "=" not in pair]
  if wrong:
    yield f"--columns: {wrong} must be FIELD=COLUMN, as in answer=gold."
  if _MESH_DATA.value == 0:
    yield "--mesh_data = 0 must be a number of devices, or -1 for the rest."


if __name__ == "__main__":
  command.run(main, together=True)
