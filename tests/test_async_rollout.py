"""The next rollout is sampled while a step is graded and learnt from."""

import contextlib
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import runs
from rlvr_jax import tasks
from rlvr_jax.training import drawing, loop, mismatch, resume
from rlvr_jax.training.checkpoint import Checkpoints
from rlvr_jax.training.state import parts
from test_dynamic import built, config, of_all

pytestmark = pytest.mark.usefixtures("quick_compile")


def of(folder, ahead=True, rate=1e-2, devices=1, grade=of_all):
  c = config(
    folder,
    "off",
    async_rollout=ahead,
    chain=("rollout_correction", "grpo"),
    rollout__old_logp="score",
    optimizer__learning_rate=rate,
  )
  return built(c, grade, devices)


def start(run):
  state, ref = runs.start(run.programs)
  compare = mismatch.Comparison(run, 0)
  return drawing.begun(run, state, None, compare)


def sampled(run, steps):
  """Host copies of the rollout that each step learns from, and its numbers."""
  state, found = start(run), []
  for _ in range(steps):
    waits = jax.device_get(state.pending)
    state, line, accuracy = loop.one_step(run, state, None)
    found.append((waits, line, accuracy))
  return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  return tmp_path_factory.mktemp("ahead")


@pytest.fixture(scope="module")
def run(folder):
  return of(folder)


@pytest.fixture(scope="module")
def stays(folder):
  """Three steps whose updates change nothing."""
  return sampled(of(folder, rate=0.0), 3)


def untimed(line):
  timed = lambda name: name.startswith("time/") or "per_second" in name
  return {k: v for k, v in line.items() if not timed(k)}


def test_if_the_policy_stays_nothing_is_other_than_without(folder, stays):
  now = of(folder, ahead=False, rate=0.0)
  state = runs.start(now.programs)[0]
  for _, line, accuracy in stays:
    state, wanted, right = loop.one_step(now, state, None)
    # NaN, of groups that are not there, is equal to itself here.
    np.testing.assert_equal(untimed(line), untimed(wanted))
    assert accuracy == right


def test_a_step_learns_from_what_the_policy_before_the_last_one_sampled(
  run, stays
):
  moves = sampled(run, 3)
  tokens = lambda found, step: found[step][0].response
  # The first update comes after two rollouts were sampled.
  for step in range(2):
    np.testing.assert_array_equal(tokens(moves, step), tokens(stays, step))
  assert (tokens(moves, 2) != tokens(stays, 2)).any()
  drift = [line["rollout_correction/kl"] for _, line, _ in moves]
  assert abs(drift[0]) < 1e-6 < min(map(abs, drift[1:]))


def test_policy_log_probs_are_those_of_the_policy_that_learns(run):
  state = start(run)
  state, *_ = loop.one_step(run, state, None)
  waits = state.pending
  now = run.programs.rescored(state, None, waits)
  scored = run.programs.score(state, None, waits)
  mask = np.asarray(waits.mask)
  score = np.asarray(scored.old_logp)
  np.testing.assert_allclose(score[mask], np.asarray(now)[mask], atol=1e-6)
  np.testing.assert_array_equal(scored.sample_logp, waits.sample_logp)
  assert np.abs((score - np.asarray(waits.old_logp))[mask]).max() > 1e-3


def test_devices_sample_the_next_rollout_while_the_verifier_works(
  run, monkeypatch
):
  """One begins before the other ends, and the other way round."""
  sample, begun, graded = run.programs.sample_ahead, [], []

  @jax.jit
  def late(tokens):  # by half a second of work
    turn = jnp.eye(512)[::-1]
    work = jax.lax.fori_loop(0, 300, lambda _, x: x @ turn, jnp.eye(512))
    return tokens + work[0, 1].astype(tokens.dtype)

  def sampled_late(*args, **named):
    rows = sample(*args, **named)
    begun.append(rows.replace(tokens=late(rows.tokens)))
    return begun[-1]

  def grade(task, problems, texts):
    assert not begun[-1].tokens.is_ready()
    graded.append(len(begun))
    deadline = time.monotonic() + 60
    while not begun[-1].tokens.is_ready():
      assert time.monotonic() < deadline
      time.sleep(1e-3)
    return tasks.grade(task, problems, texts)

  state = start(run)
  monkeypatch.setattr(run.programs, "sample_ahead", sampled_late)
  monkeypatch.setattr(drawing.host.tasks, "ungraded", grade)
  monkeypatch.setattr(run.config.task, "labelled", False)
  for _ in range(2):
    state, *_ = loop.one_step(run, state, None)
  assert graded == [1, 2]


def test_a_state_that_was_saved_goes_on_with_the_rollout_that_waits(
  run, tmp_path
):
  state, *_ = loop.one_step(run, start(run), None)
  contents = int(state.step), parts(state), resume.facts(run)
  with contextlib.closing(Checkpoints(tmp_path)) as checkpoints:
    checkpoints.commit(*contents)
    saved = resume.start(run, state.params, None, checkpoints)
  peace, war = (loop.one_step(run, s, None) for s in (state, saved))
  np.testing.assert_equal(*(untimed(line) for _, line, _ in (peace, war)))
  leaves = (jax.device_get(parts(s)) for s, *_ in (peace, war))
  jax.tree.map(np.testing.assert_array_equal, *leaves)


@pytest.mark.long
def test_stopped_and_resumed_a_run_ends_with_the_bits_of_one_left_in_peace(
  folder,
):
  found = []
  for name, stops in {"peace": [4], "war": [2, 4]}.items():
    for steps in stops:
      c = of(folder).config.copy_and_resolve_references()
      c.steps = steps
      loop.train(c, folder / name)
    found.append((runs.held(folder / name, 4), runs.lines(folder / name)))
  (peace, lines), (war, others) = found
  assert peace == war and any(path.startswith("pending") for path in peace)
  evaluated = lambda line: {k: v for k, v in line.items() if "eval/" not in k}
  assert list(map(evaluated, lines)) == list(map(evaluated, others))


@pytest.mark.long
def test_a_new_chain_samples_its_first_rollout_itself(folder):
  c = of(folder).config.copy_and_resolve_references()
  c.steps = 2
  loop.train(c, folder / "first")
  c.chain, c.steps = ("rollout_correction", "grpo", "steer"), 3
  c.checkpoint.new_chain = True
  state = loop.train(c, folder / "first")
  assert int(state.step) == 3 and bool(np.any(state.pending.mask))


@pytest.mark.long
def test_devices_change_it_by_rounding_only(folder, run):
  one, four = (sampled(r, 2) for r in (run, of(folder, devices=4)))
  for (rows, line, _), (others, wanted, _) in zip(four, one):
    np.testing.assert_array_equal(rows.response, others.response)
    for name, value in untimed(wanted).items():
      np.testing.assert_allclose(line[name], value, rtol=1e-3, atol=1e-5)


def test_it_is_refused_where_nothing_corrects_for_the_other_policy(folder):
  told = runs.message(runs.config(async_rollout=True))
  assert "needs 'rollout_correction' in config.chain and config.rollout" in told
  c = config(folder, "correct", async_rollout=True)
  assert "config.rollout.dynamic.metric = 'off'" in runs.message(c)
  chain = ("rollout_correction", "grpo", "aepo")
  told = runs.message(
    runs.config(async_rollout=True, chain=chain, rollout__old_logp="score")
  )
  assert "and needs no 'aepo' in config.chain" in told
