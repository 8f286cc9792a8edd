"""Runs without labels: no reference answer is read, and none is missed."""

import dataclasses
import functools
import json

import jax.numpy as jnp
import numpy as np
import pytest

import runs
from configs import label_free
from golden_adapters import common
from rlvr_jax import methods, tasks, testing
from rlvr_jax.tasks import Problem
from rlvr_jax.training import build, loop
from toy_files import Words, jsonl

pytestmark = pytest.mark.usefixtures("quick_compile")


class Sealed(Problem):
  """A problem whose reference answer nobody may read."""

  @property
  def answer(self):
    raise AssertionError("a reference answer was read")


def small(folder, method, **changes):
  """The configuration of a method, cut to a few seconds."""
  c = label_free.get_config(f"method={method},tiny")
  c.model.update(runs.SIZES)
  c.steps, c.progress, c.warm_start.steps = 2, False, 5
  c.task.data_dir = str(folder / "data")
  for name, value in changes.items():
    section, _, field = name.rpartition("__")
    (c[section] if section else c)[field] = value
  return c


@pytest.fixture
def sealed(monkeypatch):
  """Every task is loaded with its training problems sealed."""
  load = tasks.load

  def of(*args, **kwargs):
    task = load(*args, **kwargs)
    train = [Sealed(*problem) for problem in task.train]
    return dataclasses.replace(task, train=train)

  monkeypatch.setattr(build.tasks, "load", of)


def lines(folder, name="metrics.jsonl"):
  return [json.loads(x) for x in (folder / "run" / name).open()]


LONG = [
  pytest.param(name, marks=pytest.mark.long)
  for name in label_free.METHODS
  if name != "ttrl"
]


@pytest.mark.parametrize("method", ["ttrl", *LONG])
def test_no_reference_answer_is_read(tmp_path, sealed, method):
  loop.train(small(tmp_path, method), tmp_path / "run")
  last = lines(tmp_path)[-1]
  assert last["policy/entropy"] > 0 and last["guard/skipped_fraction"] == 0
  assert last["update/gradient_norm"] is not None
  assert last["eval/pass@1"] is not None  # those to measure on are not sealed
  # Nor is anything told that would compare with them.
  known = [n for n in last if n.startswith("reward/") and last[n] is not None]
  assert known == ["reward/unknown_fraction"]
  accuracy = lines(tmp_path, "accuracy.jsonl")[-1]
  assert not any(share is not None for share in accuracy["right"])


@pytest.mark.long
def test_with_labels_they_are_read(tmp_path, sealed):
  c = small(tmp_path, "ttrl", task__labelled=True)
  with pytest.raises(AssertionError, match="a reference answer was read"):
    loop.train(c, tmp_path / "run")


@pytest.mark.parametrize(
  ("name", "own"), [("ttrl", "majority"), ("empo", "semantic")]
)
def test_what_would_compare_with_labels_is_unknown(name, own):
  method = methods.make(name)
  batch = testing.tiny(method).batch
  unknown = jnp.full(batch.reward.shape, jnp.nan)
  found = common.prepared(method, batch.replace(reward=unknown))
  compared = {n for n, x in found.metrics.items() if jnp.isnan(x)}
  for part in ("label_accuracy", "reward_accuracy", "solved_fraction"):
    assert f"{name}/{part}" in compared
  assert not any(own in n for n in compared)
  assert jnp.isfinite(found.reward).all()


def test_files_without_answers_are_learned_from(tmp_path):
  train = jsonl(
    tmp_path / "train.jsonl", [dict(prompt="1+1"), dict(prompt="2")]
  )
  rows = [dict(prompt="3+1", reward_model=dict(ground_truth="4"))]
  options = dict(
    train=(train,), evaluation=(jsonl(tmp_path / "e.jsonl", rows),)
  )
  load = functools.partial(
    tasks.load, "files", tokenizer=Words(), columns={}, **options
  )
  assert [p.answer for p in load(labelled=False).train] == ["", ""]
  assert [p.answer for p in load(labelled=False).evaluation] == ["4"]
  with pytest.raises(ValueError, match="nothing under 'reward_model"):
    load()


def test_nothing_is_left_of_what_shows_the_answers(tmp_path):
  problem = Problem("1+1=", "2", ("2",), 0)
  task = runs.task(str(tmp_path))
  bare = tasks.unlabelled(dataclasses.replace(task, train=[problem]))
  assert (bare.train[0].answer, bare.train[0].demonstrations) == ("", ())
  assert bare.evaluation == task.evaluation


@pytest.mark.parametrize(
  ("chain", "told"),
  [
    (("grpo",), "'grpo' reads the rewards"),
    (("group_filter", "ttrl", "grpo"), "'group_filter' reads the rewards"),
    (("overlong_shaping", "ttrl", "grpo"), "'overlong_shaping' reads"),
    (("pear", "grpo"), "'pear' reads the rewards"),
    (("grpo", "ttrl"), "'grpo' reads the rewards"),
    (("one_shot_rlvr", "t1"), "'t1' reads the rewards"),
    (("prime",), "'prime' reads the rewards"),
    (("ttrl", "prime"), "'prime' reads the rewards"),
  ],
)
def test_a_chain_that_reads_rewards_needs_labels(chain, told):
  c = runs.config(chain=chain)
  c.task.labelled = False
  assert told in runs.message(c)


def test_an_update_from_unknown_rewards_is_refused():
  p = runs.programs("grpo")
  state, ref = runs.start(p)
  before = np.asarray(state.params["embedding"])
  unknown = np.full(p.rows()[0], np.nan, np.float32)
  state, (_, *updates) = runs.step(p, state, ref, unknown)
  assert all(update["guard/skipped_fraction"] == 1 for update in updates)
  np.testing.assert_array_equal(state.params["embedding"], before)


@pytest.mark.long
@pytest.mark.parametrize("method", ["ttrl", "empo", "open_set_tta"])
def test_agreement_alone_raises_accuracy(tmp_path, sealed, method):
  c = label_free.get_config(f"method={method}")
  c.steps, c.progress, c.task.data_dir = 60, False, str(tmp_path / "data")
  loop.train(c, tmp_path / "run")
  found = [x["eval/pass@1"] for x in lines(tmp_path) if "eval/pass@1" in x]
  assert found[-1] > found[0] + 0.05
