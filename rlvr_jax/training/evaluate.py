"""Evaluation: sample every held-out problem several times and count."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rlvr_jax import rng, tasks
from rlvr_jax.analysis import answers
from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.models.transformer import Transformer
from rlvr_jax.sampling import sampler
from rlvr_jax.types import Array, Draw, PyTree, TokenBatch


class Evaluation(NamedTuple):
  """How to evaluate."""

  samples: int  # per problem
  ks: tuple[int, ...]  # of pass@k
  temperature: float
  prompt_width: int
  length: int


def decode(task: tasks.Task, batch: TokenBatch) -> list[str]:
  """The text of every row's response."""
  return [task.tokenizer.decode(row) for row in np.asarray(batch.response)]


class Evaluator:
  """Figures of a policy on the evaluation split of a task."""

  def __init__(
    self,
    task: tasks.Task,
    model: Transformer,
    how: Evaluation,
    mesh: jax.sharding.Mesh,
  ):
    self.task, self.how, self.mesh = task, how, mesh
    ends = sampler.Ends(task.tokenizer.eos_id, task.tokenizer.pad_id)
    draw = Draw("evaluate", how.samples, temperature=how.temperature)
    self._sample = jax.jit(
      functools.partial(
        sampler.rollout,
        draws=(draw,),
        model=model,
        length=how.length,
        ends=ends,
      )
    )

  def __call__(self, params: PyTree, key: Array, step: int) -> dict[str, float]:
    """Samples and grades; the dice depend on the key and the step alone.

    Args:
      params: of the policy.
      key: of the run.
      step: of the run.

    Returns:
      Numbers named `eval/...`.
    """
    how, problems = self.how, list(self.task.evaluation)
    prompts = tasks.encode_prompts(
      problems, self.task.tokenizer, how.prompt_width
    )
    batch = self._sample(
      params,
      *(_padded(x, self.mesh) for x in prompts),
      key=rng.key(key, rng.Purpose.EVALUATE, step),
    )
    texts = decode(self.task, batch)[: len(problems) * how.samples]
    repeated = [p for p in problems for _ in range(how.samples)]
    graded = tasks.grade(self.task, repeated, texts)
    shape = (len(problems), how.samples)
    right = np.reshape(graded.reward >= 1, shape)
    rows = range(0, len(texts), how.samples)
    said = [graded.answers[i : i + how.samples] for i in rows]
    return answers.summarise(said, right, how.ks)


def _padded(x: np.ndarray, mesh: jax.sharding.Mesh) -> Array:
  """X on the mesh, its rows repeated at the end until the devices fit."""
  extra = -len(x) % mesh_lib.row_parts(mesh)
  x = np.concatenate([x, x[np.arange(extra) % len(x)]])
  return jax.device_put(jnp.asarray(x), mesh_lib.by_row(mesh))
