"""What a method adds to the time of an update, measured against another run.

Two runs take turns, update by update, so that a slow moment of the machine
falls on both; the figure is the median of the ratios.
"""

import time
from typing import NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from rlvr_jax.training.build import build
from rlvr_jax.training.host import annotate, encoded
from rlvr_jax.training.state import TrainState, layout
from rlvr_jax.types import TokenBatch


class Cost(NamedTuple):
  """What an update takes."""

  seconds: float  # median of an update
  ratio: float  # to the other run's, median
  extra_passes: float  # of a step, see `Plan.cost`
  extra_rows: float


class Bench:
  """A run whose updates can be timed one by one, on random rewards.

  Args:
    config: of the run.
  """

  def __init__(self, config: ConfigDict):
    self.run = run = build(config)
    init = run.programs.init_state
    params = run.programs.model.init(run.key)
    self.ref = run.programs.weights.frozen(params)
    where = layout(jax.eval_shape(init, run.key, params), run.mesh)
    begin = jax.jit(init, out_shardings=where)
    self.state: TrainState = begin(run.key, params)
    self.batch = self._prepared()
    self.seconds()  # compiles

  def _prepared(self) -> TokenBatch:
    run, ref = self.run, self.ref
    problems, prompts = encoded(run, 0)
    batch = run.programs.sample(self.state, ref, *prompts, text=run.text)
    asked = [problems[i] for i in run.programs.plan.row_prompts()]
    dice = np.random.default_rng(0)
    reward = dice.integers(0, 2, len(asked)).astype(np.float32)
    answers = [str(a) for a in dice.integers(0, 4, len(asked))]
    notes = annotate(run, batch, asked, answers, answers)
    outcome = reward, np.ones(len(asked), bool)
    if run.programs.learn:
      learn = run.programs.learn
      self.state, batch, _ = learn(self.state, ref, batch, *outcome)
    return run.programs.prepare(self.state, batch, *outcome, notes)[0]

  def seconds(self) -> float:
    """Makes one update and returns what it took, seconds."""
    began = time.perf_counter()
    self.state, numbers = self.run.programs.update(
      self.state, self.ref, self.batch, 0
    )
    jax.block_until_ready(numbers)
    return time.perf_counter() - began


def measure(config: ConfigDict, baseline: Bench, rounds: int) -> Cost:
  """Times the updates of a run in turns with those of another.

  Args:
    config: of the run; takes the prompts, responses and minibatches of the
      other, so that an update is of as many rows.
    baseline: the run it is compared with.
    rounds: updates of each.

  Returns:
    A Cost.
  """
  config, other = config.copy_and_resolve_references(), baseline.run.config
  config.train.updates = other.train.updates
  config.rollout.update(other.rollout)
  one = Bench(config)
  turns = [(one.seconds(), baseline.seconds()) for _ in range(rounds)]
  seconds, others = np.array(turns).T
  ratio = np.median(seconds / others)
  extra = one.run.programs.cost()
  return Cost(float(np.median(seconds)), float(ratio), *extra.values())
