"""This library's GRPO step on a problem of the bench."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from configs import default
from experiments.side_by_side import own, problem
from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.training import build
from rlvr_jax.training.programs import Programs
from rlvr_jax.training.state import TrainState
from rlvr_jax.types import TokenBatch

# Rows of a device that the model runs on at a time, and how many widths these
# may have if lengths are ragged.
SLICE, WIDTHS = 8, 8


class Step:
  """One step after the other: rollout, rewards, advantages and one update.

  Sampled log-probs are exact, so there is no pass to score them again, and no
  reference policy. Calling it makes a step and returns tokens sampled.

  Args:
    sizes: of the decoder.
    shape: of prompts and responses.
    ragged: responses are of unlike lengths.
  """

  def __init__(self, sizes: problem.Sizes, shape: problem.Shape, ragged: bool):
    some = jax.devices()[: own.devices(sizes, shape.rows)]
    mesh = mesh_lib.make_mesh(devices=some)
    config = _config(shape, ragged, len(some))
    lengths = shape.longest, shape.new
    self._programs = p = build.assemble(
      config, sizes.config(), own.ENDS, *lengths, mesh
    )
    self._sample = own.sampling(p.model, shape, ragged, p.method.needs)
    self._prompts = mesh_lib.put(
      own.asked(sizes, shape, ragged), mesh_lib.by_row(mesh)
    )
    self._state = _begun(p, sizes)
    self._steps = iter(range(2**31))

  def __call__(self) -> int:
    """Makes a step."""
    key = jax.random.key(next(self._steps))
    batch = self._sample(self._state.params, *self._prompts, key=key)
    texts = _texts(batch)
    reward = np.array(problem.rewards(texts), np.float32)
    known = np.ones(len(texts), bool)
    p, state = self._programs, self._state
    batch, method, _ = p.prepare(state, batch, reward, known, {})
    state, _ = p.update(state.replace(method=method), None, batch, 0)
    self._state = jax.block_until_ready(state)
    return int(batch.mask.sum())


def unit(
  sizes: problem.Sizes, shape: problem.Shape, ragged: bool, dtype: str
) -> Callable[[], int]:
  """A function that makes a step and returns tokens sampled."""
  if dtype != "float32":
    raise ValueError(f"steps are timed in float32, got {dtype!r}.")
  return Step(sizes, shape, ragged)


def _config(shape: problem.Shape, ragged: bool, devices: int) -> ConfigDict:
  c, times = default.get_config(), problem.TURNS if ragged else 1
  c.model.remat = "none"  # Slices are small.
  c.rollout.update(dict(prompts=shape.prompts * times))
  c.rollout.update(dict(per_prompt=shape.group, mismatch_every=0))
  c.train.update(dict(updates=1, widths=WIDTHS if ragged else 1))
  c.train.slices = max(1, times * shape.rows // devices // SLICE)
  # Of unlike lengths, those of one slice are of many prompts.
  c.train.share_prompts = not ragged
  c.optimizer.update(dict(learning_rate=1e-6, decay=0, weight_decay=0.01))
  return c


def _begun(p: Programs, sizes: problem.Sizes) -> TrainState:
  """The state before the first step."""
  params = own.params(sizes, p.model)
  params = jax.device_put(params, mesh_lib.shardings(params, p.mesh))
  return jax.jit(p.init_state)(jax.random.key(0), params)


def _texts(batch: TokenBatch) -> list[str]:
  """Responses as a tokenizer of made-up words would write them."""
  tokens, mask = jax.device_get((batch.response, batch.mask))
  return [
    " ".join(f"t{token}" for token in row[:end].tolist())
    for row, end in zip(tokens, jnp.sum(mask, axis=1).tolist())
  ]
