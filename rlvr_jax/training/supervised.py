"""Supervised training: the next token of demonstrations."""

import functools

import jax
import jax.numpy as jnp
import optax
import tqdm

from rlvr_jax import reduce, stats, tasks
from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.models.transformer import Transformer
from rlvr_jax.training import precision, preemption
from rlvr_jax.training.build import Run
from rlvr_jax.types import Array, PyTree, TokenBatch


def token_batch(rows: dict[str, Array]) -> TokenBatch:
  """Demonstrations as a TokenBatch: right answers nobody sampled.

  Their advantage is 1, so that a policy gradient is one of cross-entropy.

  Args:
    rows: tokens i32[B, P+T], prompt_mask bool[B, P], mask bool[B, T] and, of
      packed rows, segment i32[B, P+T].
  """
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
    advantages=flat + 1,
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


def train(run: Run, model: Transformer, params: PyTree) -> PyTree:
  """Trains on the demonstrations of a run's task, all problems of it.

  Args:
    run: of `build`; its configuration says how, in `warm_start`.
    model: the decoder, without adapters.
    params: to begin with; consumed.

  Returns:
    The parameters.

  Raises:
    Preempted: asked to stop; nothing of it is kept.
  """
  config, how = run.config, run.config.warm_start
  rate = trapezoid(how.learning_rate, how.steps)
  tx = optax.adamw(rate, b2=0.98, weight_decay=how.weight_decay)
  if config.model.param_dtype != "float32":
    tx = precision.with_master_copies(tx)
  opt = jax.jit(tx.init)(params)
  one = functools.partial(step, model=model, tx=tx, chunk=config.train.chunk)
  one = jax.jit(one, donate_argnums=(0, 1))
  bar = tqdm.trange(how.steps, desc="warm start", disable=not config.progress)
  for number in bar:
    preemption.look()
    params, opt, loss = one(params, opt, _rows(run, number * how.batch))
    if number % 20 == 0:
      bar.set_postfix(nats=f"{float(loss):.3f}")
  return params


def _rows(run: Run, cursor: int) -> dict[str, Array]:
  """Demonstrations from a place of the data order on, on the mesh."""
  how, task, s = run.config.warm_start, run.whole, run.programs.settings
  places = task.training_rows(run.config.seed, cursor, how.batch)
  rows = tasks.demonstration_batch(
    [task.train[i] for i in places],
    task.tokenizer,
    run.config.seed,
    cursor,
    s.prompt_width,
    s.length,
    typos=how.typos,
  )
  return mesh_lib.put(rows, mesh_lib.by_row(run.mesh))
