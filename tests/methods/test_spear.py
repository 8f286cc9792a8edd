"""SPEAR: what is stored, what of it is replayed and with which advantage."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rlvr_jax
from golden_adapters import common
from rlvr_jax import methods, replayed
from rlvr_jax.laws import rollouts, steps
from rlvr_jax.laws.expect import different
from rlvr_jax.methods.spear import spear
from rlvr_jax.transform import chain, estimate, monitor
from rlvr_jax.types import LOGP_KEY, Clock
from rows import FIRST

pytestmark = pytest.mark.usefixtures("quick_compile")

ROWS, LENGTH = 6, 3
GROUP = np.array([0, 0, 1, 1, 2, 2])
# Of a rollout's rows 0 and 2 win, and the last group is equal.
REWARD = np.float32([1, 0, 0.8, 0.2, 0.4, 0.4])
MASK = np.arange(LENGTH) < np.array([3, 2, 1, 3, 2, 3])[:, None]


def rollout(step=0, reward=REWARD, **fields):
  """Rows whose log-probs tell the step and the row."""
  old = -(step + np.arange(ROWS)[:, None] / 10 + np.zeros(MASK.shape))
  made = common.batch(old, None, MASK, reward=reward, group=GROUP)
  return made.replace(**fields)


REWARD_MEAN = np.float32([0.5, 0.5, 0.5, 0.5, 0.4, 0.4])
# What is stored depends on the sign of the advantage alone.
CENTRED = estimate("centred", lambda b, c: b.reward - REWARD_MEAN)


@functools.cache
def compiled(**settings):
  """A chain with `spear`, and its prepare: (batch, state, step)."""
  method = chain(CENTRED, spear(**EAGER | settings))
  prepare = rlvr_jax.prepare(method)

  def one(batch, state, step):
    return prepare(batch, state, Clock(step, 0, jax.random.key(1)))

  return method, jax.jit(one)


def run(count, settings, rewards=REWARD, **fields):
  """The prepared batches of so many steps, and the last state."""
  method, prepare = compiled(**settings)
  state, found = method.init(rollout()), []
  rewards = np.broadcast_to(rewards, (count, ROWS))
  for step, reward in enumerate(rewards):
    batch, state = prepare(rollout(step, reward, **fields), state, step)
    found.append(batch)
  return found, state["spear"]


def replays(batch):
  """10 step + row of the rows that are replayed."""
  again = np.asarray((batch.source < 0) & batch.mask.any(axis=1))
  places = np.round(-10 * np.asarray(batch.old_logp)[again, 0])
  return sorted(places.astype(int).tolist())


def replay_count(batch):
  return int(batch.metrics["spear/replayed_rows"])


# Two rows a step beat the usual group mean of 0.5.
EAGER = dict(rows=4, full=1.0, history=100, capacity=32)


def test_rows_that_won_wait_until_the_ring_is_full_and_all_leave_it():
  found, state = run(5, {})
  # Full is more than 4 good rows: 2, 4, then 6 at the beginning of step 3.
  counts = [replay_count(batch) for batch in found]
  assert counts == [0, 0, 0, 4, 0]
  stored = [int(batch.metrics["spear/stored_rows"]) for batch in found]
  assert stored == [2, 4, 6, 2, 4]
  drawn = replays(found[3])
  assert len(set(drawn)) == 4
  assert set(drawn) <= {0, 2, 10, 12, 20, 22}
  assert int((state.ring.born >= 0).sum()) == 4


def test_replayed_rows_are_as_they_were_sampled_with_an_advantage_of_now():
  batch = run(4, {})[0][3]
  again = np.asarray(batch.source < 0)
  np.testing.assert_array_equal(again, np.arange(ROWS + 4) >= ROWS)
  for name in ("prompt", "group"):
    np.testing.assert_array_equal(getattr(batch, name)[again], -1)
  for row in np.flatnonzero(again):
    step, place = divmod(round(-10 * float(batch.old_logp[row, 0])), 10)
    assert step < 3 and REWARD[place] > 0.5
    np.testing.assert_array_equal(batch.mask[row], MASK[place])
    want = (REWARD[place] - 0.5) * MASK[place]
    np.testing.assert_allclose(batch.advantages[row], want, atol=1e-6)
    assert batch.reward[row] == REWARD[place]
  own = ~again
  np.testing.assert_array_equal(batch.group[own], GROUP)


def test_a_row_that_is_usual_by_now_is_not_replayed():
  # The groups are forgotten after three steps, and from step 1 on all are 0.9.
  better = np.full(ROWS, 0.9, np.float32)
  rewards = [REWARD, better, better, better, better]
  found, _ = run(5, {"full": 0.25, "history": 9}, rewards)
  for batch in found:
    assert (np.asarray(batch.advantages)[ROWS:] >= 0).all()
  assert replays(found[1]) == [0, 2]
  # Stored rows of 0.9 do not beat a median of 0.9.
  assert replay_count(found[4]) == 0
  assert found[4].metrics["spear/baseline"] == np.float32(0.9)
  # So the ring is not full, and of three steps it has all six.
  assert found[4].metrics["spear/good_rows"] == 0
  assert found[4].metrics["spear/stored_rows"] == 18


def test_equal_rewards_store_nothing_and_nothing_is_replayed():
  for batch in run(3, {}, REWARD_MEAN)[0]:
    assert replay_count(batch) == batch.metrics["spear/stored_rows"] == 0


def test_rows_without_enough_turns_are_not_stored():
  turn = jnp.asarray([[0, 1, 1]] * 2 + [[0, 0, 0]] * 4)
  _, state = run(1, {"turns": 2}, turn=turn)
  assert int((state.ring.born >= 0).sum()) == 1
  np.testing.assert_allclose(state.ring.rows.old_logp[0, 0], 0.0)


def test_a_decayed_advantage_is_the_stored_one_times_its_age():
  batch = run(2, {"full": 0.25, "decay": 0.5})[0][1]
  assert replays(batch) == [0, 2]
  again = np.asarray(batch.source < 0) & np.asarray(batch.mask.any(axis=1))
  gains = np.sort(np.asarray(batch.advantages)[again, 0])
  np.testing.assert_allclose(gains, [0.5 * 0.3, 0.5 * 0.5], rtol=1e-5)


@pytest.mark.parametrize(("count", "most"), [(3, 2), (4, 4), (7, 4), (9, 5)])
def test_the_largest_power_of_two_is_drawn_up_to_the_rows(count, most):
  ring = replayed.Ring.empty(rollout(), 16)
  ring = ring._replace(
    rows=ring.rows.replace(mask=jnp.ones((16, LENGTH), bool))
  )
  good = jnp.arange(16) < count
  found = replayed.drawn(ring, good, 5, 5, jax.random.key(0))
  assert int(found.mask.any(axis=1).sum()) == most


@pytest.mark.parametrize("capacity", [8, 40])
def test_a_full_ring_loses_its_oldest_rows_and_all_lose_too_old_ones(capacity):
  """Against a list, over random steps."""
  dice, max_age = np.random.default_rng(0), 3
  ring, model = replayed.Ring.empty(rollout(), capacity), []

  @jax.jit
  def store(ring, batch, kept, step):
    return ring.without_old(max_age).with_rows(batch, kept, step)

  for step in range(30):
    # Some steps have no winner: age counts from the newest row.
    kept = dice.random(ROWS) < dice.choice([0.0, 0.5, 1.0])
    ring = store(ring, rollout(step), kept, step)
    model = [row for row in model if model[-1][0] - row[0] <= max_age]
    model += [(step, row) for row in np.flatnonzero(kept)]
    model = model[-capacity:]
    held = [
      (int(born), round(-10 * float(logp)) - 10 * int(born))
      for born, logp in zip(ring.born, ring.rows.old_logp[:, 0])
      if born >= 0
    ]
    assert sorted(held) == sorted(model), step


def test_of_more_winners_than_places_the_last_are_stored():
  ring = replayed.Ring.empty(rollout(), 4)
  ring = ring.with_rows(rollout(), jnp.ones(ROWS, bool), jnp.int32(0))
  held = sorted(np.round(-10 * np.asarray(ring.rows.old_logp)[:, 0]))
  assert held == [2, 3, 4, 5]


def test_the_history_forgets_whole_steps_and_keeps_the_medians():
  """Against a list of lists, over steps with any number of groups."""
  dice, size = np.random.default_rng(1), 7
  history, model = replayed.History.empty(size, ROWS), []

  @jax.jit
  def record(history, reward, group, step):
    return history.with_groups(reward, group, step, size)

  for step in range(25):
    reward = np.float32(dice.random(ROWS))
    group = dice.integers(-1, dice.integers(1, ROWS), ROWS).astype(np.int32)
    history = record(history, reward, group, jnp.int32(step))
    of_groups = [reward[group == g] for g in set(group.tolist()) - {-1}]
    model.append(of_groups)
    while len(model) > 1 and sum(map(len, model)) > size:
      model.pop(0)
    known = [x for groups in model for x in groups]
    if not known:
      continue
    deviations = [x.std(ddof=1) if len(x) > 1 else 0.0 for x in known]
    mean, std = history.medians()
    want = np.percentile([x.mean() for x in known], 50)
    np.testing.assert_allclose(mean, want, rtol=1e-5)
    np.testing.assert_allclose(
      std, np.percentile(deviations, 50), rtol=1e-4, atol=1e-6
    )


def test_the_schedules_begin_end_and_move_one_way():
  step = jnp.arange(0, 30)
  up, down = replayed.rising(step, 20), replayed.falling(step, 20)
  assert up[0] == 0 and down[0] == 1
  assert (up[20:] == 1).all() and (down[20:] == 0).all()
  assert (jnp.diff(up) >= 0).all() and (jnp.diff(down) <= 0).all()


def test_only_the_replayed_loss_is_scaled_and_no_added_term_acts_on_it():
  bonus = rlvr_jax.transform.add("bonus", lambda o, c: c.logp, 0.3)
  watch = monitor("seen", lambda o, c: {"weights": o.weights.sum()})
  batch = rollout(source=jnp.asarray([0, 0, 0, -1, -1, -1]))
  batch = batch.replace(advantages=jnp.asarray(MASK * REWARD[:, None]))
  now = {LOGP_KEY: batch.old_logp + 0.01}

  def gradient(*parts, step):
    method = chain(*parts, watch)
    loss_fn = rlvr_jax.loss(method)
    clock, state = Clock(step, 0, jax.random.key(0)), method.init(batch)
    fn = lambda now: loss_fn(now, batch, state, clock)[0]
    return np.asarray(jax.jit(jax.grad(fn))(now)[LOGP_KEY])

  replay = spear(0, fraction=0.0, coef=0.8, steps=10)
  plain, both = gradient(step=5), gradient(bonus, step=5)
  got = gradient(bonus, replay, step=5)
  np.testing.assert_array_equal(got[:3], both[:3])
  np.testing.assert_allclose(got[3:], 0.4 * plain[3:], rtol=1e-6)
  assert not gradient(bonus, replay, step=0)[3:].any()


def test_clip_cov_leaves_replayed_rows_to_the_window_of_spear():
  old = np.asarray(rollout().old_logp)
  advantages = np.random.default_rng(0).normal(size=(ROWS, 1)) * MASK
  every = dict(fraction=1.0, low=-99.0, high=99.0)
  for source, name in ((0, "clip_cov"), (-1, "spear")):
    batch = common.batch(
      old, advantages, MASK, source=np.full(ROWS, source, np.int32)
    )
    dropped = {
      "clip_cov": methods.make("clip_cov", **every),
      "spear": spear(0, **every),
    }
    for method, made in dropped.items():
      metrics = common.loss_and_grad(made, batch, old)[2]
      share = metrics[f"{method}/dropped_fraction"]
      assert share == (1 if method == name else 0)


@pytest.fixture(scope="module")
def filled():
  """A rollout on trial, and a state with rows that are replayed next."""
  row = FIRST["spear"]
  method, trial = rollouts.trial(methods.make("spear", **row.acting))
  state = steps.run(method, trial).state
  return method, trial, state


def test_padding_changes_no_bit_of_a_replay(filled):
  method, trial, state = filled
  clean = steps.run(method, trial, state=state, step=1)
  assert replay_count(clean.prepared) > 0
  assert clean.gradient[LOGP_KEY][len(trial.batch.mask) :].any()
  for junk in (np.nan, np.inf):
    spoilt = steps.run(method, trial, state=state, step=1, junk=junk)
    assert not different(clean, spoilt)


def test_while_nothing_is_replayed_no_bit_of_the_loss_changes(filled):
  method, trial, _ = filled
  base, wide = steps.run(rollouts.BASE, trial), steps.run(method, trial)
  rows = len(trial.batch.mask)
  assert len(wide.prepared.mask) > rows
  assert not wide.prepared.mask[rows:].any()
  assert wide.loss == base.loss
  gradient = wide.gradient[LOGP_KEY]
  np.testing.assert_array_equal(gradient[:rows], base.gradient[LOGP_KEY])
  assert not gradient[rows:].any()


def test_notes_made_before_it_are_refused_with_their_maker():
  noted = rollout(notes={"aer/coef": jnp.zeros(ROWS)})
  method, prepare = compiled()
  with pytest.raises(ValueError, match=r"\['aer'\] stand before 'spear'"):
    prepare(noted, method.init(rollout()), 0)


def test_more_rows_than_the_ring_holds_are_refused():
  for method, rows in ((spear(rows=50), 42), (spear(capacity=5), 5)):
    with pytest.raises(ValueError, match=rf"must be <= the {rows} rows that"):
      method.init(rollout())


@pytest.mark.parametrize(
  "wrong",
  [
    {"rows": -1},
    {"full": -1.0},
    {"max_age": -1},
    {"capacity": 0},
    {"history": 0},
    {"turns": 0},
    {"epsilon": 0.0},
    {"decay": 1.5},
    {"coef": -1.0},
    {"steps": 0},
    {"fraction": 1.5},
    {"high": 0.5},
  ],
)
def test_a_parameter_out_of_range_is_named(wrong):
  ((name, value),) = wrong.items()
  with pytest.raises(ValueError, match=rf"spear\.{name} = {value} must"):
    spear(**wrong)
