import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import runs
from rlvr_jax import methods, stats
from rlvr_jax.analysis import entropy_covariance
from rlvr_jax.analysis.entropy_law import group_covariance
from rlvr_jax.sampling.rows import rounded
from rlvr_jax.training import build, measures
from rlvr_jax.training.metrics import mean_over_updates
from rows import FIRST

pytestmark = pytest.mark.usefixtures("quick_compile")

# All kinds of things a method can do: draws, rollout needs, the reference
# policy, added terms, weights, state.
CHAIN = ("grpo", "aepo", "steer", "entropy_bonus", "kl_penalty")


def others(size=6):
  """The other methods in chains of at most so many that do not collide."""
  chains = []
  for name in FIRST:
    if name in CHAIN:
      continue
    for chain in chains:
      if len(chain) < size and runs.composed((*chain, name)):
        chain.append(name)
        break
    else:
      chains.append([name])
  return [runs.composed(chain) for chain in chains]


OTHERS = others()
# One of them in `make test`, all in `make test-long`.
SOME_LONG = [
  pytest.param(
    c, marks=[pytest.mark.long] * ("kl_cov" not in c), id="+".join(c)
  )
  for c in OTHERS
]
SGD = optax.sgd(1.0)  # parameters then move by exactly the gradient


def moved(p):
  """Parameters after one step, and the metrics of its updates."""
  state, ref = runs.start(p)
  state, lines = runs.step(p, state, ref)
  return jax.device_get(state.params), lines


def assert_close(got, want, floor=1e-3):
  """To 1e-5 of the largest entry of a leaf, or of the floor.

  A metric of something that is not there is NaN in both.
  """
  for g, w in zip(jax.tree.leaves(got), jax.tree.leaves(want)):
    np.testing.assert_array_equal(np.isnan(g), np.isnan(w))
    g, w = np.nan_to_num(g), np.nan_to_num(w)
    assert np.abs(g - w).max() <= 1e-5 * max(np.abs(w).max(), floor)


@pytest.fixture(scope="module")
def plain():
  return moved(runs.programs(*CHAIN, tx=SGD))


@pytest.mark.parametrize("slices", [pytest.param(2, marks=pytest.mark.long), 4])
def test_slices_change_no_gradient_and_no_metric(plain, slices):
  params, lines = moved(runs.programs(*CHAIN, tx=SGD, slices=slices))
  assert_close(params, plain[0])
  for got, want in zip(lines, plain[1]):
    # The advantages of a group are of unit size and cancel in the loss.
    assert_close(got, want, floor=1e-1)


def test_every_method_is_in_one_of_the_chains():
  tried = {name for names in (CHAIN, *OTHERS) for name in names}
  assert tried == set(methods.CATALOGUE)


@pytest.mark.parametrize("names", SOME_LONG)
def test_slices_and_devices_change_no_gradient_of_any_method(names):
  want = moved(runs.programs(*names, tx=SGD))[0]
  p = runs.programs(*names, tx=SGD, slices=2, devices=2, shape=dict(data=2))
  assert_close(moved(p)[0], want)


def test_chunks_of_tokens_change_no_gradient(plain):
  params, _ = moved(runs.programs(*CHAIN, tx=SGD, chunk=40))
  assert_close(params, plain[0])


def arrays(jaxpr):
  """Shapes of everything a program computes, inner programs included."""
  for equation in jaxpr.eqns:
    yield from (v.aval.shape for v in equation.outvars)
    for inner in jax.core.jaxprs_in_params(equation.params):
      yield from arrays(inner)


def test_logits_exist_for_one_position_in_the_sampler_and_nowhere_else():
  vocabulary = 1601  # more than a block
  names = (*CHAIN, "siren", "lp_reg", "aent")
  p = runs.programs(*names, vocabulary=vocabulary, chunk=72, rescore=True)
  state, ref = runs.start(p)
  rows = p.rows()[0]
  batch = runs.sample(p, state, ref)
  known = np.ones(rows, bool)
  reward = known.astype(np.float32)
  ready = p.prepare(state, batch, reward, known, {})[0]
  weights = runs.SIZES["width"]
  given = state, ref, *runs.prompts(p)
  traced = {
    p.sample.trace(*given, text=None): max(rounded(rows), weights),
    p.prepare.trace(state, batch, reward, known, {}): weights,
    p.update.trace(state, ref, ready, 0): weights,
  }
  for program, bound in traced.items():
    shapes = set(arrays(program.jaxpr.jaxpr))
    wide = {s for s in shapes if vocabulary in s}
    assert all(np.prod(s) <= bound * vocabulary for s in wide), wide
    blocks = {s for s in shapes if 1024 in s}
    assert all(np.prod(s) <= 72 * 1024 for s in blocks), blocks
  assert blocks


@pytest.mark.parametrize(
  ("devices", "shape"),
  [
    pytest.param(2, dict(data=2), marks=pytest.mark.long),
    pytest.param(4, dict(data=2, fsdp=2), marks=pytest.mark.long),
    pytest.param(8, dict(data=2, fsdp=2, tensor=2), marks=pytest.mark.long),
    pytest.param(4, dict(sequence=4), marks=pytest.mark.long),
    (8, dict(fsdp=2, sequence=2, tensor=2)),
  ],
)
def test_devices_and_mesh_change_no_gradient(plain, devices, shape):
  p = runs.programs(*CHAIN, tx=SGD, devices=devices, shape=shape)
  params, lines = moved(p)
  assert_close(params, plain[0])
  assert_close(lines[1]["loss/total"], plain[1][1]["loss/total"])


def test_rescoring_in_float32_gives_the_sampler_s_own_statistics(plain):
  params, _ = moved(runs.programs(*CHAIN, tx=SGD, rescore=True))
  assert_close(params, plain[0])


@pytest.mark.long
def test_rescoring_in_bfloat16_takes_the_log_probs_of_a_full_pass():
  p = runs.programs("grpo", rescore=True, model=dict(dtype="bfloat16"))
  q = runs.programs("grpo", model=dict(dtype="bfloat16"))
  state, ref = runs.start(p)
  scored, sampled = (runs.sample(x, state, ref) for x in (p, q))
  bare = scored.replace(stats={}, metrics={})
  full = stats.score(
    (stats.LOGP,), {"policy": state.params}, bare, model=p.model
  )
  want = jnp.where(bare.mask, full[stats.LOGP.key], 0)
  np.testing.assert_allclose(scored.old_logp * bare.mask, want, atol=1e-6)
  assert jnp.abs(sampled.old_logp - scored.old_logp).max() > 1e-3


@pytest.mark.long
def test_the_mismatch_is_the_sampler_s_whether_rescored_or_not():
  found = []
  for rescore in (True, False):
    p = runs.programs(
      "grpo", rescore=rescore, updates=1, model=dict(dtype="bfloat16")
    )
    _, lines = runs.step(p, *runs.start(p))
    found.append((lines[0] | lines[1])["mismatch/mean"])
  assert found[0] > 1e-4
  # The same bfloat16 pass in two programs: XLA may fuse, and so round, a few
  # tokens differently; a mismatch of other rows or parameters is off by 0.1.
  np.testing.assert_allclose(*found, rtol=1e-3)


def test_every_program_is_traced_once_over_steps_and_kinds_of_rollouts():
  p = runs.programs(*CHAIN)
  state, ref = runs.start(p)
  rows = sum(n for _, n in p.plan.draws)
  for reward in (None, np.zeros(rows, np.float32), np.ones(rows, np.float32)):
    state, _ = runs.step(p, state, ref, reward)
  assert [f._cache_size() for f in (p.sample, p.prepare, p.update)] == [1] * 3
  assert int(state.step) == 3 and int(state.cursor) == 3 * 8


def test_wider_prompts_sample_and_learn_the_same():
  narrow = runs.prompts(runs.programs("grpo"))
  found = []
  for extra in (0, 5):
    p = runs.programs(*CHAIN, tx=SGD, prompt_width=3 + extra)
    state, ref = runs.start(p)
    wider = [np.pad(x, [(0, 0), (extra, 0)]) for x in narrow]
    batch = p.sample(state, ref, *wider)
    rows = batch.mask.shape[0]
    reward = np.asarray(batch.mask.sum(1) % 2, np.float32)
    batch, method, _ = p.prepare(state, batch, reward, np.ones(rows, bool), {})
    state, _ = p.update(state.replace(method=method), ref, batch, 0)
    found.append((np.asarray(batch.response), jax.device_get(state.params)))
  np.testing.assert_array_equal(found[0][0], found[1][0])
  assert_close(found[1][1], found[0][1])


@pytest.mark.parametrize(
  "name", ["config.rollout.prompts", "config.warm_start.batch"]
)
def test_rows_that_the_devices_do_not_divide_are_refused_by_name(
  name, tmp_path
):
  section, field = name.split(".")[1:]
  changes = {f"{section}__{field}": 4, "task__data_dir": str(tmp_path)}
  with pytest.raises(ValueError, match=f"{name} = 4 must be a multiple of"):
    build.build(runs.config(**changes))


def test_the_first_update_sees_the_sampler_s_log_probs():
  _, lines = moved(runs.programs(*CHAIN, tx=SGD))
  assert lines[1]["mismatch/max"] < 1e-5
  assert lines[2]["mismatch/max"] > 1e-5  # the policy has moved by then


def test_unknown_rewards_are_masked_out_of_loss_and_measures():
  p = runs.programs("grpo")
  state, ref = runs.start(p)
  batch = runs.sample(p, state, ref)
  rows = batch.mask.shape[0]
  reward = np.arange(rows) % 2
  known = np.arange(rows) != 3
  edited, _, measured = p.prepare(
    state, batch, reward.astype(np.float32), known, {}
  )
  assert not edited.mask[3].any() and edited.group[3] == -1
  np.testing.assert_allclose(measured["reward/unknown_fraction"], 1 / rows)
  np.testing.assert_allclose(measured["reward/mean"], reward[known].mean())


def test_the_covariances_are_those_of_the_entropy_law():
  p = runs.programs("grpo")
  state, ref = runs.start(p)
  batch = runs.sample(p, state, ref)
  reward = np.float32(np.arange(len(batch.mask)) % 3 == 0)
  known = np.ones(len(reward), bool)
  batch, _, whole = p.prepare(state, batch, reward, known, {})
  # A method has taken one response out, and another draw has other rows.
  batch = batch.replace(
    mask=batch.mask.at[2].set(False), source=batch.source.at[5].set(1)
  )
  measured = jax.jit(measures.covariance)(batch)
  assert whole.keys() >= measured.keys()
  fields = (
    batch.old_logp,
    batch.mask,
    batch.advantages,
    batch.group,
    batch.reward,
  )
  logp, mask, gain, group, solved = (
    np.delete(np.asarray(x), 5, axis=0) for x in fields
  )
  by_prompt = group_covariance(logp, mask, gain[:, 0], group)
  np.testing.assert_allclose(
    measured["covariance/prompt"], by_prompt.mean(), rtol=1e-4, atol=1e-7
  )
  pooled = np.cov(logp[mask], gain[mask], ddof=0)[0, 1]
  np.testing.assert_allclose(measured["covariance/token"], pooled, rtol=1e-4)
  counted = mask.any(axis=1)
  share = np.bincount(group[counted], solved[counted])
  share /= np.bincount(group[counted])
  for name, mean in entropy_covariance.by_accuracy(by_prompt, share).items():
    found = measured[f"covariance/prompt_{name}"]
    np.testing.assert_allclose(found, mean, rtol=1e-4, atol=1e-7)


def test_the_slow_copy_exists_only_when_a_method_asks_for_it():
  p = runs.programs("grpo")
  assert jax.eval_shape(p.init_state, jax.random.key(0), None).ema is None
  params = {"w": jnp.ones(2)}
  assert p.weights.frozen(params) is None
  assert runs.programs("grpo", "kl_penalty").weights.frozen(params) is params


def test_a_refused_update_keeps_parameters_optimizer_and_method_together():
  p = runs.programs("grpo", "entropy_bonus")
  state, ref = runs.start(p)
  rows = sum(n for _, n in p.plan.draws)
  before = jax.device_get((state.params, state.opt))
  state, lines = runs.step(p, state, ref, np.full(rows, np.nan, np.float32))
  after = jax.device_get((state.params, state.opt))
  jax.tree.map(np.testing.assert_array_equal, before, after)
  assert lines[1]["guard/skipped_fraction"] == 1
  assert int(state.guard.refused) == int(state.guard.consecutive) == 2
  state, lines = runs.step(p, state, ref)
  assert lines[1]["guard/skipped_fraction"] == 0
  assert int(state.guard.consecutive) == 0


def test_metrics_of_a_step_are_means_extremes_or_the_first_update_s():
  lines = [
    {"a": 1.0, "b_max": 1.0, "c_min": 1.0, "mismatch/d": 1.0},
    {"a": 3.0, "b_max": 5.0, "c_min": 0.0, "mismatch/d": 9.0},
  ]
  want = {"a": 2.0, "b_max": 5.0, "c_min": 0.0, "mismatch/d": 1.0}
  assert mean_over_updates(lines) == want


def test_updates_without_tokens_are_no_part_of_the_metrics_of_a_step():
  line = lambda a, tokens: {"a": a, "loss/tokens": tokens}
  assert mean_over_updates([line(2.0, 6.0), line(0.0, 0.0)]) == line(2.0, 6.0)
  assert mean_over_updates([line(0.0, 0.0)] * 2) == line(0.0, 0.0)


@pytest.mark.parametrize(
  ("names", "changes", "passes", "rows"),
  [
    (("grpo", "steer", "entropy_bonus"), {}, 0, 0),
    (("grpo", "kl_penalty"), {}, 1, 0),
    (("grpo", "aepo"), {}, 0, 8),
    (("grpo",), {"rescore": True}, 1, 0),
  ],
)
def test_the_cost_is_what_nobody_had_computed_anyway(
  names, changes, passes, rows
):
  want = {"cost/extra_passes": passes, "cost/extra_rows": rows}
  assert runs.programs(*names, **changes).cost() == want
