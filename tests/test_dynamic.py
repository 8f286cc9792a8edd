"""Dynamic sampling: prompts are drawn until enough groups are mixed."""

import dataclasses
import functools
import itertools
import json
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import runs
from rlvr_jax import tasks
from rlvr_jax.models.mesh import make_mesh
from rlvr_jax.training import build, drawing, host, keeping, loop, preemption
from rlvr_jax.training.merging import Merging
from rlvr_jax.training.plan import Block, Plan
from rlvr_jax.training.settings import Dynamic
from rlvr_jax.training.supervised import token_batch
from rlvr_jax.training.watch import Watch

pytestmark = pytest.mark.usefixtures("quick_compile")

PROMPTS, RESPONSES = 8, 4


def of_some(problem, text):
  """Of every other problem, responses differ; all others are too hard."""
  return float(problem.index % 2 and sum(map(ord, text)) % 2)


def of_all(problem, text):
  """Hardly any two responses have one reward."""
  return sum(number * ord(c) for number, c in enumerate(text, 1)) % 997 / 997


def config(folder, metric="correct", factor=1.0, **changes):
  c = runs.config(
    task__data_dir=str(folder / "data"),
    rollout__prompts=PROMPTS,
    rollout__per_prompt=RESPONSES,
    warm_start__steps=0,
    model__layers=1,
    **changes,
  )
  c.evaluation.every = 100
  c.rollout.dynamic.metric, c.rollout.dynamic.factor = metric, factor
  return c


def built(c, grade, devices=1):
  with pytest.MonkeyPatch.context() as patch:
    make = functools.partial(make_mesh, devices=jax.devices()[:devices])
    patch.setattr(build.mesh_lib, "make_mesh", make)
    run = build.build(c)
  grade = tasks.each(grade)
  return run._replace(task=dataclasses.replace(run.task, grade=grade))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  return tmp_path_factory.mktemp("dynamic")


@pytest.fixture(scope="module")
def run(folder):
  return built(config(folder), of_some)


@pytest.fixture(scope="module")
def rollout(run):
  """What the first step learns from."""
  return drawn(run, start(run))


def start(run):
  """A state; nothing asks for a reference policy."""
  return runs.start(run.programs)[0]


def drawn(run, state):
  return drawing.Drawing(run, state, None, Watch()).rollout()


def test_a_step_has_just_the_groups_that_it_wants_and_all_are_mixed(
  run, rollout
):
  reward = rollout.graded.reward.reshape(PROMPTS, RESPONSES)
  assert rollout.graded.known.all()
  assert (reward.min(axis=1) < reward.max(axis=1)).all()
  texts = [run.task.tokenizer.decode(row) for row in rollout.rows.response]
  asked = [problem_of(run, row) for row in np.asarray(rollout.rows.tokens)]
  assert [of_some(*row) for row in zip(asked, texts)] == reward.ravel().tolist()
  groups = np.repeat(np.arange(PROMPTS), RESPONSES)
  np.testing.assert_array_equal(rollout.rows.group, groups)
  np.testing.assert_array_equal(rollout.rows.prompt, groups)


def problem_of(run, tokens):
  """The training problem whose prompt a row begins with."""
  prompt = run.task.tokenizer.decode(tokens).partition("=")[0] + "="
  (found,) = (p for p in run.task.train if p.prompt == prompt)
  return found


def test_what_is_kept_comes_first_in_the_order_of_the_data(run, rollout):
  drawn, right = rollout.accuracy["problems"], rollout.accuracy["right"]
  order = run.task.training_rows(run.config.seed, 0, len(drawn))
  assert drawn == [run.task.train[i].index for i in order]
  mixed = [p for p, share in zip(drawn, right) if 0 < share < 1]
  rows = np.asarray(rollout.rows.tokens)[::RESPONSES]
  kept = [problem_of(run, row).index for row in rows]
  assert kept == mixed[:PROMPTS]
  # No batch is drawn that is not needed, and all that are drawn are consumed.
  batches, left = divmod(len(drawn), PROMPTS)
  before = [p for p in mixed if p in drawn[:-PROMPTS]]
  assert len(before) < PROMPTS < rollout.cursor == len(drawn) and not left
  told = rollout.metrics
  assert told["rollout/batches"] == batches
  assert told["rollout/kept_fraction"] == len(mixed) / len(drawn)
  np.testing.assert_allclose(told["reward/drawn_mean"], np.mean(right))
  assert told["rollout/tokens"] > rollout.rows.mask.sum()


def outcome(run, state):
  """A step's parameters, numbers and accuracies, its cursor, and its state."""
  state, line, accuracy = loop.one_step(run, state, None)
  timed = lambda name: name.startswith("time/") or "per_second" in name
  line = {k: v for k, v in line.items() if not timed(k)}
  params = jax.device_get(state.params)
  return (params, line, accuracy, int(state.cursor)), state


def same(got, want):
  jax.tree.map(np.testing.assert_array_equal, got, want)


def test_stopped_between_two_batches_a_step_is_made_again_the_same(
  run, monkeypatch
):
  looks = iter([False, False, True])
  with monkeypatch.context() as patch:
    patch.setattr(preemption, "reached", lambda: next(looks))
    state = start(run)
    with pytest.raises(preemption.Preempted):
      loop.one_step(run, state, None)
  assert int(state.cursor) == 0
  got, _ = outcome(run, state)
  same(got, outcome(run, start(run))[0])
  assert got[-1] > PROMPTS


def test_killed_and_resumed_a_run_ends_with_the_bits_of_one_left_in_peace(
  run, folder, monkeypatch
):
  monkeypatch.setattr(loop, "build", lambda c: run._replace(config=c))
  monkeypatch.setattr(loop.config_lib, "check", lambda *_: None)
  c = config(folder, steps=6)
  c.checkpoint.every = 3
  peace, war = folder / "peace", folder / "war"
  state = loop.train(c, peace)
  calls, real = itertools.count(), loop.one_step

  def killed(*args):
    if next(calls) == 4:
      raise KeyboardInterrupt
    return real(*args)

  with monkeypatch.context() as patch:
    patch.setattr(loop, "one_step", killed)
    with pytest.raises(KeyboardInterrupt):
      loop.train(c, war)
  assert len(runs.lines(war)) == 4
  loop.train(c, war)
  assert runs.held(peace, 6) == runs.held(war, 6)
  assert runs.lines(peace) == runs.lines(war)
  read = lambda path: (path / "accuracy.jsonl").read_text().splitlines()
  assert read(peace) == read(war)
  drawn = [json.loads(line)["problems"] for line in read(peace)]
  order = run.task.training_rows(c.seed, 0, int(state.cursor))
  assert sum(drawn, []) == [run.task.train[i].index for i in order]
  assert len({len(problems) for problems in drawn}) > 1


def with_grade(run, grade):
  task = dataclasses.replace(run.task, grade=tasks.each(grade))
  return run._replace(task=task)


def test_a_step_that_finds_too_few_groups_names_the_bound(run, monkeypatch):
  settings = run.programs.settings
  dynamic = settings.dynamic._replace(max_batches=2)
  patched = settings._replace(dynamic=dynamic)
  monkeypatch.setattr(run.programs, "settings", patched)
  solved = with_grade(run, lambda problem, text: 1.0)
  state = start(run)
  with pytest.raises(RuntimeError) as caught:
    loop.one_step(solved, state, None)
  told = str(caught.value)
  assert "step 0 has drawn 2 batches of 8 prompts, and 8 of the 8" in told
  assert "(mean reward 1)" in told
  assert "config.rollout.dynamic.max_batches = 2 allows no more" in told
  assert int(state.cursor) == 0


def test_without_a_bound_a_step_draws_until_it_is_full(run, monkeypatch):
  settings = run.programs.settings
  patched = settings._replace(dynamic=settings.dynamic._replace(max_batches=0))
  monkeypatch.setattr(run.programs, "settings", patched)
  count = itertools.count()

  def late(problem, text):
    late = next(count) >= 12 * PROMPTS * RESPONSES
    return of_some(problem, text) if late else 0.0

  found = drawn(with_grade(run, late), start(run))
  assert found.metrics["rollout/batches"] > 12
  assert len(found.graded.reward) == PROMPTS * RESPONSES


def test_where_all_groups_are_mixed_nothing_is_other_than_without(
  run, folder, monkeypatch
):
  settings = run.programs.settings
  by_reward = settings._replace(dynamic=Dynamic("reward", PROMPTS, 10))
  monkeypatch.setattr(run.programs, "settings", by_reward)
  some, plain = with_grade(run, of_all), built(config(folder, "off"), of_all)
  state, other = start(some), start(plain)
  for _ in range(2):
    (params, line, *rest), state = outcome(some, state)
    (wanted, told, *others), other = outcome(plain, other)
    same(params, wanted)
    assert rest == others
    more = {"rollout/batches", "rollout/kept_fraction", "reward/drawn_mean"}
    # A metric of problems that no group has is NaN in both, which assert_equal
    # takes for equal.
    np.testing.assert_equal({k: line[k] for k in line.keys() - more}, told)
    assert line["rollout/batches"] == line["rollout/kept_fraction"] == 1
    np.testing.assert_allclose(line["reward/drawn_mean"], told["reward/mean"])


@pytest.mark.long
def test_two_devices_keep_and_learn_what_one_does(folder):
  got, want = (
    outcome(run, start(run))[0]
    for run in (built(config(folder, factor=1.5), of_some, n) for n in (1, 2))
  )
  assert got[2:] == want[2:] and got[-1] % 12 == 0
  for a, b in zip(jax.tree.leaves(got[0]), jax.tree.leaves(want[0])):
    np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_prompt_is_answered_by_its_number_in_the_step(run):
  state = start(run)
  sample = functools.partial(run.programs.sample, text=run.text)
  _, (tokens, mask) = host.encoded(run, 0)
  first = np.asarray(sample(state, None, tokens, mask, 0).tokens)
  turned = jnp.roll(tokens, -4, axis=0), jnp.roll(mask, -4, axis=0)
  later = np.asarray(sample(state, None, *turned, 4).tokens)
  rows = 4 * RESPONSES
  np.testing.assert_array_equal(later[:rows], first[rows:])
  # The same prompts again, in the next batch.
  again = np.asarray(sample(state, None, tokens, mask, PROMPTS).tokens)
  assert (again != first).any(axis=1).mean() > 0.5


def test_prompts_that_the_devices_do_not_divide_are_refused_by_name(folder):
  with pytest.raises(ValueError, match="factor = 1.1 asks for 9 prompts at a"):
    built(config(folder, factor=1.1), of_some, devices=2)


# A step wants three prompts with two responses each, and of the first two of
# them one more. They are asked for four at a time.
PLAN = Plan((Block("main", 3, 2), Block("hot", 2, 1)))
ASKING = PLAN.asking(4)


def named(name, width):
  """A batch whose rows are told by batch, prompt and place in the prompt."""
  place = np.concatenate([np.tile(np.arange(2), 4), np.full(4, 9)])
  rows = 100 * name + 10 * ASKING.row_prompts() + place
  tokens = np.tile(rows[:, None], (1, width + 3)).astype(np.int32)
  batch = token_batch(
    dict(
      tokens=tokens,
      prompt_mask=np.ones((12, width), bool),
      mask=np.ones((12, 3), bool),
    )
  )
  return batch.replace(
    stats={"a": jnp.asarray(tokens[:, width:], jnp.float32)},
    source=jnp.asarray(np.repeat([0, 1], [8, 4]), jnp.int32),
  )


@pytest.mark.long
def test_learners_and_methods_that_draw_get_the_rows_they_get_without():
  names = runs.composed(("prime", "aepo"))
  dynamic = Dynamic("correct", 12, 10)
  p = runs.programs(*names, dynamic=dynamic, rescore=True)
  assert p.rows() == runs.programs(*names).rows()
  # A quarter of eight prompts is drawn again, but any of twelve may be kept.
  assert p.plan.draws[1][1] * 6 == p.asking.draws[1][1]


@pytest.mark.long
def test_trees_of_several_batches_are_whole(folder):
  c = config(folder, chain=("ettrl_etmr", "grpo"))
  c.ettrl_etmr = dict(forks=1, branches=2)
  run = built(c, of_some)
  state = start(run)
  found = drawn(run, state)
  batch, graded = jax.device_get(found.rows), found.graded
  assert found.metrics["rollout/batches"] > 1
  rows = np.flatnonzero(batch.parent >= 0)
  assert len(rows) == 2 * PROMPTS * RESPONSES
  for row, parent in zip(rows, batch.parent[rows]):
    assert batch.group[row] == batch.group[parent] == batch.prompt[row]
    copied = batch.copied[row]
    np.testing.assert_array_equal(
      batch.response[row, :copied], batch.response[parent, :copied]
    )
  for number in range(PROMPTS):
    reward = graded.reward[batch.group == number]
    assert len(reward) == 3 * RESPONSES and reward.min() < reward.max()
  got, _ = outcome(run, state)
  same(got, outcome(run, start(run))[0])
  assert got[-1] == found.cursor


@pytest.mark.parametrize("devices", [1, 2])
def test_rows_of_all_draws_go_where_the_step_has_their_prompts(devices):
  mesh = make_mesh(devices=jax.devices()[:devices])
  place = lambda x: jax.device_put(x, build.mesh_lib.by_row(mesh))
  shapes = [jax.ShapeDtypeStruct((3, 5), kind) for kind in (jnp.int32, bool)]
  merging = Merging(PLAN, ASKING, shapes, mesh, jax.jit)
  first, second = place(named(1, 5)), place(named(2, 2))
  room = merging.begin(first, merging.rows(0, np.array([2])))
  room = merging.fill(room, second, merging.rows(1, np.array([0, 3])))
  prompts = jnp.asarray([[7] * 4, [8] * 4, [9] * 4], jnp.int32)
  found = merging.finish(room, prompts, prompts > 7)
  want = [120, 121, 200, 201, 230, 231, 129, 209]
  answered = [0, 0, 1, 1, 2, 2, 0, 1]
  np.testing.assert_array_equal(found.response, np.tile(want, (3, 1)).T)
  np.testing.assert_array_equal(found.stats["a"], found.response)
  np.testing.assert_array_equal(found.prompt, answered)
  np.testing.assert_array_equal(found.group, [0, 0, 1, 1, 2, 2, 3, 4])
  np.testing.assert_array_equal(found.source, [0] * 6 + [1] * 2)
  np.testing.assert_array_equal(found.tokens[:, :4], prompts[answered, :])
  np.testing.assert_array_equal(found.prompt_mask, (prompts > 7)[answered, :])


@pytest.mark.parametrize(
  ("metric", "reward", "want"),
  [
    ("correct", [1, 0, 0.9, 0.6, 0, 0.4, 1, 1], [0]),
    ("reward", [1, 0, 0.9, 0.6, 0, 0.4, 1, 1], [0, 1, 2]),
    ("reward", [0.1, 0.1, 1, 1, 0, 0, 1, 0], [3]),
  ],
)
def test_groups_are_kept_by_the_rewards_of_the_main_draw(metric, reward, want):
  assert chosen(metric, reward).tolist() == want


def test_responses_that_do_not_count_make_no_group_mixed():
  reward = [1, 0, 1, 0, 1, 0, 1, 1]
  known, sound = np.ones(12, bool), np.ones(12, bool)
  known[:2] = False  # nothing is left of the first group
  sound[2] = False  # one response is left of the second
  sound[4:6] = False  # and nothing of the third
  assert chosen("correct", reward, known, sound).tolist() == [1]


def test_a_branch_decides_with_the_group_that_it_is_in():
  trees = Plan((Block("main", 4, 2), Block("leaf", 4, 1, "main")))
  reward = [1, 1, 1, 1, 1, 0, 0, 0]
  # Of the branches, which come last, only the first differs from its root.
  found = chosen("correct", reward, plan=trees, others=[0, 1, 1, 0])
  assert found.tolist() == [0, 2]


def chosen(
  metric, reward, known=None, sound=None, plan=ASKING, others=(1, 0, 1, 0)
):
  """Of four prompts with two responses each, and another draw."""
  settings = types.SimpleNamespace(dynamic=Dynamic(metric, 4, 0))
  programs = types.SimpleNamespace(asking=plan, settings=settings)
  every = np.ones(12, bool)
  known = every if known is None else known
  reward = np.float32([*reward, *others])
  graded = tasks.Graded(reward, known, [None] * 12)
  return keeping.mixed(programs, graded, every if sound is None else sound)
