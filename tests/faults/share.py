"""What the host does of a step, by as many processes as there are.

Called as a program, each process prints what it knows in the end.
"""

import json
import sys
import types

import jax
import numpy as np

from rlvr_jax import notes, processes, tasks
from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.tasks.tokenizer import CharTokenizer
from rlvr_jax.training import host
from rlvr_jax.training.supervised import token_batch
from rlvr_jax.types import Need
from rlvr_jax.verify import clusters

# 2 draws of 8 problems with 3 and of 2 with 2 responses: with 4 devices that
# hold 7 rows each, a group of 3 lies on two processes.
ANSWERED = np.concatenate([np.repeat(range(8), 3), np.repeat(range(2), 2)])
GROUP = np.concatenate([np.repeat(range(8), 3), np.repeat((8, 9), 2)])
GROUP = GROUP.astype(np.int32)
LETTERS = "abAB"
TOKENIZER = CharTokenizer(LETTERS)


def rollout(mesh: jax.sharding.Mesh):
  """Made-up responses of two letters, the same in every process."""
  dice = np.random.default_rng(0)
  letters = dice.choice([*LETTERS], (len(GROUP), 2))
  texts = ["".join(row) for row in letters]
  ids = np.array([TOKENIZER.encode(text) for text in texts])
  rows = dict(
    tokens=np.pad(ids, ((0, 0), (1, 0))).astype(np.int32),
    prompt_mask=np.ones((len(ids), 1), bool),
    mask=np.ones(ids.shape, bool),
  )
  on_mesh = mesh_lib.put({**rows, "group": GROUP}, mesh_lib.by_row(mesh))
  return token_batch(rows).replace(**on_mesh)


def outcome(mesh: jax.sharding.Mesh, grams: str) -> dict:
  """Rewards and notes of all rows, and which rows were graded here.

  Args:
    mesh: of four devices.
    grams: file of strategic grams.
  """
  graded_here = []

  def grade(problem, text):
    graded_here.append(text)
    return None if text == "bb" else float(text[0] == "a")

  agree = tasks.agreeing(
    lambda problem, text: text[0],
    clusters.both_ways(lambda a, b: a.lower() == b.lower()),
  )
  needs = notes.ANSWER, Need(notes.StrategicGrams(grams), when="rollout")
  task = types.SimpleNamespace(
    bounds=(0, 1),
    tokenizer=TOKENIZER,
    agree=agree,
    grade=tasks.each(grade),
    extract=lambda problem, text: text[0],
    name="made up",
  )
  run = types.SimpleNamespace(
    task=task,
    programs=types.SimpleNamespace(notes=needs),
    config=types.SimpleNamespace(task=types.SimpleNamespace(labelled=True)),
  )
  problems = [tasks.Problem(f"p{i}", "a", (), i) for i in ANSWERED]
  batch = rollout(mesh)
  texts = host.decode(task, batch)
  graded = host.graded(run, batch, problems, texts)
  noted = host.annotate(run, batch, problems, texts, graded.answers)
  return {
    "reward": graded.reward.tolist(),
    "known": graded.known.tolist(),
    "answers": graded.answers,
    "notes": {name: value.tolist() for name, value in noted.items()},
    "graded_here": graded_here,
  }


def main(grams: str) -> None:
  processes.start()
  found = outcome(mesh_lib.make_mesh(), grams)
  mine = processes.is_first()
  found["someone"] = processes.any_of(not mine)
  found["nobody"] = processes.any_of(False)
  found["said"] = processes.exchange(["x" * 100 * jax.process_index()])
  processes.meet()
  print("RESULT" + json.dumps(found))


if __name__ == "__main__":
  main(*sys.argv[1:])
