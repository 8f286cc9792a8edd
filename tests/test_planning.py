"""A plan counts what a program computes, moves and holds."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import runs
from rlvr_jax.models import Transformer, hf
from rlvr_jax.planning import chips, compiled, given, hlo, places, work

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
  assert work.flops(traced.jaxpr.jaxpr, 1) == 3 * LAYERS * one


def test_every_layer_gathers_its_weights_once():
  compiled_ = jax.jit(layered).lower(*split()).compile()
  sent = hlo.moved(compiled_.as_text(), 1).sent["all-gather"]
  weights = WIDTH * WIDTH * 4
  assert sent.count == LAYERS
  assert sent.bytes == LAYERS * weights * (DEVICES - 1) / DEVICES


def test_products_read_their_operands_in_every_layer():
  compiled_ = jax.jit(layered).lower(*split()).compile()
  rows = ROWS // DEVICES
  one = 4 * (2 * rows * WIDTH + WIDTH * WIDTH)
  assert hlo.moved(compiled_.as_text(), 1).products == LAYERS * one


def test_a_loop_that_ends_by_itself_runs_as_often_as_it_is_said():
  x = jax.ShapeDtypeStruct((8, 8), jnp.float32)
  loop = lambda x: jax.lax.while_loop(lambda y: y.sum() < 9, lambda y: y @ y, x)
  traced = jax.jit(loop).trace(x)
  text = traced.lower().compile().as_text()
  assert work.flops(traced.jaxpr.jaxpr, 7) == 7 * 2 * 8**3
  assert hlo.moved(text, 7).products == 7 * 3 * 8 * 8 * 4


@pytest.fixture(scope="module")
def update():
  p = runs.programs("grpo", devices=4, shape=dict(data=2, fsdp=2))
  begin = given.of(p)
  return begin, dict(p.ahead(*begin))["update"]


def test_arguments_are_the_parts_that_a_device_has(update):
  begin, traced = update
  found = compiled.figures("update", traced, 2, 4, 1)
  own = places.on_device((begin.state.params, begin.state.opt))
  all_of_it = places.on_device((begin.state, begin.ref))
  # The rollout comes on top; what a program does not read is left out.
  assert own < found.memory.arguments < 2 * all_of_it
  assert found.memory.temporaries > 0 and found.flops > 0


def test_the_largest_bound_is_the_limit(update):
  found = compiled.figures("update", update[1], 2, 4, 1)
  quick = chips.Chip(1e9, 1e30, 1e30, 1.0)
  bounds = compiled.bounds(found, chips.Topology("quick", quick, (4,)))
  assert bounds.limit == "network" and bounds.seconds == bounds.network > 0


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
