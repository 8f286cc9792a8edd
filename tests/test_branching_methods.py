"""Rows, groups and masks of methods that branch, from sample to update."""

import jax
import numpy as np
import optax
import pytest

import runs
from rlvr_jax import testing, transform
from rlvr_jax.methods.agentic_aepo import agentic_aepo
from rlvr_jax.methods.arpo import arpo
from rlvr_jax.methods.cure import ENTROPY, cure
from rlvr_jax.methods.grpo import grpo
from rlvr_jax.training.programs import Programs

pytestmark = pytest.mark.usefixtures("quick_compile")

ROOTS, LENGTH = 4, 10
OF = {"cure": 2, "arpo": 1, "agentic_aepo": 2}  # branches of a root
EACH = ROOTS * (1 + sum(OF.values()))  # rows of a prompt
METHOD = transform.chain(
  grpo(),
  cure(branches=OF["cure"], candidates=3),
  arpo(branches=OF["arpo"], attribution="hard", probability=0.9),
  agentic_aepo(branches=OF["agentic_aepo"]),
)


def programs(**how):
  p = runs.programs("grpo", length=LENGTH, model=dict(layers=1), **how)
  return Programs(p.model, METHOD, optax.adam(1e-2), p.settings, p.mesh)


@pytest.fixture(scope="module")
def whole():
  p = programs()
  started = runs.start(p)
  return p, started, jax.device_get(runs.sample(p, *started))


@pytest.fixture(scope="module")
def text(whole):
  size = whole[0].model.config.vocabulary
  return jax.device_get(testing.token_text(jax.random.key(0), size))


def rows_of(whole, name):
  p, _, batch = whole
  names = [draw for draw, _ in p.plan.draws]
  return np.flatnonzero(batch.source == names.index(name))


def test_all_rows_of_a_prompt_are_one_group(whole):
  p, _, batch = whole
  assert len(batch.mask) == p.rows()[1] == 8 * EACH
  for name, branches in OF.items():
    rows = rows_of(whole, name)
    assert len(rows) == 8 * ROOTS * branches
    parents = np.arange(8 * ROOTS).repeat(branches)
    np.testing.assert_array_equal(batch.parent[rows], parents)
  np.testing.assert_array_equal(batch.group, batch.prompt)
  np.testing.assert_array_equal(np.bincount(batch.group), [EACH] * 8)


def test_branches_of_cure_part_at_one_critical_token_and_do_not_train_it(
  whole, text
):
  batch = whole[2]
  rows, parted = rows_of(whole, "cure").reshape(-1, OF["cure"]), 0
  for siblings in rows:
    parent, cuts = batch.parent[siblings[0]], batch.copied[siblings]
    assert len(set(cuts)) == 1
    allowed = batch.mask[parent] & (text.length[batch.response[parent]] >= 2)
    allowed[0] = False
    nats = np.where(allowed, batch.stats[ENTROPY.key][parent], -1)
    best = [i for i in np.argsort(-nats, kind="stable")[:3] if allowed[i]]
    # The last token of all stands for those that would leave nothing to do.
    assert cuts[0] in (best or [0])
    parted += cuts[0] > 0
    for row in siblings:
      assert not batch.mask[row, : cuts[0]].any() and batch.mask[row, cuts[0]]
  assert parted > 8


@pytest.mark.parametrize("name", ["arpo", "agentic_aepo"])
def test_forks_stand_behind_lines_and_train_what_they_copy(name, whole, text):
  batch, rows = whole[2], rows_of(whole, name)
  forked = rows[batch.copied[rows] > 0]
  assert 0 < len(forked) < len(rows)
  for row in forked:
    cut, parent = batch.copied[row], batch.parent[row]
    assert text.ends_line[batch.response[parent, cut - 1]]
    assert batch.mask[parent, cut] and batch.mask[row, : cut + 1].all()


def test_a_step_attributes_shared_tokens_to_all_who_have_them(whole):
  p, (state, ref), sampled = whole
  reward = np.arange(len(sampled.mask)) % 3 / 2
  known = np.ones(len(reward), bool)
  batch, method, told = p.prepare(
    state, sampled, reward.astype(np.float32), known, {}
  )
  found = jax.device_get(batch.advantages)
  assert not found[~sampled.mask].any()
  spread = 0
  for row in np.flatnonzero(sampled.parent >= 0):
    parent, cut = sampled.parent[row], sampled.copied[row]
    shared = sampled.mask[row, :cut]
    want = np.where(shared, found[parent, :cut], 0)
    np.testing.assert_allclose(found[row, :cut], want, atol=1e-6)
    spread += np.ptp(found[row][sampled.mask[row]])
  assert spread > 1
  for name in OF:
    assert 0 < told[f"{name}/branched_fraction"] <= 1
    assert 0 < told[f"{name}/branch_entropy"] < np.log(14)
  for index in range(p.settings.updates):
    state, metrics = p.update(state.replace(method=method), ref, batch, index)
    assert all(np.isfinite(x) for x in jax.device_get(metrics).values())


@pytest.mark.long
def test_neither_rows_nor_devices_change_a_sample(whole):
  p = programs(devices=8, shape=dict(data=8), rows=64)
  batch = runs.sample(p, *runs.start(p))
  for name in ("tokens", "mask", "parent", "copied", "group"):
    np.testing.assert_array_equal(getattr(batch, name), getattr(whole[2], name))
