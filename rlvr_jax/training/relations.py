"""Rules between the fields of a configuration.

Each is tested when the fields it reads are right by themselves, so that one
mistake hides no other.
"""

import dataclasses
import difflib
import math
from collections.abc import Callable, Container, Iterator

from rlvr_jax.models import hf, mesh
from rlvr_jax.tasks import FilesOptions, demonstrations
from rlvr_jax.tasks import configs as task_configs
from rlvr_jax.training import hyper

# The sizes of configs/default.py; a folder has its own.
SIZES = {
  "width": 64,
  "layers": 4,
  "heads": 4,
  "kv_heads": 2,
  "head_dim": 16,
  "hidden": 192,
  "rope_theta": 10_000.0,
  "norm_epsilon": 1e-6,
  "qk_norm": False,
  "tied": True,
}
# How configs/default.py has dynamic sampling.
DYNAMIC = {"metric": "off", "factor": 1.0, "max_batches": 10}
# Tells whether a task takes its options, without loading it.
TASKS = {
  "split": task_configs.split_config,
  "sum": task_configs.sum_config,
  "files": FilesOptions,
}
# Fields of config.data that are options of demonstrations.
DEMONSTRATIONS = tuple(
  field.name
  for field in dataclasses.fields(demonstrations.Options)
  if field.name != "seed"
)

Rule = Callable[..., Iterator[str]]
_RULES: list[tuple[tuple[str, ...], Rule]] = []


def problems(flat: dict[str, object], wrong: Container[str]) -> Iterator[str]:
  """One line for every rule that a configuration breaks.

  Args:
    flat: the configuration with dotted names.
    wrong: names of fields that are missing or wrong by themselves.
  """
  for names, rule in _RULES:
    # Supervised training has other fields.
    if all(name in flat and name not in wrong for name in names):
      yield from rule(*(flat[name] for name in names))


def _reads(*names: str) -> Callable[[Rule], Rule]:
  """A rule whose arguments are these fields."""

  def add(rule):
    _RULES.append((names, rule))
    return rule

  return add


@_reads("model.heads", "model.kv_heads")
def _heads(heads, kv_heads):
  if heads % kv_heads:
    yield (
      f"config.model.heads = {heads} must be a multiple of "
      f"config.model.kv_heads = {kv_heads}."
    )


@_reads("model.folder", *(f"model.{name}" for name in SIZES))
def _folder(folder, *values):
  if not folder:
    return
  changed = [name for name, v in zip(SIZES, values) if v != SIZES[name]]
  if changed:
    yield (
      f"config.model sets {changed}, but config.model.folder = {folder!r} has "
      f"sizes of its own; leave them at {[SIZES[name] for name in changed]}."
    )
  try:
    hf.read_config(folder)
  except ValueError as error:
    yield f"config.model.folder = {folder!r}: {error}"


@_reads("model.head_dim")
def _head_dim(head_dim):
  if head_dim % 2:
    yield f"config.model.head_dim = {head_dim} must be even."


@_reads(
  "rollout.prompts", "rollout.per_prompt", "train.updates", "train.slices"
)
def _rows(prompts, per_prompt, updates, slices):
  rows, parts = prompts * per_prompt, updates * slices
  if prompts % updates:
    yield (
      f"config.rollout.prompts = {prompts} must be a multiple of "
      f"config.train.updates = {updates}, so that a minibatch holds whole "
      "groups."
    )
    return
  if rows % parts:
    yield (
      f"config.rollout.prompts x per_prompt = {prompts} x {per_prompt} = "
      f"{rows} rows do not divide into config.train.updates x slices = "
      f"{updates} x {slices}; choose per_prompt so that {parts} divides the "
      "rows, or fewer slices."
    )


def asked_at_a_time(prompts: int, factor: float) -> int:
  """Prompts that dynamic sampling asks for, `factor` times those of a step."""
  # The nudge: 1.1 * 10 is a little more than 11 in binary.
  return max(1, math.ceil(prompts * factor - 1e-6))


@_reads("rollout.prompts", *(f"rollout.dynamic.{name}" for name in DYNAMIC))
def _dynamic(prompts, metric, *values):
  changed = [n for n, v in zip([*DYNAMIC][1:], values) if v != DYNAMIC[n]]
  if metric == "off":
    if changed:
      yield (
        f"config.rollout.dynamic sets {changed}, which has no effect with "
        "metric = 'off'; choose 'correct' or 'reward'."
      )
    return
  factor, most = values
  asked = asked_at_a_time(prompts, factor)
  if 0 < most * asked < prompts:
    yield (
      f"config.rollout.dynamic.max_batches = {most} batches of {asked} prompts "
      f"hold fewer than config.rollout.prompts = {prompts}; raise max_batches "
      "or factor."
    )


@_reads("rollout.dynamic.metric", "task.labelled")
def _dynamic_labels(metric, labelled):
  if metric != "off" and not labelled:
    yield (
      f"config.rollout.dynamic.metric = {metric!r} keeps groups by the rewards "
      "of the verifier, but config.task.labelled = False; set metric = 'off'."
    )


@_reads(
  *("async_rollout", "chain", "rollout.old_logp", "rollout.dynamic.metric"),
)
def _async_rollout(ahead, chain, old_logp, metric):
  """A rollout of the policy before the last step is learnt from as such."""
  wants = {
    "'rollout_correction' in config.chain": "rollout_correction" in chain,
    "config.rollout.old_logp = 'score'": old_logp == "score",
    "config.rollout.dynamic.metric = 'off'": metric == "off",
    # It edits rows by the temperature that its state tells at that step.
    "no 'aepo' in config.chain": "aepo" not in chain,
  }
  missing = [name for name, there in wants.items() if not there]
  if ahead and missing:
    yield (
      "config.async_rollout = True learns from responses of the policy before "
      f"the last step and needs {' and '.join(missing)}; set that, or "
      "async_rollout = False."
    )


@_reads(
  *("rollout.prompts", "rollout.per_prompt"),
  *("train.updates", "train.slices", "chain", "spear.rows"),
)
def _replayed(prompts, per_prompt, updates, slices, chain, replayed):
  """Rows of the step and replayed rows in updates of their own."""
  rows = prompts * per_prompt
  more = rows if replayed is None else replayed
  if "spear" not in chain or not more:
    return
  of_update, rest = divmod(rows + more, updates)
  odd = of_update % per_prompt or of_update % slices
  if rest or more % of_update or odd:
    yield (
      f"config.spear.rows = {replayed} and the {rows} rows of "
      "config.rollout.prompts x per_prompt must divide into "
      f"config.train.updates = {updates} minibatches, the replayed rows into "
      "some of them and the others into the rest, each of whole groups of "
      f"{per_prompt} and in config.train.slices = {slices} slices: with "
      "spear.rows = None, which is as many, half of an even number of updates "
      "are theirs."
    )


@_reads("loss.aggregation", "loss.scale")
def _scale(aggregation, scale):
  reads = "seq-mean-token-sum-norm"
  if scale and aggregation != reads:
    yield (
      f"config.loss.scale = {scale} has no effect with config.loss.aggregation "
      f"= {aggregation!r}; leave it at 0, or choose {reads!r}."
    )


@_reads("evaluation.ks", "evaluation.samples")
def _ks(ks, samples):
  over = [k for k in ks if k > samples]
  if over:
    yield (
      f"config.evaluation.ks = {ks}: pass@{over[0]} needs at least {over[0]} "
      f"samples, config.evaluation.samples = {samples}; raise it."
    )


@_reads("task.name", "task.options", "seed")
def _task(name, options, seed):
  if name in TASKS:
    yield from _task_options(name, options, seed)
  elif not name.startswith("gym:"):  # Those tell when they are built.
    near = difflib.get_close_matches(name, TASKS, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    yield (
      f"config.task.name = {name!r} is no task{hint}; choose one of "
      f"{[*TASKS, 'gym:<dataset>']}."
    )


def _task_options(name: str, options: dict, seed: int) -> Iterator[str]:
  takes = hyper.declared(TASKS[name])
  takes.pop("seed")
  told = list(hyper.misfits("task.options", takes, options))
  told += [
    f"config.task.options.{key} = {options[key]!r} is no option of {name!r}; "
    f"it takes {list(takes)}."
    for key in options.keys() - takes.keys()
  ]
  yield from told
  if not told:
    try:
      TASKS[name](seed=seed, **options)
    except ValueError as error:
      yield f"config.task.options = {options}: {error}"


@_reads(
  "task.name",
  "task.options",
  "model.folder",
  "rollout.max_prompt",
  "rollout.max_response",
  "warm_start.steps",
)
def _files(name, options, folder, max_prompt, max_response, warm_start):
  if name != "files":
    return
  if not folder:
    yield (
      "config.task.name = 'files' needs the tokenizer of a model; set "
      "config.model.folder."
    )
  if not options.get("train"):
    yield (
      "config.task.options.train is empty; name the datasets to learn from, "
      'for example train=("problems.parquet",).'
    )
  if not max_response:
    yield (
      "config.rollout.max_response = 0, but problems of files do not tell how "
      "long a response may be; set it, in tokens."
    )
  longest = options.get("max_prompt", 0)
  if max_prompt and not (
    isinstance(longest, int) and 0 < longest <= max_prompt
  ):
    yield (
      f"config.rollout.max_prompt = {max_prompt}, but prompts may be longer "
      f"with config.task.options.max_prompt = {longest!r}; set that to "
      f"{max_prompt} or fewer tokens, and longer prompts are dropped."
    )
  if warm_start:
    yield (
      f"config.warm_start.steps = {warm_start}, but files have no "
      "demonstrations; set it to 0."
    )


@_reads("data.train", "model.folder")
def _tokenizer(train, folder):
  if not folder:
    yield (
      f"config.data.train = {train} needs the tokenizer of a model; set "
      "config.model.folder."
    )


@_reads("seed", *(f"data.{name}" for name in DEMONSTRATIONS))
def _demonstrations(seed, *values):
  try:
    demonstrations.Options(seed=seed, **dict(zip(DEMONSTRATIONS, values)))
  except ValueError as error:
    yield f"config.data: {error}"


@_reads("data.pack", "loss.aggregation")
def _pack(pack, aggregation):
  if pack and aggregation != "token-mean":
    yield (
      f"config.loss.aggregation = {aggregation!r} would take a row of several "
      "demonstrations for one; choose 'token-mean', or config.data.pack = "
      "False."
    )


@_reads("train.rows", "train.updates", "train.slices")
def _packed_rows(rows, updates, slices):
  if rows % (updates * slices):
    yield (
      f"config.train.rows = {rows} must be a multiple of config.train.updates "
      f"x slices = {updates} x {slices}."
    )


@_reads("train.slices", "train.widths")
def _widths(slices, widths):
  if widths > 1 and slices == 1:
    yield (
      f"config.train.widths = {widths}, but a single slice is as wide as its "
      "longest row; set config.train.slices > 1, or widths = 1."
    )


@_reads("train.share_prompts", "rollout.per_prompt")
def _share_prompts(share, per_prompt):
  if share and per_prompt == 1:
    yield (
      "config.train.share_prompts = True, but config.rollout.per_prompt = 1: "
      "no two responses share a prompt. Set the first to False."
    )


@_reads("train.share_prompts", "mesh.sequence")
def _shared_positions(share, sequence):
  if share and sequence > 1:
    yield (
      "config.train.share_prompts = True, but config.mesh.sequence = "
      f"{sequence} splits the positions of a row over devices, and those of a "
      "shared prompt lie in several rows. Set the first to False."
    )


@_reads(*(f"mesh.{axis}" for axis in mesh.AXES))
def _mesh(*sizes):
  try:
    mesh.make_mesh(**dict(zip(mesh.AXES, sizes)))
  except ValueError as error:
    yield f"config.mesh: {error}"
