r"""Tells what a run takes on machines that are not here, before paying.

python -m experiments.plan --topology=v5p:4x4x4 \
    --config=configs/qwen2_5_math_7b_dapo.py

Compiles the programs of a step ahead of time from shapes alone: no weights, no
data, no devices. With libtpu installed (pip install -e '.[tpu]') the TPU's own
compiler is asked, else XLA's for CPU stands in. See docs/scaling.md.
"""

import json
import math
import pathlib

import jax
import tqdm
from absl import flags
from ml_collections import ConfigDict, config_flags

from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.planning import chips, compiled, given, places, report
from rlvr_jax.sampling import sampler
from rlvr_jax.training import build, command
from rlvr_jax.training import config as config_lib
from rlvr_jax.training.programs import Programs

_CONFIG = config_flags.DEFINE_config_file("config", lock_config=True)
_TOPOLOGY = flags.DEFINE_string("topology", None, "e.g. v5p:4x4x4 or h100:8")
_COMPILER = flags.DEFINE_enum(
  "compiler", "best", ["best", "cpu"], "the TPU's own if installed, or XLA's"
)
_SIZES = flags.DEFINE_string(
  "sizes", "configs/models", "folders with config.json of models not here"
)
_OUT = flags.DEFINE_string("out", None, "JSON file to write")


def main() -> None:
  """Prints the plan of a run."""
  config = _CONFIG.value
  with command.mistakes():
    topology = chips.parse(_TOPOLOGY.value)
    own = _COMPILER.value == "best" and chips.has_compiler(topology)
    devices = chips.devices(topology, own)
    config_lib.refuse(problems(config))
    p = assembled(config, topology, devices)
  print(heading(config, topology, own, p) + "\n")
  if p.settings.slices != config.train.slices:
    print(
      f"A run here needs --config.train.slices={p.settings.slices}: a device "
      f"has too few rows for {config.train.slices}.\n"
    )
  begin = given.of(p)
  traced = dict(p.ahead(*begin))
  rollout = traced["rollout"].out_info
  where = places.of(p, begin, rollout)
  try:
    found = _compiled(p, traced)
  except MemoryError as error:
    print(report.refusal(where, error))
    return _write({"fits": False, "refused": str(error)})
  plan = report.Plan(topology, where, found, rollout.mask.size)
  print(report.text(plan))
  _write(report.numbers(plan))


def _compiled(
  p: Programs, traced: dict[str, jax.stages.Traced]
) -> list[compiled.Figures]:
  """What each program takes."""
  return [
    compiled.figures(
      name,
      program,
      p.settings.updates if name == "update" else 1,
      p.mesh.size,
      given.runs(p, name),
    )
    for name, program in tqdm.tqdm(traced.items(), "compiling", leave=False)
  ]


def _write(numbers: dict) -> None:
  if _OUT.value:
    text = json.dumps(numbers, indent=2)
    pathlib.Path(_OUT.value).write_text(text + "\n")


# What a plan does without, or has otherwise.
_ELSEWHERE = ("config.task", "config.model.folder", "config.mesh")


def problems(config: ConfigDict) -> list[str]:
  """What is wrong with a configuration, but for data and devices."""
  found = config_lib.problems(config)
  return [line for line in found if not line.startswith(_ELSEWHERE)]


def assembled(
  config: ConfigDict, topology: chips.Topology, devices: list[jax.Device]
) -> Programs:
  """The programs of a run, for devices that only compile.

  They are those of the chip, whichever devices stand in for it.

  Raises:
    ValueError: lengths or sizes of the model are not given.
  """
  r, m = config.rollout, config.model
  if not (m.folder and r.max_prompt and r.max_response):
    raise ValueError(
      f"config.model.folder = {m.folder!r}, rollout.max_prompt = "
      f"{r.max_prompt} and max_response = {r.max_response}: a plan reads no "
      "data, so all three must be given."
    )
  config = ConfigDict(config)
  if not pathlib.Path(m.folder).exists():
    config.model.folder = str(_published(m.folder))
  # No special tokens: what they are changes no shape.
  ends = sampler.Ends((1,), 0)
  sizes = build.decoder_config(config, 2)
  mesh = mesh_lib.make_mesh(**config.mesh, devices=devices)
  config.train.slices = _slices(config, mesh)
  lengths = r.max_prompt, r.max_response
  platform = topology.chip.platform
  return build.assemble(config, sizes, ends, *lengths, mesh, platform)


def _slices(config: ConfigDict, mesh: jax.sharding.Mesh) -> int:
  """The most slices up to those given that the rows of a device allow."""
  rows = config.rollout.prompts * config.rollout.per_prompt
  own = rows // config.train.updates // mesh_lib.pass_parts(mesh)
  return math.gcd(config.train.slices, max(own, 1))


def _published(folder: str) -> pathlib.Path:
  """Where the sizes of a model are that is not here."""
  held = pathlib.Path(_SIZES.value) / pathlib.Path(folder).name
  if not held.exists():
    known = sorted(p.name for p in pathlib.Path(_SIZES.value).glob("*"))
    raise ValueError(
      f"config.model.folder = {folder!r} is not here, and {_SIZES.value} has "
      f"the sizes of {known} only; put a config.json into {held}."
    )
  return held


def heading(
  config: ConfigDict, topology: chips.Topology, own: bool, p: Programs
) -> str:
  """What is planned, and by which compiler."""
  shapes = jax.eval_shape(p.model.init, jax.random.key(0))
  size = sum(x.size for x in jax.tree.leaves(shapes)) / 1e9
  axes = " x ".join(f"{name} {n}" for name, n in p.mesh.shape.items())
  by = (
    f"libtpu for {topology.name}"
    if own
    else (
      "XLA for CPU, which stands in: it computes bfloat16 in float32, so "
      "temporaries are too large, and it has no attention kernel"
    )
  )
  return (
    f"{pathlib.Path(config.model.folder).name}, {size:.2f} billion parameters, "
    f"on {topology.devices} devices {topology.name} (mesh {axes}, "
    f"train.slices {p.settings.slices}, rollout.rows {p.settings.rows}).\n"
    f"Compiled by {by}."
  )


if __name__ == "__main__":
  flags.mark_flags_as_required(["config", "topology"])
  command.run(main)
