"""A plan counts what a program computes, moves and holds."""

import json
import pathlib
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import runs
from rlvr_jax.models import Transformer, hf
from rlvr_jax.planning import chips, compiled, given, hlo, places, report, work
from rlvr_jax.sampling import rows as rows_lib
from rlvr_jax.training import memory

WIDTH, ROWS, LAYERS, DEVICES = 64, 32, 5, 4


def layered(weights, x):
  """A stack of matrix products, as the decoder applies its layers."""
  step = lambda x, w: (jnp.tanh(x @ w), None)
  return jax.lax.scan(step, x, weights)[0].sum()


def split():
  """Weights split over devices, as is each row of x."""
  mesh = jax.sharding.Mesh(np.array(jax.devices()[:DEVICES]), ("fsdp",))
  like = lambda shape, *axes: jax.ShapeDtypeStruct(
    shape, jnp.float32, sharding=NamedSharding(mesh, P(*axes))
  )
  return (
    like((LAYERS, WIDTH, WIDTH), None, "fsdp"),
    like((ROWS, WIDTH), "fsdp"),
  )


def test_matrix_products_are_counted_forward_and_backward():
  traced = jax.jit(jax.grad(layered, argnums=(0, 1))).trace(*split())
  one = 2 * ROWS * WIDTH * WIDTH
  assert work.flops(traced.jaxpr.jaxpr) == 3 * LAYERS * one


def test_every_layer_gathers_its_weights_once():
  compiled_ = jax.jit(layered).lower(*split()).compile()
  sent = hlo.moved(compiled_.as_text()).sent["all-gather"]
  weights = WIDTH * WIDTH * 4
  assert sent.count == LAYERS
  assert sent.bytes == LAYERS * weights * (DEVICES - 1) / DEVICES


def test_products_read_their_operands_in_every_layer():
  compiled_ = jax.jit(layered).lower(*split()).compile()
  rows = ROWS // DEVICES
  one = 4 * (2 * rows * WIDTH + WIDTH * WIDTH)
  assert hlo.moved(compiled_.as_text()).products == LAYERS * one


def test_a_loop_that_ends_by_itself_runs_as_often_as_it_is_said():
  x = jax.ShapeDtypeStruct((8, 8), jnp.float32)
  loop = lambda x: jax.lax.while_loop(lambda y: y.sum() < 9, lambda y: y @ y, x)
  traced = jax.jit(loop).trace(x)
  text = traced.lower().compile().as_text()
  assert work.flops(traced.jaxpr.jaxpr, work.Runs(7)) == 7 * 2 * 8**3
  assert hlo.moved(text, work.Runs(7)).products == 7 * 3 * 8 * 8 * 4


def test_what_may_be_left_out_counts_by_the_share_that_is_said():
  x = jax.ShapeDtypeStruct((8, 8), jnp.float32)
  some = lambda x: jax.lax.cond(x.sum() < 9, lambda y: y @ y, lambda y: y, x)
  traced = jax.jit(some).trace(x)
  text = traced.lower().compile().as_text()
  half = work.Runs(choice=0.5)
  assert work.flops(traced.jaxpr.jaxpr, half) == 8**3
  assert hlo.moved(text, half).products == 1.5 * 8 * 8 * 4


def test_of_two_that_exclude_each_other_the_dearest_counts():
  x = jax.ShapeDtypeStruct((8, 8), jnp.float32)
  either = lambda x: jax.lax.cond(
    x.sum() < 9, lambda y: y @ y, lambda y: y @ y @ y, x
  )
  traced = jax.jit(either).trace(x)
  text = traced.lower().compile().as_text()
  assert work.flops(traced.jaxpr.jaxpr) == 2 * 2 * 8**3
  assert hlo.moved(text).products == 2 * 3 * 8 * 8 * 4


# How compilers write who takes part: eight devices in each.
@pytest.mark.parametrize(
  "groups",
  [
    "{{0,1,2,3,4,5,6,7},{8,9,10,11,12,13,14,15}}",
    "[2,8]<=[16]",
    "mesh['axis_0'=8,'axis_1'=2] {'axis_0'}",
    "mesh['axis_0'=4,'axis_1'=2,'axis_2'=2] {'axis_0','axis_1'}",
    "mesh['axis_0'=8,'axis_1'=2], device_ids=([2,8]T(1,0)) {'axis_0'}",
  ],
)
def test_a_collective_sends_what_its_group_passes_on(groups):
  text = """
ENTRY %main (x: bf16[16]) -> bf16[128] {
  %x = bf16[16]{0:T(128)(2,1)} parameter(0)
  ROOT %y = bf16[128]{0:T(128)(2,1)} all-gather(%x), replica_groups=GROUPS, dim
}
"""
  sent = hlo.moved(text.replace("GROUPS", groups)).sent["all-gather"]
  assert sent == (1, 128 * 2 * 7 / 8)
  with pytest.raises(ValueError, match="who takes part"):
    hlo.moved(text.replace("replica_groups=GROUPS", "channel_id=1"))


@pytest.mark.parametrize(
  "more, times", [("", 4), ("  %z = pred[] and(%p, %p)", 9)]
)
def test_a_loop_that_counts_to_a_number_runs_so_often(more, times):
  """Compilers for TPU say no more than the condition."""
  text = f"""
%end (s: (s32[], f32[8,8])) -> pred[] {{
  %s = (s32[], f32[8,8]) parameter(0)
  %n = s32[] get-tuple-element(%s), index=0
  %c = s32[] constant(4)
{more}
  ROOT %p = pred[] compare(%n, %c), direction=LT
}}

%body (s: (s32[], f32[8,8])) -> (s32[], f32[8,8]) {{
  %s.1 = (s32[], f32[8,8]) parameter(0)
  %x = f32[8,8] get-tuple-element(%s.1), index=1
  %y = f32[8,8] dot(%x, %x), lhs_contracting_dims={{1}}
  ROOT %t = (s32[], f32[8,8]) tuple(%x, %y)
}}

ENTRY %main (s: (s32[], f32[8,8])) -> (s32[], f32[8,8]) {{
  %s.2 = (s32[], f32[8,8]) parameter(0)
  ROOT %w = (s32[], f32[8,8]) while(%s.2), condition=%end, body=%body
}}
"""
  assert hlo.moved(text, work.Runs(9)).products == times * 3 * 8 * 8 * 4


@pytest.fixture(scope="module")
def update():
  p = runs.programs("grpo", devices=4, shape=dict(data=2, fsdp=2))
  begin = given.of(p)
  return begin, dict(p.ahead(*begin))["update"]


def test_arguments_are_the_parts_that_a_device_has(update):
  begin, traced = update
  found = compiled.figures("update", traced, 2, 4, ())
  own = places.on_device((begin.state.params, begin.state.opt))
  all_of_it = places.on_device((begin.state, begin.ref))
  # The rollout comes on top; what a program does not read is left out.
  assert own < found.memory.arguments < 2 * all_of_it
  assert found.memory.temporaries > 0 and found.flops > 0


def test_the_largest_bound_is_the_limit(update):
  found = compiled.figures("update", update[1], 2, 4, ())
  quick = chips.Chip(1e9, 1e30, 1e30, 1.0)
  bounds = compiled.bounds(found, chips.Topology("quick", quick, (4,)))
  assert bounds.limit == "network" and bounds.seconds == bounds.network > 0


class Full:
  """A program that a chip's compiler finds no room for."""

  def __init__(self, words):
    self._words = words

  def lower(self):
    return self

  def compile(self):
    raise jax.errors.JaxRuntimeError(self._words)


def test_a_program_that_its_compiler_refuses_is_named_with_what_helps():
  with pytest.raises(MemoryError) as told:
    compiled.figures("update", Full("RESOURCE_EXHAUSTED: 32G of 15G"), 1, 4, ())
  text = report.refusal([], told.value)
  for part in ("Does not fit", "update", "32G of 15G", "config.train.slices"):
    assert part in text
  with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
    compiled.figures("update", Full("INTERNAL: a mistake"), 1, 4, ())


@pytest.mark.parametrize(
  "samples, rows, devices, own",
  [(32, 0, 2, 16), (64, 64, 1, 64), (512, 64, 8, 16), (512, 200, 8, 32)],
)
def test_a_device_decodes_whole_sixteens_of_rows(samples, rows, devices, own):
  assert rows_lib.of_device(samples, rows, devices) == own


@pytest.mark.parametrize("text", ["v5p", "v9:2x2", "h100:0", "v5e:2x", "8"])
def test_a_topology_that_is_none_is_refused(text):
  with pytest.raises(ValueError, match="v5e:8x8"):
    chips.parse(text)


def test_a_topology_has_its_chips_devices():
  assert chips.parse("v5p:4x4x4").devices == 64
  assert chips.parse("v7x:2x2x1").devices == 8
  assert chips.parse("h100:8").memory < 80e9


# Billions of parameters, as their makers publish them.
@pytest.mark.parametrize(
  "name, billions",
  [
    ("Qwen2.5-1.5B", 1.54),
    ("Qwen2.5-Math-7B", 7.62),
    ("Qwen2.5-32B", 32.76),
    ("Qwen3-4B-Base", 4.02),
    ("Llama-3.1-8B-Instruct", 8.03),
  ],
)
def test_published_sizes_have_the_published_number_of_parameters(
  name, billions
):
  folder = pathlib.Path("configs/models") / name
  assert set(p.name for p in folder.iterdir()) == {"config.json"}
  assert json.loads((folder / "config.json").read_text())
  model = Transformer(hf.read_config(folder))
  shapes = jax.eval_shape(model.init, jax.random.key(0))
  count = sum(x.size for x in jax.tree.leaves(shapes))
  assert count / 1e9 == pytest.approx(billions, abs=0.006)


SMALL = dict(layers=4, width=256, heads=4, kv_heads=2, head_dim=64, hidden=768)


@pytest.mark.parametrize(
  "slices, model, more",
  [
    (2, dict(), dict()),
    pytest.param(2, dict(remat="selective"), dict(), marks=pytest.mark.long),
    pytest.param(
      *(4, dict(remat="selective", layers=16), dict(length=700)),
      marks=pytest.mark.long,
    ),
    pytest.param(
      *(4, dict(remat="selective", heads=8, head_dim=32, hidden=512), dict()),
      marks=pytest.mark.long,
    ),
    pytest.param(8, dict(hidden=512), dict(), marks=pytest.mark.long),
    pytest.param(1, dict(), dict(), marks=pytest.mark.long),
    pytest.param(4, dict(heads=8, head_dim=32), dict(), marks=pytest.mark.long),
    pytest.param(4, dict(layers=16), dict(), marks=pytest.mark.long),
    pytest.param(8, dict(), dict(length=700), marks=pytest.mark.long),
    pytest.param(
      2, dict(), dict(devices=2, shape=dict(fsdp=2)), marks=pytest.mark.long
    ),
    pytest.param(
      *(4, dict(), dict(devices=4, shape=dict(data=2, sequence=2), length=700)),
      marks=pytest.mark.long,
    ),
  ],
)
def test_an_update_takes_what_the_formula_says(slices, model, more):
  p = runs.programs(
    "grpo",
    model=SMALL | dict(remat="full") | model,
    **dict(prompts=16, prompt_width=32, length=224) | more,
    vocabulary=2048,
    chunk=1024,
    updates=1,
    slices=slices,
  )
  begin = given.of(p)
  update = dict(p.ahead(*begin))["update"].lower().compile()
  taken = memory.of({"update": update})["update"].total
  assert 1 / 1.15 < taken / places.of_update(p, begin) < 1.15


@pytest.mark.long
def test_an_update_of_28_layers_compiles_like_one_of_two():
  def seconds(layers):
    p = runs.programs("grpo", model=SMALL | dict(remat="full", layers=layers))
    update = dict(p.ahead(*given.of(p)))["update"]
    began = time.perf_counter()
    update.lower().compile()
    return time.perf_counter() - began

  few, many = (min(seconds(n) for _ in range(2)) for n in (2, 28))
  assert many < 2 * few
