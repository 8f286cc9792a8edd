import dataclasses
import json
import pathlib
import shutil

import jax
import numpy as np
import pytest

import runs
from rlvr_jax import rng, tasks
from rlvr_jax.analysis import data_selection
from rlvr_jax.training import build, host, loop, metrics, warm_start
from rlvr_jax.training import config as config_lib
from rlvr_jax.training import folder as run_folder

pytestmark = pytest.mark.usefixtures("quick_compile")

PROMISED = (
  "step",
  "reward/mean",
  "policy/entropy",
  "rollout/tokens_per_second",
  "time/step_seconds",
)
EVALUATED = ("eval/pass@1", "eval/pass@4", "eval/distinct_right")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  return tmp_path_factory.mktemp("loop")


def config(folder, **changes):
  data = dict(task__data_dir=str(folder / "data"))
  return runs.config(**data, **changes)


@pytest.fixture(scope="module")
def finished(folder):
  """A whole run with methods that keep state and ask for the reference."""
  c = config(
    folder,
    chain=("grpo", "entropy_bonus", "kl_penalty"),
    entropy_bonus=dict(adaptive="skywork"),
  )
  state = loop.train(c, folder / "run")
  return c, folder / "run", state


def lines(run):
  return [
    json.loads(x) for x in (run / "metrics.jsonl").read_text().split("\n") if x
  ]


def test_every_step_is_one_json_object_with_what_is_promised(finished):
  _, run, state = finished
  found = lines(run)
  assert [line["step"] for line in found] == [0, 1, 2, 3]
  assert int(state.step) == 4
  for line in found:
    assert all(name in line for name in PROMISED)
    assert all(v is None or np.isfinite(v) for v in line.values())


def test_evaluation_comes_first_every_so_often_and_last(finished):
  _, run, _ = finished
  evaluated = [line["step"] for line in lines(run) if EVALUATED[0] in line]
  assert evaluated == [0, 1, 3]
  assert all(name in lines(run)[-1] for name in EVALUATED)


def test_tensorboard_and_config_stand_beside_the_metrics(finished):
  _, run, _ = finished
  assert list((run / "tensorboard").glob("events*"))
  assert json.loads((run / "config.json").read_text())["steps"] == 4


def test_the_accuracy_of_every_problem_of_a_step_is_written_down(finished):
  c, run, _ = finished
  text = (run / "accuracy.jsonl").read_text()
  found = [json.loads(x) for x in text.splitlines()]
  assert [line["step"] for line in found] == [0, 1, 2, 3]
  size = len(build.build(c).task.train)
  order = tasks.prompts_at(c.seed, 0, 4 * c.rollout.prompts, size)
  assert sum((line["problems"] for line in found), []) == order.tolist()
  for line, metric in zip(found, lines(run)):
    mean = np.mean(line["right"])
    np.testing.assert_allclose(mean, metric["reward/mean"], rtol=1e-5)
  history = data_selection.read(run)
  assert history.shape == (order.max() + 1, 1)
  np.testing.assert_array_equal(history[order[-1]], found[-1]["right"][-1:])


def test_accuracy_is_of_the_main_draw_and_of_what_could_be_graded(finished):
  c, _, _ = finished
  run = build.build(c)
  problems = run.task.train[: c.rollout.prompts]
  rows = c.rollout.prompts * c.rollout.per_prompt
  reward = np.arange(rows + 2, dtype=np.float32) % 4 == 0
  known = np.ones(rows + 2, bool)
  known[0] = False  # a right one
  known[4:8] = False
  graded = tasks.Graded(reward, known, [])
  found = host.accuracy(run, problems, graded)
  assert found["problems"] == list(range(c.rollout.prompts))
  assert found["right"][0] == 0 and np.isnan(found["right"][1])
  assert found["right"][2:] == [0.25] * (c.rollout.prompts - 2)


def test_only_the_problems_of_the_subset_are_trained_on(finished, folder):
  _, run, _ = finished
  c = config(folder, steps=1, task__subset=(5, 3))
  c.warm_start.folder = str(run / "warm_start")  # of all problems
  built = build.build(c)
  assert [p.index for p in built.task.train] == [5, 3]
  assert built.task.evaluation == built.whole.evaluation
  problems, _ = host.encoded(built, cursor=0)
  assert sorted({p.index for p in problems}) == [3, 5]
  assert len(problems) == c.rollout.prompts
  warm_start.check(c, folder / "subset")
  every = config(folder, steps=1)
  assert build.build(every).task is not built.task
  assert warm_start.identity(c) == warm_start.identity(every)


def test_a_problem_that_the_task_does_not_have_is_refused(folder):
  c = config(folder, task__subset=(0, 10**6))
  with pytest.raises(config_lib.ConfigError, match=r"holds \[1000000\], but"):
    loop.train(c, folder / "refused")
  assert not (folder / "refused").exists()


def test_a_finished_run_started_again_does_nothing(finished):
  c, run, state = finished
  written = ("metrics.jsonl", "accuracy.jsonl")
  before = [(run / name).read_text() for name in written]
  again = loop.train(c, run)
  assert [(run / name).read_text() for name in written] == before
  assert int(again.step) == int(state.step)


def test_a_run_whose_checkpoints_are_gone_never_begins_anew(finished, folder):
  c, run, _ = finished
  lost = folder / "lost"
  shutil.copytree(run, lost)
  c = c.copy_and_resolve_references()
  c.checkpoint.every = 1  # The third line is written after a save has ended.
  for path in (lost / "checkpoints").iterdir():
    shutil.rmtree(path)
  with pytest.raises(config_lib.ConfigError) as caught:
    loop.train(c, lost)
  told = str(caught.value)
  assert f"{lost / 'metrics.jsonl'} goes up to step 3" in told
  assert "remove metrics.jsonl to begin again" in told
  assert len(lines(lost)) == 4


def test_a_run_killed_in_its_first_save_begins_anew(tmp_path):
  text = "".join(json.dumps({"step": step}) + "\n" for step in range(4))
  (tmp_path / "metrics.jsonl").write_text(text)
  run_folder.check_not_lost(tmp_path, every=2)
  with pytest.raises(config_lib.ConfigError, match="no checkpoint"):
    run_folder.check_not_lost(tmp_path, every=1)


def test_a_run_with_another_config_is_refused(finished):
  c, run, _ = finished
  other = c.copy_and_resolve_references()
  other.optimizer.learning_rate = 1.0
  with pytest.raises(ValueError, match="config.optimizer.learning_rate"):
    loop.train(other, run)


def test_a_warm_start_of_another_config_is_refused(finished, folder):
  c, run, _ = finished
  other = c.copy_and_resolve_references()
  other.warm_start.folder = str(run / "warm_start")
  other.warm_start.steps += 1
  with pytest.raises(ValueError, match="warm_start.steps"):
    loop.train(other, folder / "other")


def test_a_refused_run_leaves_its_folder_to_the_corrected_one(finished, folder):
  c, run, _ = finished
  other = c.copy_and_resolve_references()
  other.warm_start.folder = str(run / "warm_start")
  other.model.width += 16
  claimed = folder / "claimed"
  with pytest.raises(config_lib.ConfigError, match="model.width"):
    loop.train(other, claimed)
  other.model.width -= 16
  config_lib.check(other, claimed)
  assert not claimed.exists()


def _cut(path, text):
  with path.open("w") as file:
    file.write(text[: len(text) // 2])
  raise KeyboardInterrupt


def _stop(path, target):
  raise KeyboardInterrupt


@pytest.mark.parametrize(
  ("call", "stop"), [("write_text", _cut), ("replace", _stop)]
)
def test_a_kill_while_the_config_is_written_leaves_the_old_one_whole(
  finished, monkeypatch, call, stop
):
  c, run, _ = finished
  before = (run / "config.json").read_text()
  other = c.copy_and_resolve_references()
  other.label = "renamed"
  with monkeypatch.context() as patch:
    patch.setattr(pathlib.Path, call, stop)
    with pytest.raises(KeyboardInterrupt):
      loop.train(other, run)
  assert (run / "config.json").read_text() == before
  config_lib.check(c, run)


def test_the_config_is_written_again_only_if_it_changed(tmp_path):
  path = tmp_path / "config.json"
  config_lib.write(path, dict(a=1))
  first = path.stat()
  config_lib.write(path, dict(a=1))
  assert path.stat().st_ino == first.st_ino
  config_lib.write(path, dict(a=2))
  assert config_lib.read(path) == dict(a=2)
  assert [p.name for p in tmp_path.iterdir()] == ["config.json"]


@pytest.mark.long
def test_a_policy_that_diverges_stops_the_run_with_a_remedy(folder):
  # Decay by 1e38 of themselves: the parameters overflow at once.
  o = dict(optimizer__learning_rate=1.0, optimizer__weight_decay=1e38)
  c = config(folder, steps=8, **o)
  with pytest.raises(FloatingPointError, match="learning_rate"):
    loop.train(c, folder / "diverged")


def test_a_step_of_unknown_rewards_stops_the_run(finished, folder, monkeypatch):
  _, run, _ = finished
  c = config(folder, steps=1)
  c.warm_start.folder = str(run / "warm_start")
  built = build.build(c)
  task = dataclasses.replace(
    built.task, grade=tasks.each(lambda problem, text: None)
  )
  monkeypatch.setattr(loop, "build", lambda config: built._replace(task=task))
  with pytest.raises(RuntimeError, match="32 of 32 rewards of this step"):
    loop.train(c, folder / "unknown")


def test_a_killed_run_s_later_lines_and_its_cut_last_line_are_dropped(tmp_path):
  path = tmp_path / "metrics.jsonl"
  path.write_text('{"step": 0, "a": 1.0}\n{"step": 1, "a": 2.0}\n{"step": 2, "')
  writer = metrics.JsonWriter(path, start=1)
  writer.write(1, {"a": np.float32(0.1), "b": float("nan")})
  writer.write(2, {"problems": [3, 5], "right": [0.5, float("nan")]})
  writer.close()
  assert lines(tmp_path) == [
    {"step": 0, "a": 1.0},
    {"step": 1, "a": 0.1, "b": None},
    {"step": 2, "problems": [3, 5], "right": [0.5, None]},
  ]


def test_warm_start_is_not_the_same_for_another_seed(folder):
  identity = warm_start.identity
  assert identity(config(folder)) != identity(config(folder, seed=1))
  assert identity(config(folder)) == identity(config(folder, steps=9))


def test_a_warm_start_stays_the_same_when_the_data_move(folder):
  moved = runs.config(task__data_dir=str(folder / "elsewhere"))
  assert warm_start.identity(config(folder)) == warm_start.identity(moved)


@pytest.mark.parametrize("updates", [1, 4])
def test_the_learning_rate_rises_and_falls_with_the_rl_steps(updates):
  rises = dict(optimizer__warmup=5, optimizer__decay=20, train__updates=updates)
  rate = build.learning_rate(runs.config(optimizer__learning_rate=0.4, **rises))
  at = [float(rate(step * updates)) for step in (0, 1, 5, 10, 25)]
  np.testing.assert_allclose(at, [0, 0.08, 0.4, 0.3, 0], atol=1e-7)


def test_without_decay_the_learning_rate_stays():
  rate = build.learning_rate(runs.config(optimizer__decay=0))
  assert float(rate(0)) == float(rate(10**6))


def test_purposes_and_names_have_their_own_dice():
  base = jax.random.key(0)
  data = lambda k: tuple(np.asarray(jax.random.key_data(k)))
  keys = {data(rng.key(base, p, s)) for p in rng.Purpose for s in range(3)}
  assert len(keys) == 3 * len(rng.Purpose)
  assert data(rng.named(base, "a")) != data(rng.named(base, "b"))
