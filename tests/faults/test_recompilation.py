"""Every program is compiled once, whatever a run meets; else it is told why."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import runs
from poison import Poison, poisoned
from rlvr_jax.models.mesh import make_mesh, whole
from rlvr_jax.training import traces
from rlvr_jax.training.checkpoint import Checkpoints
from rlvr_jax.training.state import TrainState, layout, like, parts

pytestmark = pytest.mark.usefixtures("quick_compile")

PROGRAMS = ("sample", "rescored", "prepare", "update")


def restored(p, state, folder):
  """The state after a trip to disk, as a run that goes on reads it."""
  checkpoints = Checkpoints(folder)
  checkpoints.commit(int(state.step), parts(state))
  shapes = jax.eval_shape(p.init_state, jax.random.key(0), None)
  where = like(shapes, layout(shapes, p.mesh))
  found = checkpoints.restore(int(state.step), parts(where))
  checkpoints.close()
  return TrainState(**found["run"], **found["chain"])


def test_ten_steps_of_all_kinds_are_one_trace_of_every_program(
  tmp_path, monkeypatch
):
  """A controller that switches, temperatures that change, a refused step."""
  counts = dict.fromkeys(PROGRAMS, 0)
  limited = traces.limited

  def counted(fn, limit):
    name = fn.__name__.strip("_")

    def one(*args, **named):
      counts[name] += 1
      return fn(*args, **named)

    one.__name__ = name
    return limited(one, limit)

  monkeypatch.setattr(traces, "limited", counted)
  p = poisoned({4: Poison.NAN_LOSS}, names=("entropy_annealing", "aer"))
  state, ref = runs.start(p)
  for step in range(10):
    if step == 6:
      state = restored(p, state, tmp_path)
    # Ragged: the responses end where they like, and rewards come and go.
    rows = p.plan.draws[0][1]
    reward = np.asarray(np.arange(rows) < 4 * step, np.float32)
    p.rescored(state, ref, runs.sample(p, state, ref))
    state, _ = runs.step(p, state, ref, reward)
  assert int(state.step) == 10 and int(state.guard.refused) == 2
  assert counts == dict.fromkeys(PROGRAMS, 1)
  sizes = {name: getattr(p, name)._cache_size() for name in PROGRAMS}
  assert sizes == dict.fromkeys(PROGRAMS, 1)


@pytest.mark.long
def test_prompts_of_two_widths_are_two_traces_of_every_program():
  p = runs.programs("grpo", prompt_width=32)
  state, ref = runs.start(p)
  tokens, valid = runs.prompts(p)
  for width in (32, 16, 32, 16):
    batch = p.sample(state, ref, tokens[:, -width:], valid[:, -width:])
    rows = len(batch.mask)
    outcome = np.arange(rows, dtype=np.float32) % 2, np.ones(rows, bool)
    batch, method, _ = p.prepare(state, batch, *outcome, {})
    state, _ = p.update(state.replace(method=method), ref, batch, 0)
  names = ("sample", "prepare", "update")
  assert [getattr(p, name)._cache_size() for name in names] == [2, 2, 2]
  with pytest.raises(traces.Retraced, match="now int32\\[8,8\\]"):
    p.sample(state, ref, tokens[:, -8:], valid[:, -8:])


def add(state, batch):
  return state["coef"] + batch


def test_a_program_traced_again_names_the_argument_that_changed():
  once = jax.jit(traces.limited(add, 1))
  state = {"coef": jnp.float32(1)}
  once(state, jnp.ones(3))
  once({"coef": jnp.float32(2)}, jnp.zeros(3))
  with pytest.raises(traces.Retraced) as told:
    once(state, jnp.ones(4))
  assert "'add'" in str(told.value)
  assert "batch was float32[3], now float32[4]" in str(told.value)
  assert "coef" not in str(told.value)


def test_a_state_of_another_type_is_named_by_its_path():
  once = jax.jit(traces.limited(add, 1))
  once({"coef": jnp.float32(1)}, jnp.ones(3))
  with pytest.raises(traces.Retraced) as told:
    once({"coef": 1.0}, jnp.ones(3))
  text = "state['coef'] was float32[], now float32[] of a Python number"
  assert text in str(told.value)


def test_an_array_that_lies_elsewhere_is_named():
  once = jax.jit(traces.limited(add, 1))
  coef, ones = jnp.float32(1), jnp.ones(3)
  mesh = make_mesh(devices=jax.devices()[:1])
  once({"coef": jax.device_put(coef, whole(mesh))}, ones)
  with pytest.raises(traces.Retraced, match=r"state\['coef'\] was on Named"):
    once({"coef": coef}, ones)


def test_as_many_traces_as_widths_of_prompts_are_right():
  twice = jax.jit(traces.limited(add, 2))
  for width in (3, 4, 3, 4):
    twice({"coef": jnp.float32(1)}, jnp.ones(width))
  with pytest.raises(traces.Retraced):
    twice({"coef": jnp.float32(1)}, jnp.ones(5))


def test_a_setting_of_jax_that_changed_is_told():
  once = jax.jit(traces.limited(add, 1))
  arguments = {"coef": jnp.float32(1)}, jnp.ones(3)
  once(*arguments)
  with (
    jax.default_matmul_precision("highest"),
    pytest.raises(traces.Retraced, match="jax.config has changed"),
  ):
    once(*arguments)
