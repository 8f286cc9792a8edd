r"""Measures what the steps of an evaluation's responses tell of the answers.

python -m experiments.utility --records=evaluations/qwen3 \
    --model=models/Qwen3-8B --out=utility/qwen3

reads the responses whose text an evaluation kept (--keep_text of
experiments.evaluate) with a model, the inspector, which may be another one than
has written them. The policy of a run is one, too, once experiments.export has
written it.
"""

import os
from collections.abc import Sequence

from absl import flags

from rlvr_jax import tasks
from rlvr_jax.evaluation import records as records_lib
from rlvr_jax.evaluation import utility
from rlvr_jax.evaluation.records import Header
from rlvr_jax.models.mesh import make_mesh
from rlvr_jax.tasks import chat
from rlvr_jax.training import command
from rlvr_jax.training.config import ConfigError
from rlvr_jax.training.inspector import Curves, Inspector, Solution

_RECORDS = flags.DEFINE_string("records", None, "folder of an evaluation")
_MODEL = flags.DEFINE_string("model", None, "folder in Hugging Face format")
_OUT = flags.DEFINE_string("out", None, "folder to write to")
_TEMPLATE = flags.DEFINE_enum(
  "template", "chat", ["chat", "plain"], "of prompts"
)
_THINKING = flags.DEFINE_enum(
  "thinking", "default", ["default", "on", "off"], "of models that can choose"
)
_DTYPE = flags.DEFINE_enum(
  "dtype", "bfloat16", ["bfloat16", "float32"], "of weights and computation"
)
_ROWS = flags.DEFINE_integer("rows", 16, "beginnings of responses at once", 1)
_MESH_DATA = flags.DEFINE_integer("mesh_data", -1, "devices; -1: the rest", -1)
_MESH_FSDP = flags.DEFINE_integer("mesh_fsdp", 1, "devices", 1)
_MESH_TENSOR = flags.DEFINE_integer("mesh_tensor", 1, "devices", 1)


def solution(
  sample: utility.Sample, header: Header, tokenizer: tasks.ChatTokenizer
) -> Solution:
  """A sample as the inspector reads it, asked as the policy was."""
  asked = chat.Message(role="user", content=sample.record.prompt)
  instruction = str(header.get("instruction", ""))
  prompt = tokenizer.render(
    chat.instructed([asked], instruction),
    system=str(header.get("system", "")),
    thinking={"default": None, "on": True, "off": False}[_THINKING.value],
    template=_TEMPLATE.value,
  )
  return Solution(prompt, sample.steps, sample.record.reference)


def inspect(
  solutions: Sequence[Solution], tokenizer: tasks.HFTokenizer
) -> list[Curves]:
  """What the model that the flags name finds."""
  # Takes seconds, and a mistake in the flags is told without it.
  from rlvr_jax.models import hf

  with command.mistakes():
    mesh = make_mesh(_MESH_DATA.value, _MESH_FSDP.value, _MESH_TENSOR.value)
    kind = _DTYPE.value
    model = hf.load(_MODEL.value, mesh=mesh, dtype=kind, param_dtype=kind)
    config = model.transformer.config
    hf.check_vocabulary(tokenizer.vocab_size, config, _MODEL.value)
    inspector = Inspector(model.transformer, tokenizer, mesh, _ROWS.value)
    hf.check_positions(*inspector.sizes(solutions), config)
  return inspector.curves(model.params, solutions)


def main() -> None:
  """Reads an evaluation, inspects it and writes what was found."""
  with command.mistakes():
    path = os.path.join(_RECORDS.value, records_lib.FILE)
    header, records = records_lib.read(path)
    tokenizer = tasks.HFTokenizer(_MODEL.value)
    samples = list(utility.samples(records))
    solutions = [solution(s, header, tokenizer) for s in samples]
  if not solutions:
    raise ConfigError(
      f"{path} holds no response that can be inspected: it must be kept, with "
      "--keep_text of experiments.evaluate, graded, and its problem have a "
      "reference answer."
    )
  found = inspect(solutions, tokenizer)
  curves = [utility.curve(s, *c) for s, c in zip(samples, found)]
  print(f"{utility.write(curves, _OUT.value)}\n\n{_OUT.value}")


if __name__ == "__main__":
  flags.mark_flags_as_required(["records", "model", "out"])
  command.run(main)
