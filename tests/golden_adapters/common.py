"""What the adapters share: reading cases, making batches, comparing numbers."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import rlvr_jax
from rlvr_jax import objective
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import LOGP_KEY, Array, Clock, TokenBatch

Numbers = Mapping[str, np.ndarray]


class Case(NamedTuple):
  """One numbered case of a file; 0-d arrays are Python numbers or strings."""

  inputs: dict[str, np.ndarray]
  hp: dict[str, np.ndarray | float | int | str]
  out: dict[str, np.ndarray | float | int]


def cases(vectors: Numbers) -> Iterator[tuple[int, Case]]:
  """The cases of a file, by rising number.

  Keys that are not `case<i>_<in|hp|out>_<name>` are left to the adapter.
  """
  found = {}
  for key in vectors:
    match = re.fullmatch(r"case(\d+)_(in|hp|out)_(.+)", key)
    if match:
      number, part, name = int(match[1]), match[2], match[3]
      case = found.setdefault(number, Case({}, {}, {}))
      value = np.asarray(vectors[key])
      field = {"in": case.inputs, "hp": case.hp, "out": case.out}[part]
      field[name] = value.item() if value.ndim == 0 else value
  yield from sorted(found.items())


def assert_covered(
  where: str, case: Case, checked: Collection[str], pending: Collection[str]
) -> None:
  """Fails for an output that is neither checked nor knowingly left out."""
  left = sorted(set(case.out) - set(checked) - set(pending))
  assert not left, f"{where}: no check reads the outputs {left}."


def batch(
  old_log_prob: np.ndarray,
  advantages: np.ndarray | None,
  response_mask: np.ndarray,
  *,
  reward: np.ndarray | None = None,
  group: np.ndarray | None = None,
  prompt: np.ndarray | None = None,
  source: np.ndarray | None = None,
  turn: np.ndarray | None = None,
  sample_logp: np.ndarray | None = None,
  stats: Numbers | None = None,
  notes: Numbers | None = None,
) -> TokenBatch:
  """A TokenBatch around golden arrays; what is not given is zero.

  Args:
    old_log_prob: f32[B, T].
    advantages: f32[B, T], or None for zeros.
    response_mask: [B, T] of anything; non-zero counts.
    reward: f32[B].
    group: [B] labels of any kind; equal labels form a group. One group of all
      rows if None.
    prompt: i32[B]; the number of the group if None.
    source: i32[B].
    turn: i32[B, T].
    sample_logp: f32[B, T]; the old log-probs if None.
    stats: f32[B, T] by Need.key, for needs with when="rollout".
    notes: f32/i32[B] by name.

  Returns:
    A TokenBatch with one prompt position.
  """
  mask = jnp.asarray(np.asarray(response_mask) != 0)
  rows, length = mask.shape
  number = lambda x, shape: (
    jnp.zeros(shape, jnp.float32)
    if x is None
    else jnp.asarray(x, jnp.float32).reshape(shape)
  )
  whole = lambda x, shape: (
    jnp.zeros(shape, jnp.int32) if x is None else jnp.asarray(x, jnp.int32)
  )
  if group is not None:
    group = np.unique(np.asarray(group), return_inverse=True)[1].reshape(-1)
  old = number(old_log_prob, mask.shape)
  return TokenBatch(
    tokens=jnp.zeros((rows, 1 + length), jnp.int32),
    prompt_mask=jnp.ones((rows, 1), bool),
    mask=mask,
    turn=whole(turn, mask.shape),
    prompt=whole(group if prompt is None else prompt, (rows,)),
    group=whole(group, (rows,)),
    source=whole(source, (rows,)),
    reward=number(reward, (rows,)),
    sample_logp=old if sample_logp is None else number(sample_logp, mask.shape),
    score_temperature=jnp.ones(rows, jnp.float32),
    old_logp=old,
    advantages=number(advantages, mask.shape),
    stats={k: jnp.asarray(v) for k, v in (stats or {}).items()},
    notes={k: jnp.asarray(v) for k, v in (notes or {}).items()},
    metrics={},
  )


def prepared(
  method: LossTransform, rollout: TokenBatch, seed: int = 0
) -> TokenBatch:
  """The batch after the method's `prepare`, from its initial state."""
  method = rlvr_jax.chain(method)

  @jax.jit
  def run(rollout, key):
    state, clock = method.init(rollout), Clock(0, 0, key)
    return rlvr_jax.prepare(method)(rollout, state, clock)[0]

  return run(rollout, jax.random.key(seed))


def loss_and_grad(
  method: LossTransform,
  rollout: TokenBatch,
  log_prob: np.ndarray,
  *,
  clip: tuple[float, float] = (0.2, 0.2),
  mode: objective.Aggregation = "token-mean",
  scale: float | None = None,
  stats: Numbers | None = None,
  seed: int = 0,
) -> tuple[Array, Array, dict[str, Array]]:
  """The loss, its gradient by the current log-probs, and the metrics.

  Args:
    method: a transform or a chain; only its `apply` runs.
    rollout: the minibatch, advantages included.
    log_prob: f32[B, T] current log-probs.
    clip: as in `rlvr_jax.loss`.
    mode: as in `rlvr_jax.loss`.
    scale: as in `rlvr_jax.loss`.
    stats: f32[B, T] by Need.key, for needs with when="update".
    seed: of the run's key.

  Returns:
    (f32[], f32[B, T], metrics).
  """
  method = rlvr_jax.chain(method)
  loss_fn = rlvr_jax.loss(method, clip=clip, mode=mode, scale=scale)
  state = method.init(rollout)
  clock = Clock(0, 0, jax.random.key(seed))
  given = {k: jnp.asarray(v) for k, v in (stats or {}).items()}

  def run(logp):
    value, (_, metrics) = loss_fn(
      given | {LOGP_KEY: logp}, rollout, state, clock
    )
    return value, metrics

  grad = jax.jit(jax.value_and_grad(run, has_aux=True))
  (value, metrics), gradient = grad(jnp.asarray(log_prob, jnp.float32))
  return value, gradient, metrics


def assert_close(
  name: str,
  got: Array | np.ndarray | float,
  want: np.ndarray | float,
  rtol: float = 1e-5,
  atol: float = 1e-6,
) -> None:
  """Fails with the largest error, where it is, and both values.

  Args:
    name: what is compared, e.g. "case3: gradient".
    got: what this library gives.
    want: the reference.
    rtol: allowed error relative to the reference.
    atol: allowed error besides.
  """
  got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
  assert got.shape == want.shape, f"{name}: shape {got.shape} != {want.shape}"
  same = (got == want) | (np.isnan(got) & np.isnan(want))
  with np.errstate(invalid="ignore"):
    error = np.where(same, 0.0, np.abs(got - want))
    excess = error - (atol + rtol * np.abs(want))
  excess = np.where(same, -1.0, np.where(np.isnan(excess), np.inf, excess))
  if excess.size and excess.max() > 0:
    at = np.unravel_index(np.argmax(excess), excess.shape)
    place = f" at {tuple(int(i) for i in at)}" if at else ""
    raise AssertionError(
      f"{name}: {int((excess > 0).sum())} of {excess.size} differ; worst"
      f"{place}: got {float(got[at])!r}, want {float(want[at])!r}, error "
      f"{error[at]:.3g} (rtol {rtol:g}, atol {atol:g})"
    )
