"""What a step with dynamic sampling learns from, by as many processes.

Called as a program, each process prints what it knows in the end.
"""

import dataclasses
import json
import sys

import numpy as np

import runs
from rlvr_jax import processes, tasks
from rlvr_jax.training import build, drawing, loop
from rlvr_jax.training.watch import Watch


def grade(problem: tasks.Problem, text: str) -> float:
  """Of every other problem, responses differ; all others are too hard."""
  return float(problem.index % 2 and sum(map(ord, text)) % 2)


def outcome(data_dir: str) -> dict:
  """The rollout of the first step, and what the step made of it."""
  # Groups are torn, rows are drawn again, and their text is asked for. The
  # entropy has a gradient even where all answers are alike.
  c = runs.config(
    chain=("seed_grpo", "aepo", "entropy_bonus"),
    aepo=dict(target_entropy=1.0, per_prompt=2, rows=4),
    entropy_bonus=dict(coef=0.1),
    task__data_dir=data_dir,
    rollout__per_prompt=3,
    model__layers=1,
  )
  c.rollout.dynamic.metric, c.rollout.dynamic.factor = "correct", 0.5
  run = build.build(c)
  task = dataclasses.replace(run.task, grade=tasks.each(grade))
  run = run._replace(task=task)
  state, ref = runs.start(run.programs)
  rollout = drawing.Drawing(run, state, ref, Watch()).rollout()
  state, line, _ = loop.one_step(run, state, ref)
  return {
    "reward": rollout.graded.reward.tolist(),
    "answers": rollout.graded.answers,
    "notes": {k: np.asarray(v).tolist() for k, v in rollout.notes.items()},
    "accuracy": rollout.accuracy,
    "cursor": int(state.cursor),
    "batches": line["rollout/batches"],
    "norm": line["update/gradient_norm"],
  }


def main(data_dir: str) -> None:
  processes.start()
  found = outcome(data_dir)
  processes.meet()
  print("RESULT" + json.dumps(found))


if __name__ == "__main__":
  main(*sys.argv[1:])
