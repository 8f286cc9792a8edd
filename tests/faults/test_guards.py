"""Numbers that are not finite, and spikes: what they would touch stays."""

import dataclasses
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import runs
from poison import Poison, poisoned
from rlvr_jax import tasks
from rlvr_jax.training import drawing, warm_start

pytestmark = pytest.mark.usefixtures("quick_compile")

# By step: what becomes of its updates, two in each.
AT = {3: Poison.NAN_LOSS, 4: Poison.GRADIENT, 6: Poison.SPIKE, 7: Poison.STATE}
STEPS = 9
HELD = ("params", "opt", "method")


@pytest.fixture(scope="module")
def programs():
  return poisoned(AT)


@pytest.fixture(scope="module")
def history(programs):
  """(state on the host, metrics of its updates) after every step."""
  state, ref = runs.start(programs)
  found = [(jax.device_get(state), None)]
  for _ in range(STEPS):
    state, lines = runs.step(programs, state, ref)
    found.append((jax.device_get(state), lines[1:]))
  return found


@pytest.mark.parametrize("step", AT, ids=[kind.name for kind in AT.values()])
def test_a_harmful_update_is_skipped_counted_and_leaves_all_as_it_was(
  history, step
):
  (before, _), (after, lines) = history[step : step + 2]
  assert all(line["guard/skipped_fraction"] == 1 for line in lines)
  for name in HELD:
    same(getattr(before, name), getattr(after, name))
  assert after.guard.refused == before.guard.refused + 2
  np.testing.assert_array_equal(after.guard.norms, before.guard.norms)


def test_the_updates_around_are_made(history):
  for step in set(range(STEPS)) - set(AT):
    (before, _), (after, lines) = history[step : step + 2]
    assert all(line["guard/skipped_fraction"] == 0 for line in lines)
    assert after.guard.consecutive == 0
    moved = before.params["embedding"] != after.params["embedding"]
    assert moved.any()
    assert after.method["poison"] == before.method["poison"] + 2
    assert after.step == before.step + 1


def test_the_cause_is_told_by_the_numbers(history):
  loss = [lines[0]["loss/total"] for _, lines in history[1:]]
  norm = [lines[0]["update/gradient_norm"] for _, lines in history[1:]]
  assert np.isnan(loss[3])
  assert np.isfinite(loss[4]) and not np.isfinite(norm[4])
  assert np.isfinite(norm[6]) and norm[6] > 100 * norm[5]


def test_after_too_many_refusals_nothing_is_taken_any_more(programs):
  """So what is dumped is what the last of them met."""
  state, ref = runs.start(programs)
  many = state.guard.consecutive + programs.settings.guard_limit
  state = state.replace(guard=state.guard._replace(consecutive=many))
  before = jax.device_get(state)
  state, lines = runs.step(programs, state, ref)
  assert all(line["guard/skipped_fraction"] == 1 for line in lines[1:])
  for name in HELD:
    same(getattr(before, name), jax.device_get(getattr(state, name)))


def same(one, other):
  jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.fixture(scope="module")
def rollout(programs):
  state, ref = runs.start(programs)
  return state, runs.sample(programs, state, ref)


def prepared(programs, state, batch, known=None):
  rows = len(batch.mask)
  reward = np.asarray(np.arange(rows) % 2, np.float32)
  known = np.ones(rows, bool) if known is None else known
  return programs.prepare(state, batch, reward, known, {})


@pytest.mark.parametrize("field", ["old_logp", "sample_logp", "stats"])
def test_a_row_whose_numbers_are_not_finite_is_left_out_and_counted(
  programs, rollout, field
):
  state, batch = rollout
  spoil = lambda x: x.at[3, 0].set(jnp.nan)
  known = np.arange(len(batch.mask)) != 3
  want, want_state, told = prepared(programs, state, batch, known)
  bad = batch.replace(**{field: jax.tree.map(spoil, getattr(batch, field))})
  got, got_state, counted = prepared(programs, state, bad)
  assert not got.mask[3].any() and got.group[3] == -1
  # No bit differs from a row that nobody could grade.
  same((got, got_state), (want, want_state))
  np.testing.assert_allclose(counted["guard/bad_fraction"], 1 / len(known))
  assert told["guard/bad_fraction"] == 0


def test_junk_where_nothing_counts_leaves_no_row_out(programs, rollout):
  state, batch = rollout
  junk = jnp.where(batch.mask, batch.old_logp, jnp.nan)
  _, _, told = prepared(programs, state, batch.replace(old_logp=junk))
  assert not batch.mask.all() and told["guard/bad_fraction"] == 0


@pytest.mark.parametrize(("bad", "stops"), [(3, False), (4, True)])
def test_too_many_such_rows_stop_the_run_with_their_number(bad, stops):
  run = types.SimpleNamespace(config=runs.config())  # at most 0.1 of 32
  if not stops:
    return drawing.check_sound(run, bad / 32, 32)
  with pytest.raises(FloatingPointError, match="4 of the 32 responses"):
    drawing.check_sound(run, bad / 32, 32)


def test_a_warm_start_that_is_not_finite_is_not_kept(tmp_path, monkeypatch):
  run = types.SimpleNamespace(config=runs.config())
  bad = {"up": jnp.array([1.0, jnp.nan])}
  monkeypatch.setattr(warm_start.supervised, "train", lambda *_: bad)
  for name in ("_first", "_held"):
    monkeypatch.setattr(warm_start, name, lambda *_: None)
  with pytest.raises(FloatingPointError, match="warm_start.learning_rate"):
    warm_start._trained(run, tmp_path, None)
  assert not list((tmp_path / "warm_start").glob("params/[0-9]*"))
  assert not (tmp_path / "warm_start" / "config.json").exists()


def test_a_reward_that_is_no_number_is_unknown_and_so_left_out(tmp_path):
  task = runs.task(str(tmp_path))
  rewards = [1.0, float("nan"), 0.0]
  task = dataclasses.replace(task, grade=lambda problems, texts: rewards)
  found = tasks.grade(task, task.train[:3], ["1"] * 3)
  assert found.known.tolist() == [True, False, True]
  assert np.isfinite(found.reward).all()
