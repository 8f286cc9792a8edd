"""Training of low-rank adapters in place of the weights."""

import functools

import jax
import numpy as np
import optax
import pytest

import runs
from rlvr_jax import stats
from rlvr_jax.models import Lora, lora
from rlvr_jax.training import loop
from rlvr_jax.types import Need

pytestmark = pytest.mark.usefixtures("quick_compile")
LORA = Lora(rank=2, alpha=4.0, targets=("query", "output", "up"))
REF = Need(stats.Logp(), params=("ref",), when="rollout")


def programs(**changes):
  adapters = dict(lora=LORA)
  return runs.programs("grpo", "kl_penalty", model=adapters, **changes)


def close(a, b, tolerance=1e-5):
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, rtol=0, atol=tolerance), a, b
  )


def names(tree):
  paths = jax.tree_util.tree_flatten_with_path(tree)[0]
  return {str(path[-1].key) for path, x in paths if hasattr(path[-1], "key")}


def test_state_and_optimizer_hold_the_adapters_alone():
  p = programs()
  state, _ = runs.start(p)
  wanted = {f"{t}_lora_{part}" for t in LORA.targets for part in "ab"}
  assert names(state.params) == names(state.opt) == wanted


def test_the_reference_policy_is_the_frozen_weights_without_a_copy():
  p = programs()
  params = p.model.init(jax.random.key(0))
  frozen = p.weights.frozen(params)
  for kept in jax.tree.leaves(frozen):
    assert any(kept is x for x in jax.tree.leaves(params))
  state, ref = runs.start(p)
  moved, _ = runs.step(p, state, ref)
  batch = runs.sample(p, moved, ref)
  plain = p.model.without_adapters()
  bare = batch.replace(stats={})
  want = stats.score((stats.LOGP,), {"policy": ref}, bare, model=plain)
  mask = np.asarray(batch.mask)
  found = np.asarray(batch.stats[REF.key])
  np.testing.assert_allclose(
    found[mask], np.asarray(want[stats.LOGP.key])[mask], atol=1e-5
  )
  assert np.abs(found - batch.old_logp)[mask].max() > 1e-3


def test_the_gradient_is_the_chain_rule_through_the_merged_weights():
  p = programs(tx=optax.sgd(1.0), updates=1)
  state, ref = runs.start(p)
  begin = jax.device_get(state.params)
  moved, _ = runs.step(p, state, ref)
  step = jax.tree.map(lambda a, b: a - b, begin, jax.device_get(moved.params))
  # At B = 0 nothing reaches A, and B gets scale * A' times W's gradient.
  whole = runs.programs("grpo", "kl_penalty", tx=optax.sgd(1.0), updates=1)
  full = jax.jit(whole.init_state)(jax.random.key(0), ref)
  after, _ = runs.step(whole, full, ref)
  gradient = np.asarray(ref["blocks"]["up"] - after.params["blocks"]["up"])
  a = begin["blocks"]["up_lora_a"]
  want = LORA.scale * np.einsum("ldr,ldf->lrf", a, gradient)
  np.testing.assert_array_equal(step["blocks"]["up_lora_a"], 0)
  np.testing.assert_allclose(
    step["blocks"]["up_lora_b"], want, rtol=1e-4, atol=1e-7
  )


@pytest.mark.parametrize(
  "changes",
  [
    pytest.param(dict(slices=2), marks=pytest.mark.long),
    pytest.param(
      dict(devices=4, shape=dict(data=2, tensor=2)), marks=pytest.mark.long
    ),
  ],
)
def test_slices_and_devices_change_adapters_by_rounding_alone(changes):
  one, other = programs(), programs(**changes)
  a, b = (runs.step(p, *runs.start(p))[0].params for p in (one, other))
  close(jax.device_get(a), jax.device_get(b), tolerance=1e-4)


@pytest.mark.long
def test_merged_weights_say_what_the_adapters_said():
  p = programs()
  state, ref = runs.start(p)
  moved, _ = runs.step(p, state, ref)
  batch = runs.sample(p, moved, ref)
  bare, plain = batch.replace(stats={}), p.model.without_adapters()
  low, blocks = moved.params["blocks"], dict(ref["blocks"])
  add = jax.vmap(functools.partial(lora.added, scale=LORA.scale))
  for name in LORA.targets:
    pair = low[f"{name}_lora_a"], low[f"{name}_lora_b"]
    blocks[name] = add(blocks[name], *pair)
  merged = ref | {"blocks": blocks}
  found = stats.score((stats.LOGP,), {"policy": merged}, bare, model=plain)
  mask = np.asarray(batch.mask)
  gap = np.abs(found[stats.LOGP.key] - batch.old_logp)[mask]
  assert gap.max() < 1e-5


@pytest.mark.long
def test_a_resumed_run_with_adapters_ends_with_the_same_bits(tmp_path):
  def trained(folder, steps):
    c = runs.config(steps=steps, model__param_dtype="bfloat16")
    c.model.lora.rank = 2
    return jax.device_get(loop.train(c, tmp_path / folder))

  whole = trained("whole", 4)
  trained("cut", 2)
  jax.tree.map(np.testing.assert_array_equal, whole, trained("cut", 4))


@pytest.mark.parametrize(
  "wrong",
  [dict(rank=0, alpha=1.0), dict(rank=2, alpha=1.0, targets=("embedding",)),
   dict(rank=2, alpha=1.0, targets=())],
)  # fmt: skip
def test_adapters_that_cannot_be_are_refused(wrong):
  with pytest.raises(ValueError, match="rank must be >= 1 and targets some of"):
    Lora(**wrong)
