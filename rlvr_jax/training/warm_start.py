"""The supervised warm start: next-token training on demonstrations."""

import functools
import os
import pathlib

import jax
import jax.numpy as jnp
import optax
import tqdm
from ml_collections import ConfigDict

from rlvr_jax import reduce, rng, stats, tasks
from rlvr_jax.models import hf, lora
from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.models.transformer import Transformer
from rlvr_jax.training import config as config_lib
from rlvr_jax.training import precision, state
from rlvr_jax.training.checkpoint import Checkpoints
from rlvr_jax.types import Array, PyTree, TokenBatch


def token_batch(rows: dict[str, Array]) -> TokenBatch:
  """Demonstrations as a TokenBatch: right answers nobody sampled."""
  count, length = rows["mask"].shape
  flat = jnp.zeros((count, length), jnp.float32)
  return TokenBatch(
    **rows,
    turn=jnp.zeros((count, length), jnp.int32),
    prompt=jnp.arange(count, dtype=jnp.int32),
    group=jnp.arange(count, dtype=jnp.int32),
    source=jnp.zeros(count, jnp.int32),
    reward=jnp.ones(count, jnp.float32),
    sample_logp=flat,
    score_temperature=jnp.ones(count, jnp.float32),
    old_logp=flat,
    advantages=flat,
    stats={},
    notes={},
    metrics={},
  )


def trapezoid(peak: float, steps: int) -> optax.Schedule:
  """Up in the first tenth of the steps, down to 0 in the last three."""
  up, down = max(1, steps // 10), max(1, 3 * steps // 10)
  pieces = [
    optax.linear_schedule(0.0, peak, up),
    optax.constant_schedule(peak),
    optax.linear_schedule(peak, 0.0, down),
  ]
  return optax.join_schedules(pieces, [up, steps - down])


def step(
  params: PyTree,
  opt: PyTree,
  rows: dict[str, Array],
  *,
  model: Transformer,
  tx: optax.GradientTransformation,
  chunk: int,
) -> tuple[PyTree, PyTree, Array]:
  """One update; also the mean negative log-likelihood, nats per token."""
  batch = token_batch(rows)

  def loss_fn(params):
    found = stats.score(
      (stats.LOGP,), {"policy": params}, batch, model=model, chunk=chunk
    )
    return reduce.masked_mean(-found[stats.LOGP.key], batch.mask)

  loss, grads = jax.value_and_grad(loss_fn)(params)
  updates, opt = tx.update(grads, opt, params)
  return optax.apply_updates(params, updates), opt, loss


def first(
  config: ConfigDict,
  model: Transformer,
  mesh: jax.sharding.Mesh,
  key: Array,
) -> PyTree:
  """The parameters before any training: those of a folder, or random ones."""
  if config.model.folder:
    return hf.read_params(config.model.folder, model, mesh)
  params = model.init(rng.key(key, rng.Purpose.INIT))
  return jax.device_put(params, mesh_lib.shardings(params, mesh))


def train(
  config: ConfigDict,
  task: tasks.Task,
  model: Transformer,
  mesh: jax.sharding.Mesh,
  widths: tuple[int, int],
  params: PyTree,
) -> PyTree:
  """Trains on demonstrations.

  Args:
    config: of the run; reads `warm_start` and `train.chunk`.
    task: its training split holds demonstrations; with all problems.
    model: the decoder.
    mesh: where things live.
    widths: prompt and response positions.
    params: to begin with; consumed.

  Returns:
    The parameters.
  """
  how = config.warm_start
  rate = trapezoid(how.learning_rate, how.steps)
  tx = optax.adamw(rate, b2=0.98, weight_decay=how.weight_decay)
  if config.model.param_dtype != "float32":
    tx = precision.with_master_copies(tx)
  opt = jax.jit(tx.init)(params)
  one = functools.partial(step, model=model, tx=tx, chunk=config.train.chunk)
  one = jax.jit(one, donate_argnums=(0, 1))
  bar = tqdm.trange(how.steps, desc="warm start", disable=not config.progress)
  for number in bar:
    cursor = number * how.batch
    places = task.training_rows(config.seed, cursor, how.batch)
    rows = tasks.demonstration_batch(
      [task.train[i] for i in places],
      task.tokenizer,
      config.seed,
      cursor,
      *widths,
      typos=how.typos,
    )
    rows = jax.device_put(rows, mesh_lib.by_row(mesh))
    params, opt, loss = one(params, opt, rows)
    if number % 20 == 0:
      bar.set_postfix(nats=f"{float(loss):.3f}")
  return params


def identity(config: ConfigDict) -> dict:
  """What decides the outcome of a warm start."""
  parts = ("seed", "task", "model", "warm_start")
  whole = config_lib.plain(config)
  found = {part: whole[part] for part in parts}
  found["model"].pop("lora")
  found["warm_start"].pop("folder")
  found["task"].pop("data_dir")
  # Demonstrations are of all training problems.
  found["task"].pop("subset")
  return found


def check(config: ConfigDict, workdir: str | os.PathLike) -> None:
  """Raises if the warm start would be refused; writes nothing.

  Args:
    config: of the run.
    workdir: of the run.

  Raises:
    ConfigError: the folder holds the warm start of another configuration.
  """
  folder = _folder(config, workdir)
  if not config.warm_start.steps or not (folder / "config.json").exists():
    return
  checkpoints = Checkpoints(folder / "params", keep=1)
  # A note without parameters is of a warm start that was stopped.
  if checkpoints.latest() is not None:
    _check_note(folder / "config.json", identity(config))
  checkpoints.close()


def _folder(config: ConfigDict, workdir: str | os.PathLike) -> pathlib.Path:
  folder = config.warm_start.folder or os.path.join(workdir, "warm_start")
  return pathlib.Path(folder).absolute()


def load_or_train(
  config: ConfigDict,
  workdir: str | os.PathLike,
  task: tasks.Task,
  model: Transformer,
  mesh: jax.sharding.Mesh,
  widths: tuple[int, int],
  key: Array,
) -> PyTree:
  """The parameters RL begins with, and the reference policy.

  Trained once and kept in `config.warm_start.folder`, or in `warm_start` under
  the working directory, so that runs can share it. With
  `config.warm_start.steps` = 0 they are those of `first`. Adapters are new in
  any case: the warm start trains what is below them.

  Raises:
    ValueError: the folder holds the warm start of another configuration.
  """
  plain = model.without_adapters()
  if config.warm_start.steps:
    params = _trained(config, workdir, task, plain, mesh, widths, key)
  else:
    params = first(config, plain, mesh, key)
  return lora.with_new(params, model, mesh, rng.key(key, rng.Purpose.INIT))


def _trained(
  config: ConfigDict,
  workdir: str | os.PathLike,
  task: tasks.Task,
  model: Transformer,
  mesh: jax.sharding.Mesh,
  widths: tuple[int, int],
  key: Array,
) -> PyTree:
  """The parameters after the warm start, from its folder if it was made."""
  folder = _folder(config, workdir)
  note = folder / "config.json"
  checkpoints = Checkpoints(folder / "params", keep=1)
  if checkpoints.latest() is None:
    begin = first(config, model, mesh, key)
    params = train(config, task, model, mesh, widths, begin)
    config_lib.write(note, identity(config))
    checkpoints.save(config.warm_start.steps, params)
  else:
    _check_note(note, identity(config))
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    room = state.like(shapes, mesh_lib.shardings(shapes, mesh))
    params = checkpoints.restore(checkpoints.latest(), room)
  checkpoints.close()
  return params


def _check_note(note: pathlib.Path, wanted: dict) -> None:
  differ = config_lib.differences(config_lib.read(note), wanted)
  if differ:
    raise config_lib.ConfigError(
      f"the warm start in {note.parent} was made with other values of "
      f"{differ}; set config.warm_start.folder to a new folder."
    )
