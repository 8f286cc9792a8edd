"""A second model that is trained beside the policy."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import runs
from rlvr_jax import methods, stats
from rlvr_jax.models import Lora
from rlvr_jax.training import build, learning, loop, precision
from rlvr_jax.training.precision import MasterState
from rlvr_jax.training.programs import Programs
from rlvr_jax.training.state import Learned
from rlvr_jax.transform import Learner, chain
from rlvr_jax.types import Need

pytestmark = pytest.mark.usefixtures("quick_compile")

SCORE = Need(stats.Logp(), params=("reward",), when="rollout")


def programs(parameters=None, **changes):
  """Those of PRIME with other parameters than its row of the table has."""
  p = runs.programs("prime", **changes)
  values = {"rate": 1e-2, "accuracy_low": 0.0, "accuracy_high": 1.0}
  method = chain(methods.make("prime", **values | (parameters or {})))
  return Programs(p.model, method, p.tx, p.settings, p.mesh)


def rolled(p):
  """A state, the reference, a rollout and its outcome."""
  state, ref = runs.start(p)
  batch = runs.sample(p, state, ref)
  rows = batch.mask.shape[0]
  reward = np.asarray(batch.mask.sum(1) % 2, np.float32)
  return state, ref, batch, reward, np.ones(rows, bool)


def taught(p):
  """What `learn` makes of a state and its rollout; host copies."""
  given = rolled(p)
  before = jax.device_get(given[0].learned)
  state, batch, metrics = p.learn(*given)
  return before, jax.device_get((state, batch, metrics))


def assert_equal(a, b):
  jax.tree.map(np.testing.assert_array_equal, a, b)


def distance(a, b):
  pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b))
  return max(np.abs(x - y).max() for x, y in pairs)


@pytest.fixture(scope="module")
def plain():
  return programs()


def test_without_a_learner_there_is_no_second_model_and_no_program():
  p = runs.programs("grpo")
  assert p.learn is None
  state, _ = runs.start(p)
  assert state.learned is None
  assert "reward" not in p.weights.sets(state, None)


def test_the_second_model_starts_as_the_policy_in_memory_of_its_own(plain):
  state, ref = runs.start(plain)
  assert_equal(*jax.device_get((state.params, state.learned.params)))
  leaves = zip(*map(jax.tree.leaves, (state.params, state.learned.params)))
  where = lambda x: x.unsafe_buffer_pointer()
  assert all(where(a) != where(b) for a, b in leaves)
  # Both are donated again and again.
  for _ in range(2):
    state, lines = runs.step(plain, state, ref)
  assert distance(*jax.device_get((state.params, state.learned.params))) > 1e-3
  # NaN is the metric of problems of a difficulty that none has.
  told = {k: v for k, v in lines[0].items() if "covariance/prompt_" not in k}
  assert all(np.isfinite(v) for v in told.values())


def test_where_the_policy_is_the_reference_nothing_is_scored_at_first(plain):
  state, _ = runs.start(plain)
  ref = jax.tree.map(jnp.copy, state.params)
  _, lines = runs.step(plain, state, ref)
  assert lines[0]["prime/log_ratio"] == 0
  assert lines[0]["prime/pair_accuracy"] == 0.5
  np.testing.assert_allclose(lines[0]["learner/loss"], np.log(2), rtol=1e-5)


def test_learning_moves_the_second_model_alone_and_updates_the_policy_alone(
  plain,
):
  state, ref, batch, *outcome = rolled(plain)
  begin = jax.device_get(state)
  state, batch, _ = plain.learn(state, ref, batch, *outcome)
  learned = jax.device_get(state)
  same = learned.replace(learned=begin.learned)
  assert_equal(same, begin)
  assert distance(learned.learned.params, begin.learned.params) > 1e-3
  batch, method, _ = plain.prepare(state, batch, *outcome, {})
  state, _ = plain.update(state.replace(method=method), ref, batch, 0)
  updated = jax.device_get(state)
  assert_equal(updated.learned, learned.learned)
  assert distance(updated.params, learned.params) > 1e-3


def test_where_nothing_is_learned_from_momentum_moves_nothing(plain):
  state, ref, batch, reward, known = rolled(plain)
  state, _, _ = plain.learn(state, ref, batch, reward, known)
  before = jax.device_get(state.learned)
  state, _, told = plain.learn(state, ref, batch, reward, np.zeros_like(known))
  assert told["learner/gradient_norm"] == 0
  assert_equal(jax.device_get(state.learned), before)


@pytest.mark.parametrize("order", ["after", "before"])
def test_scores_are_of_the_model_before_or_after_its_step(order):
  p = programs({"learn": order})
  before, (state, batch, _) = taught(p)
  scored = before if order == "after" else state.learned
  bare = batch.replace(stats={})
  found = jax.jit(
    lambda params: stats.score((SCORE,), params, bare, model=p.model)
  )({"reward": scored.params})
  np.testing.assert_allclose(
    batch.stats[SCORE.key][batch.mask],
    found[SCORE.key][batch.mask],
    atol=1e-5,
  )
  # The other ones are not near.
  gap = batch.stats[SCORE.key] - batch.old_logp
  assert (np.abs(gap[batch.mask]).max() > 1e-2) == (order == "before")


def stepped(**changes):
  """The second model after a step that is just its gradient, and scores."""
  p = programs({"loss": "bon_rm", "beta": 1.0}, **changes)
  state, *given = rolled(p)
  tx = optax.sgd(1.0)
  params = state.learned.params
  state = state.replace(learned=Learned(params, tx.init(params)))
  one = p.learning()._replace(tx=tx)
  learn = jax.jit(lambda *args: one(*args))
  state, batch, metrics = jax.device_get(learn(state, *given))
  scores = np.where(batch.mask, batch.stats[SCORE.key], 0)
  return state.learned.params, scores, metrics


@pytest.fixture(scope="module")
def whole():
  return stepped(updates=1)


@pytest.mark.parametrize(
  "changes",
  [
    dict(updates=1, slices=2),
    pytest.param(dict(updates=4, slices=2), marks=pytest.mark.long),
    dict(devices=2, shape=dict(data=2)),
    pytest.param(
      dict(devices=8, shape=dict(data=2, fsdp=2, tensor=2)),
      marks=pytest.mark.long,
    ),
  ],
)
def test_slices_and_devices_change_its_gradient_by_rounding_only(
  whole, changes
):
  found = stepped(**changes)
  for got, want in zip(jax.tree.leaves(found), jax.tree.leaves(whole)):
    scale = max(np.abs(want).max(), 1e-1)
    assert np.abs(got - want).max() <= 1e-5 * scale


def test_a_step_that_is_not_finite_is_refused_as_a_whole(plain):
  state, ref, batch, reward, known = rolled(plain)
  before = jax.device_get(state.learned)
  reward[0] = np.nan
  state, batch, metrics = plain.learn(state, ref, batch, reward, known)
  assert_equal(jax.device_get(state.learned), before)
  assert metrics["learner/skipped_fraction"] == 1
  assert np.isfinite(batch.stats[SCORE.key]).all()


def test_a_learner_that_takes_no_step_any_more_stops_the_run():
  look = learning.Refusals(3)
  numbers = {"learner/loss": np.nan, "learner/gradient_norm": np.nan}
  refused, taken = (
    numbers | {"learner/skipped_fraction": x} for x in (1.0, 0.0)
  )
  for line in (refused, refused, taken, refused, refused):
    look(line)
  with pytest.raises(FloatingPointError, match="3 steps of the learner"):
    look(refused)


def test_every_step_of_a_run_is_looked_at_for_its_learner(monkeypatch):
  line = {"learner/skipped_fraction": 1.0, "rollout/tokens_per_second": 1.0}
  line |= dict.fromkeys(("reward/mean", "policy/entropy"), 0.0)
  line |= dict.fromkeys(("learner/loss", "learner/gradient_norm"), np.nan)
  state, made = types.SimpleNamespace(step=1, pending=None), []

  def one_step(*_):
    made.append(1)
    return state, dict(line), {}

  monkeypatch.setattr(loop, "one_step", one_step)
  config = runs.config(steps=20, evaluation__every=100)
  run = types.SimpleNamespace(config=config)
  with pytest.raises(FloatingPointError, match="steps of the learner"):
    list(loop._steps(run, state, None))
  assert len(made) == config.guard.max_consecutive


def test_a_chain_without_a_learner_is_never_stopped_for_one():
  learning.Refusals(1)({"loss/total": np.nan})


def test_rows_of_unknown_reward_teach_nothing(plain):
  found = []
  for wrong in (0.0, np.nan):
    state, ref, batch, reward, known = rolled(plain)
    reward[3], known[3] = wrong, False
    state, *_ = plain.learn(state, ref, batch, reward, known)
    found.append(jax.device_get(state.learned))
  assert_equal(*found)


def test_a_long_gradient_is_shortened_before_adam_sees_it():
  gradient = {"w": jnp.array([3.0, 4.0])}
  for longest, want in ((1.0, 1.0), (10.0, 5.0)):
    learner = Learner((), None, rate=0.1, max_gradient_norm=longest)
    tx = learning.optimizer(learner, narrow=False)
    _, state = tx.update(gradient, tx.init(gradient))
    mean = optax.tree_utils.tree_get(state, "mu")  # a tenth of the first one
    np.testing.assert_allclose(optax.global_norm(mean), want / 10, rtol=1e-6)


@pytest.mark.long
def test_it_lies_on_the_devices_as_the_policy_does():
  p = programs(devices=4, shape=dict(fsdp=2, tensor=2))
  state, ref = runs.start(p)
  for _ in range(2):
    kinds = [
      jax.tree.map(lambda x: x.sharding, tree)
      for tree in (state.params, state.learned.params)
    ]
    assert kinds[0] == kinds[1]
    assert not state.learned.params["embedding"].is_fully_replicated
    state, _ = runs.step(p, state, ref)


@pytest.mark.long
def test_with_adapters_it_is_made_of_adapters():
  p = programs(model=dict(lora=Lora(rank=2, alpha=4.0, targets=("up",))))
  state, ref = runs.start(p)
  leaves = jax.tree.leaves(state.learned.params)
  assert [x.shape for x in leaves] == [
    x.shape for x in jax.tree.leaves(state.params)
  ]
  begin = jax.device_get(state.learned.params)
  state, lines = runs.step(p, state, ref)
  assert distance(jax.device_get(state.learned.params), begin) > 1e-3
  # Adapters begin as nothing, and so as the reference.
  assert lines[0]["prime/log_ratio"] < 1e-6


@pytest.mark.long
def test_narrow_weights_have_wide_copies():
  tx = precision.with_master_copies(optax.adam(1e-2))
  narrow = dict(dtype="bfloat16", param_dtype="bfloat16")
  p = programs(model=narrow, tx=tx)
  state, ref = runs.start(p)
  state, _ = runs.step(p, state, ref)
  assert isinstance(state.learned.opt, MasterState)
  assert {x.dtype.name for x in jax.tree.leaves(state.learned.params)} == {
    "bfloat16"
  }


def test_the_program_is_traced_once_over_steps_and_kinds_of_rollouts():
  p = programs()
  state, ref = runs.start(p)
  for reward in (None, np.zeros(32, np.float32), np.ones(32, np.float32)):
    state, _ = runs.step(p, state, ref, reward)
  assert p.learn._cache_size() == p.prepare._cache_size() == 1


@pytest.mark.parametrize(
  ("parameters", "changes", "passes"),
  [
    # The reference; the second model forward and, twice that, backward.
    ({}, dict(updates=1), 1 + 3),
    # In slices the statistics are collected first.
    ({}, dict(updates=2), 1 + 4),
    ({"learn": "before"}, dict(updates=1), 1 + 3 + 1),
    ({"reference": "policy"}, dict(updates=1), 3),
  ],
)
def test_the_cost_counts_what_it_takes(parameters, changes, passes):
  cost = programs(parameters, **changes).cost()
  assert cost == {"cost/extra_passes": passes, "cost/extra_rows": 0}


def test_rows_that_its_slices_do_not_divide_are_refused(tmp_path):
  c = runs.config(chain=("grpo", "aepo"), task__data_dir=str(tmp_path))
  c.aepo = dict(target_entropy=0.5, rows=8, per_prompt=4)
  build.build(c)  # 8 devices; it samples 40 rows, and trains on 32 of them
  c.chain = ("prime", "aepo")
  with pytest.raises(ValueError, match="samples 40 rows.* 16 must divide"):
    build.build(c)
