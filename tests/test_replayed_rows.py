"""Replayed rows in a run: updates of their own, restarts, meshes, metrics."""

import jax
import numpy as np
import pytest

import runs
from rlvr_jax.models.mesh import by_row
from rlvr_jax.training import config as config_lib
from rlvr_jax.training.checkpoint import Checkpoints
from rlvr_jax.training.state import layout, like, parts

pytestmark = pytest.mark.usefixtures("quick_compile")

# 32 rows in four updates, and 8 replayed ones in the fifth.
CHAIN, MAIN, ROWS = ("dr_grpo", "spear", "kl_penalty"), 4, 32
REF = "Logp()|ref|rollout"


@pytest.fixture(scope="module")
def p():
  return runs.programs(*CHAIN, updates=MAIN + 1)


def rewards(number):
  """Half of each group wins, other rows in every step."""
  return np.float32((np.arange(ROWS) + number) % 2)


def go_on(p, state, ref, steps):
  """The state after these steps, and their metrics."""
  found = []
  for number in steps:
    state, lines = runs.step(p, state, ref, rewards(number))
    found.append(lines)
  return state, found


def prepared(p, state, ref, number):
  """The sampled and the prepared rollout, the next state, what is measured."""
  sampled = runs.sample(p, state, ref)
  known = np.ones(ROWS, bool)
  batch, method, measured = p.prepare(
    state, sampled, rewards(number), known, {}
  )
  return sampled, batch, state.replace(method=method), measured


def same(got, want):
  jax.tree.map(np.testing.assert_array_equal, *jax.device_get((got, want)))


def test_an_update_without_rows_changes_the_clock_alone(p):
  state, ref = runs.start(p)
  _, batch, state, _ = prepared(p, state, ref, 0)
  for index in range(MAIN):
    state, _ = p.update(state, ref, batch, index)
  before = jax.device_get(state)
  state, metrics = p.update(state, ref, batch, MAIN)
  assert metrics["loss/tokens"] == 0
  assert metrics["guard/skipped_fraction"] == 0
  same(state.replace(step=before.step, cursor=before.cursor), before)
  assert int(state.step) == 1


def test_replayed_rows_are_learned_from_after_those_of_the_step(p):
  state, ref = runs.start(p)
  state, found = go_on(p, state, ref, [0])
  assert found[0][0]["spear/stored_rows"] == ROWS / 2
  first, batch, state, measured = prepared(p, state, ref, 1)
  again = np.asarray(batch.source < 0)
  assert measured["spear/replayed_rows"] == 8
  np.testing.assert_array_equal(batch.mask.any(axis=1)[again], True)
  # What is measured is of the rows of this step.
  entropy = first.stats["Entropy()|policy|rollout"]
  np.testing.assert_allclose(
    measured["policy/entropy"], entropy[first.mask].mean(), rtol=1e-5
  )
  assert measured["reward/mean"] == 0.5
  assert measured["rollout/tokens"] == first.mask.sum()
  own = int(batch.mask[~again].sum())
  tokens = []
  for index in range(MAIN + 1):
    before = jax.device_get(state.params)
    state, metrics = p.update(state, ref, batch, index)
    tokens.append(int(metrics["loss/tokens"]))
  assert sum(tokens[:MAIN]) == own
  assert tokens[MAIN] == int(batch.mask[again].sum())
  moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), before, state.params)
  assert max(jax.tree.leaves(moved)) > 0


def test_replayed_rows_keep_the_statistics_they_were_sampled_with(p):
  state, ref = runs.start(p)
  sampled, _, state, _ = prepared(p, state, ref, 0)
  _, batch, _, _ = prepared(p, state.replace(step=state.step + 1), ref, 1)
  old = {tuple(row): n for n, row in enumerate(np.asarray(sampled.tokens))}
  for row in np.flatnonzero(np.asarray(batch.source < 0)):
    origin = old[tuple(np.asarray(batch.tokens[row]))]
    counted = np.asarray(sampled.mask[origin])
    np.testing.assert_array_equal(batch.mask[row], counted)
    for name in ("old_logp", "sample_logp"):
      got, want = getattr(batch, name)[row], getattr(sampled, name)[origin]
      np.testing.assert_array_equal(got, np.where(counted, want, 0))
    want = np.where(counted, sampled.stats[REF][origin], 0)
    np.testing.assert_array_equal(batch.stats[REF][row], want)
    assert want.any()


def test_a_run_that_is_restarted_with_a_full_ring_ends_with_the_same_bits(
  p, tmp_path
):
  state, ref = runs.start(p)
  state, found = go_on(p, state, ref, range(10))
  assert any(lines[0]["spear/replayed_rows"] > 0 for lines in found)
  assert state.method["spear"].ring.live.any()
  checkpoints = Checkpoints(tmp_path)
  checkpoints.commit(10, parts(state))
  shapes = jax.eval_shape(lambda: state)
  went_on, told = go_on(p, state, ref, range(10, 20))
  where = layout(shapes, p.mesh)
  held = checkpoints.restore(10, parts(like(shapes, where)))
  checkpoints.close()
  fresh, _ = runs.start(p, seed=1)
  again = fresh.replace(**held["run"], **held["chain"])
  resumed, retold = go_on(p, again, ref, range(10, 20))
  assert any(lines[0]["spear/replayed_rows"] > 0 for lines in told)
  same(resumed, went_on)
  same(retold, told)


def test_stored_rows_lie_on_the_devices_as_those_of_a_rollout_do(p):
  both = runs.programs(*CHAIN, updates=MAIN + 1, devices=2, shape=dict(data=2))
  sampled = runs.sample(p, *runs.start(p))
  known, found = np.ones(ROWS, bool), []
  for programs in (p, both):
    state, _ = runs.start(programs)
    batch = jax.device_put(jax.device_get(sampled), by_row(programs.mesh))
    for number in range(3):
      wide, method, _ = programs.prepare(
        state, batch, rewards(number), known, {}
      )
      state = state.replace(method=method, step=state.step + 1)
    found.append(jax.device_get((wide, method)))
  ring = method["spear"].ring
  assert {len(s.data) for s in ring.rows.tokens.addressable_shards} == {12}
  assert len(ring.born.addressable_shards[0].data) == 24
  same(found[0], found[1])
  assert (found[0][0].source < 0).any()


@pytest.mark.long
@pytest.mark.parametrize("changes", [{"slices": 2}, {"devices": 2}])
def test_slices_and_devices_change_no_step_with_replayed_rows(p, changes):
  if "devices" in changes:
    changes = changes | {"shape": dict(data=2)}
  other = runs.programs(*CHAIN, updates=MAIN + 1, **changes)
  found = []
  for programs in (p, other):
    state, lines = go_on(programs, *runs.start(programs), range(2))
    found.append(jax.device_get((state.params, lines[1])))
  assert found[0][1][0]["spear/replayed_rows"] == 8
  # Where a gradient is nearly 0, Adam makes of its rounding a share of a whole
  # step, which is 1e-2 here.
  for got, want in zip(*map(jax.tree.leaves, found)):
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("rows", "fits"), [(32, True), (24, False)])
def test_replayed_rows_that_fit_no_update_are_refused_by_name(rows, fits):
  config = runs.config(chain=("dr_grpo", "spear"), train__updates=8)
  config.spear.rows = rows
  if fits:
    config_lib.check(config)
  else:
    told = runs.message(config)
    assert f"config.spear.rows = {rows} and the 32 rows" in told
