"""From a configuration to the pieces of a run. Allocates no weights."""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import jax
import optax
from ml_collections import ConfigDict

from rlvr_jax import tasks
from rlvr_jax.evaluation.examiner import Examiner, How
from rlvr_jax.kernels.sharded import Layout
from rlvr_jax.models import hf
from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.models.config import DecoderConfig, Lora, Rope
from rlvr_jax.models.transformer import Transformer
from rlvr_jax.sampling import sampler
from rlvr_jax.training import config as config_lib
from rlvr_jax.training import precision
from rlvr_jax.training.evaluate import Evaluator
from rlvr_jax.training.programs import Programs
from rlvr_jax.training.relations import asked_at_a_time
from rlvr_jax.training.settings import Dynamic, Settings
from rlvr_jax.types import Draw, TokenText


class Run(NamedTuple):
  """What a configuration builds; nothing in it changes during the run."""

  config: ConfigDict
  task: tasks.Task  # with what config.task leaves of the training problems
  whole: tasks.Task  # with all of them, for the warm start
  programs: Programs
  evaluator: Evaluator
  mesh: jax.sharding.Mesh
  key: jax.Array
  text: TokenText | None  # as `Programs.text` has it


class AnyRun(Protocol):
  """What runs of any kind have in common."""

  @property
  def config(self) -> ConfigDict:
    """As it was given."""

  @property
  def programs(self) -> Programs:
    """The steps of training."""

  @property
  def mesh(self) -> jax.sharding.Mesh:
    """Where things live."""

  @property
  def key(self) -> jax.Array:
    """Of everything random."""


def learning_rate(config: ConfigDict) -> optax.Schedule:
  """Linear warm-up and decay, of the number of optimizer updates made."""
  o, updates = config.optimizer, config.train.updates
  rate = optax.constant_schedule(o.learning_rate)
  if o.decay:
    rate = optax.linear_schedule(o.learning_rate, 0.0, o.decay * updates)
  if not o.warmup:
    return rate
  up = optax.linear_schedule(0.0, o.learning_rate, o.warmup * updates)
  return optax.join_schedules([up, rate], [o.warmup * updates])


def optimizer(config: ConfigDict) -> optax.GradientTransformation:
  """AdamW with clipping of the gradient norm."""
  o = config.optimizer
  tx = optax.chain(
    optax.clip_by_global_norm(o.max_gradient_norm),
    optax.adamw(
      learning_rate(config), o.b1, o.b2, o.epsilon, weight_decay=o.weight_decay
    ),
  )
  narrow = config.model.param_dtype != "float32" and not config.model.lora.rank
  return precision.with_master_copies(tx) if narrow else tx


def subset(task: tasks.Task, rows: Sequence[int]) -> tasks.Task:
  """The task with these training problems alone, in this order.

  Args:
    task: as it was loaded.
    rows: of its training problems; none for all.

  Raises:
    ConfigError: a row that the task does not have.
  """
  if not rows:
    return task
  size = len(task.train)
  wrong = [row for row in rows if not 0 <= row < size]
  if wrong:
    raise config_lib.ConfigError(
      f"config.task.subset holds {wrong}, but {task.name!r} has the training "
      f"problems 0 to {size - 1}; choose among these."
    )
  train = [task.train[row] for row in rows]
  return dataclasses.replace(task, train=train, mixture=())


def decoder_config(config: ConfigDict, vocabulary: int) -> DecoderConfig:
  """The sizes and choices of the decoder of a run."""
  fields = config.model.to_dict()
  folder, adapters = fields.pop("folder"), fields.pop("lora")
  del fields["sha256"]  # asked for when weights are read
  lora = Lora(**adapters) if adapters["rank"] else None
  chosen = {
    name: fields.pop(name) for name in ("dtype", "param_dtype", "remat")
  }
  if folder:
    sizes = hf.read_config(folder, lora=lora, **chosen)
    hf.check_vocabulary(vocabulary, sizes, folder)
    return sizes
  rope = Rope(theta=fields.pop("rope_theta"))
  return DecoderConfig(vocabulary, rope=rope, lora=lora, **fields, **chosen)


def build(config: ConfigDict) -> Run:
  """Builds task, model and programs. Allocates no weights."""
  mesh = mesh_lib.make_mesh(**config.mesh)
  folder = config.model.folder
  whole = tasks.load(
    config.task.name,
    tokenizer=tasks.HFTokenizer(folder) if folder else None,
    data_dir=config.task.data_dir or None,
    seed=config.seed,
    labelled=config.task.labelled,
    **config.task.options,
  )
  task = subset(whole, config.task.subset)
  if not config.task.labelled:
    task = tasks.unlabelled(task)
  programs = assemble(
    config,
    decoder_config(config, task.tokenizer.vocab_size),
    sampler.Ends(task.tokenizer.stop_ids, task.tokenizer.pad_id),
    config.rollout.max_prompt or task.max_prompt_length,
    config.rollout.max_response or task.max_response_length,
    mesh,
  )
  evaluator = _evaluator(config, task, programs)
  key = jax.random.key(config.seed)
  text = programs.text and tasks.token_text(
    task.tokenizer, programs.model.config.vocabulary
  )
  return Run(config, task, whole, programs, evaluator, mesh, key, text)


def assemble(
  config: ConfigDict,
  sizes: DecoderConfig,
  ends: sampler.Ends,
  prompt_width: int,
  length: int,
  mesh: jax.sharding.Mesh,
  platform: str | None = None,
) -> Programs:
  """The programs of a run, without its data.

  Args:
    config: of the run.
    sizes: of the decoder.
    ends: meaning of special tokens.
    prompt_width: positions W of prompts.
    length: response positions T.
    mesh: where things live.
    platform: that they are written for, "cpu", "gpu" or "tpu"; None for that
      of the mesh.

  Raises:
    ConfigError: rows do not fall apart evenly.
    ValueError: the model has fewer positions.
  """
  hf.check_positions(prompt_width, length, sizes)
  programs = Programs(
    Transformer(sizes, Layout(mesh), platform),
    config_lib.build_chain(config),
    optimizer(config),
    _settings(config, ends, prompt_width, length),
    mesh,
  )
  _check_rows(config, programs)
  return programs


def _evaluator(
  config: ConfigDict, task: tasks.Task, programs: Programs
) -> Evaluator:
  e, s = config.evaluation, programs.settings
  widths = (s.prompt_width,)
  how = How(
    e.samples, s.length, widths, e.temperature, top_p=e.top_p, rows=e.rows
  )
  examiner = Examiner(task, programs.model, how, programs.mesh)
  return Evaluator(examiner, e.ks)


def _check_rows(config: ConfigDict, programs: Programs) -> None:
  """Rows must fall apart evenly into minibatches, slices and devices."""
  s, devices = programs.settings, mesh_lib.row_parts(programs.mesh)
  for name in ("rollout.prompts", "warm_start.batch"):
    section, field = name.split(".")
    if config[section][field] % devices:
      raise config_lib.ConfigError(
        f"config.{name} = {config[section][field]} must be a multiple of the "
        f"{devices} devices that rows are split over (config.mesh without "
        "tensor)."
      )
  if s.asked % devices:
    raise config_lib.ConfigError(
      f"config.rollout.dynamic.factor = {config.rollout.dynamic.factor} asks "
      f"for {s.asked} prompts at a time, but they must be a multiple of the "
      f"{devices} devices that rows are split over (config.mesh without "
      "tensor)."
    )
  each = mesh_lib.divisor(programs.mesh, s.slices)
  parts = s.updates * each
  why = (
    f"(config.train.updates = {s.updates}, slices = {s.slices}, and the "
    "devices of config.mesh)"
  )
  sampled = sum(rows for _, rows in programs.plan.draws)
  if programs.learn and sampled % parts:
    raise config_lib.ConfigError(
      f"a step samples {sampled} rows, of which a second model is learned in "
      f"slices of the size of an update's: {parts} must divide them {why}. "
      "Change config.rollout.prompts or per_prompt."
    )
  sampled, trained = programs.rows()
  if sampled % devices or trained % parts:
    raise config_lib.ConfigError(
      f"a step samples {sampled} rows in the draws {programs.plan.draws} and "
      f"trains on {trained}; {devices} must divide the first, and {parts} the "
      f"second {why}. Lower config.train.slices, or change "
      "config.rollout.prompts or per_prompt, or the rows that methods draw or "
      "replay, such as config.spear.rows."
    )


def _settings(
  config: ConfigDict, ends: sampler.Ends, prompt_width: int, length: int
) -> Settings:
  r, u = config.rollout, config.train
  main = Draw(
    "main",
    r.per_prompt,
    temperature=r.temperature,
    top_k=r.top_k,
    top_p=r.top_p,
    min_p=r.min_p,
    score_temperature=r.score_temperature,
  )
  return Settings(
    prompts=r.prompts,
    prompt_width=prompt_width,
    length=length,
    ends=ends,
    rows=r.rows,
    main=main,
    updates=u.updates,
    slices=u.slices,
    widths=u.widths,
    chunk=u.chunk,
    clip=(config.loss.clip_low, config.loss.clip_high),
    aggregation=config.loss.aggregation,
    scale=config.loss.scale or None,
    rescore=r.old_logp == "score",
    compare_every=r.mismatch_every,
    ema_decay=u.ema_decay,
    ema_every=u.ema_every,
    guard_window=config.guard.window,
    guard_spikes=spikes(config),
    guard_limit=config.guard.max_consecutive,
    dynamic=_dynamic(config),
    share_prompts=u.share_prompts,
    ahead=config.async_rollout,
  )


def spikes(config: ConfigDict) -> tuple[float, float]:
  """What the guard takes for a spike: sigmas, and the norm that is harmless."""
  norm = config.optimizer.max_gradient_norm
  # What clipping lets pass whole; without clipping nothing is known of it.
  return config.guard.sigmas, norm if math.isfinite(norm) else 0.0


def _dynamic(config: ConfigDict) -> Dynamic | None:
  d = config.rollout.dynamic
  if d.metric == "off":
    return None
  count = asked_at_a_time(config.rollout.prompts, d.factor)
  return Dynamic(d.metric, count, d.max_batches)
