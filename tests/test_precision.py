"""16-bit weights with 32-bit copies in the optimizer."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import runs
from configs import qwen2_5_1_5b_gsm8k
from rlvr_jax import stats
from rlvr_jax.models import hf
from rlvr_jax.training import resume
from rlvr_jax.training.build import build
from rlvr_jax.training.checkpoint import Checkpoints
from rlvr_jax.training.export import export
from rlvr_jax.training.precision import with_master_copies
from rlvr_jax.training.programs import Programs
from rlvr_jax.training.state import parts
from rlvr_jax.transform import chain, monitor
from rlvr_jax.types import Need

pytestmark = pytest.mark.usefixtures("quick_compile")


def steps(tx, params, gradient, count):
  state = tx.init(params)
  for _ in range(count):
    change, state = tx.update(gradient, state, params)
    params = optax.apply_updates(params, change)
  return params, state


def test_small_steps_add_up_where_they_would_be_lost_in_16_bits():
  # One step is 1e-4, the next bfloat16 below 1 is 4e-3 away.
  one = {"w": jnp.ones(3, jnp.bfloat16)}
  gradient = {"w": jnp.ones(3, jnp.bfloat16)}
  plain, _ = steps(optax.sgd(1e-4), one, gradient, 100)
  np.testing.assert_array_equal(plain["w"].astype(jnp.float32), 1.0)
  kept, state = steps(with_master_copies(optax.sgd(1e-4)), one, gradient, 100)
  np.testing.assert_allclose(state.copies["w"], 0.99, rtol=1e-5)
  # Numbers of bfloat16 lie 4e-3 apart below 1.
  np.testing.assert_allclose(kept["w"].astype(jnp.float32), 0.99, rtol=4e-3)


def test_with_wide_weights_nothing_changes():
  key = jax.random.key(0)
  params = {"w": jax.random.normal(key, (4, 5))}
  gradient = {"w": jax.random.normal(jax.random.key(1), (4, 5))}
  plain, _ = steps(optax.adamw(1e-2), params, gradient, 5)
  kept, _ = steps(with_master_copies(optax.adamw(1e-2)), params, gradient, 5)
  np.testing.assert_allclose(plain["w"], kept["w"], rtol=0, atol=1e-7)


def test_weights_of_a_run_are_the_rounded_copies_after_every_step():
  p = runs.programs(
    "grpo",
    model=dict(dtype="bfloat16", param_dtype="bfloat16"),
    tx=with_master_copies(optax.adam(1e-3)),
  )
  state, ref = runs.start(p)
  for _ in range(3):
    state, _ = runs.step(p, state, ref)
    kinds = {x.dtype.name for x in jax.tree.leaves(state.params)}
    assert kinds == {"bfloat16"}
    jax.tree.map(
      lambda w, copy: np.testing.assert_array_equal(
        np.asarray(w, np.float32),
        np.asarray(copy.astype(jnp.bfloat16), np.float32),
      ),
      state.params,
      state.opt.copies,
    )


def test_a_slow_copy_follows_the_wide_copies_not_the_rounded_weights():
  # Steps of 1e-5 reach the copies alone.
  tx = with_master_copies(optax.sgd(1e-5))
  p = runs.programs(
    "grpo", model=dict(param_dtype="bfloat16"), tx=tx, updates=1
  )
  slow = Need(stats.Logp(), params=("ema",), when="rollout")
  watch = monitor("watch", lambda o, c: {}, needs=(slow,))
  method = chain(*p.method.parts, watch)
  q = Programs(p.model, method, p.tx, p.settings, p.mesh)
  state, ref = runs.start(q)
  begin = jax.device_get(state.ema)
  state, _ = runs.step(q, state, ref)
  decay = q.settings.ema_decay

  def check(slow, before, copy):
    assert slow.dtype == jnp.float32
    np.testing.assert_allclose(slow, decay * before + (1 - decay) * copy)

  jax.tree.map(check, state.ema, begin, state.opt.copies)
  moved = jax.tree.map(lambda a, b: (a != b).any(), state.ema, begin)
  assert any(jax.tree.leaves(moved))


def test_what_is_exported_is_the_wide_copies_not_the_rounded_weights(tmp_path):
  config = qwen2_5_1_5b_gsm8k.get_config("runlocal")
  config.model.param_dtype = "bfloat16"
  run, workdir = build(config), tmp_path / "run"
  params = hf.load(config.model.folder, param_dtype="bfloat16").params
  state = run.programs.init_state(run.key, params)
  # As after steps that are too small for 8 bits.
  learned = jax.tree.map(lambda x: x * (1 + 2**-12), state.opt.copies)
  checkpoints = Checkpoints(workdir / "checkpoints")
  opt = state.opt._replace(copies=learned)
  found = resume.facts(run)
  checkpoints.commit(3, parts(state.replace(opt=opt)), found)
  checkpoints.close()
  assert export(config, workdir, tmp_path / "out", "float32") == 3
  exported = hf.load(tmp_path / "out").params
  jax.tree.map(np.testing.assert_array_equal, exported, learned)
