"""Looks at a policy as training would meet it, and changes nothing.

A rollout of a run, from its warm start or its newest checkpoint, graded and
with the advantages of its chain: what the analyses of tokens are made on.
"""

import os
import pathlib
from typing import NamedTuple

from ml_collections import ConfigDict

from rlvr_jax.analysis import token_change
from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.sampling import sampler
from rlvr_jax.training import config as config_lib
from rlvr_jax.training import drawing, policy_step, resume, warm_start
from rlvr_jax.training.build import build
from rlvr_jax.training.checkpoint import Checkpoints
from rlvr_jax.training.state import TrainState
from rlvr_jax.training.watch import Watch
from rlvr_jax.types import Array, PyTree, TokenBatch


class Seen(NamedTuple):
  """A rollout as its step would learn from it."""

  batch: TokenBatch  # with advantages, and of each token entropy and log-prob
  entropy: Array  # f32[B, T] nats, of the policy that sampled
  pieces: list[list[str]]  # [B][T] text of each response token


class Probe:
  """A run that is looked at.

  Args:
    config: of the run; its chain must not learn a model of rewards.
    workdir: of the run. The newest checkpoint in it is read; without one the
      warm start is, and it is made if it is missing.
    at_start: look at the warm start in any case.

  Attributes:
    run: as it was built.
    params: of the policy.

  Raises:
    ValueError: the configuration is wrong, or its chain has a learner.
  """

  def __init__(
    self,
    config: ConfigDict,
    workdir: str | os.PathLike,
    at_start: bool = False,
  ):
    config_lib.check(config, workdir)
    self.run = run = build(config)
    if run.programs.learn:
      raise ValueError(
        f"config.chain = {config.chain} learns a model of rewards in the same "
        "step, which would change it; probe with a chain such as ('grpo',)."
      )
    params = warm_start.load_or_train(run, workdir)
    self._ref = run.programs.weights.frozen(params)
    if at_start:
      self._state = resume.begin(run, params)
    else:
      self._state = self._newest(params, pathlib.Path(workdir) / "checkpoints")
    self.params = run.programs.weights.whole(self._state.params, self._ref)
    self._measure = policy_step.measure(
      run.programs.model,
      slices=run.programs.settings.slices,
      chunk=run.programs.settings.chunk,
    )

  def _newest(self, params: PyTree, folder: pathlib.Path) -> TrainState:
    kept = Checkpoints(folder, read_only=True)
    state = resume.start(self.run, params, self._ref, kept)
    kept.close()
    return state

  def rollout(self, ahead: int = 0) -> Seen:
    """Returns the rollout that the next step would learn from.

    Args:
      ahead: steps by which dice and problems are those of a later one.
    """
    run, state = self.run, self._state
    step = int(state.step) + ahead
    cursor = int(state.cursor) + ahead * run.programs.settings.prompts
    put = lambda x, like: mesh_lib.put(like.dtype.type(x), like.sharding)
    state = state.replace(
      step=put(step, state.step), cursor=put(cursor, state.cursor)
    )
    found = drawing.Drawing(run, state, self._ref, Watch()).rollout()
    outcome = found.graded.reward, found.graded.known
    batch, _, _ = run.programs.prepare(state, found.rows, *outcome, found.notes)
    text = run.task.tokenizer.decode
    pieces = [
      [text([token]) for token in row] for row in batch.response.tolist()
    ]
    return Seen(batch, batch.stats[sampler.ENTROPY.key], pieces)

  def step(self, batch: TokenBatch, learning_rate: float) -> token_change.Step:
    """Measures one plain policy-gradient step on a rollout; see `policy_step`.

    Args:
      batch: of `rollout`.
      learning_rate: of gradient descent.
    """
    return self._measure(self.params, batch, learning_rate)

  def tabular_step(
    self, batch: TokenBatch, learning_rate: float
  ) -> token_change.Step:
    """The same where no two prefixes share weights; see `policy_step`."""
    model = self.run.programs.model
    return policy_step.tabulated(model, self.params, batch, learning_rate)
