"""The programs of a run with the shapes and places of what they are given."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.stages import Wrapped

from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.training.programs import Programs, Shapes
from rlvr_jax.training.state import layout, like
from rlvr_jax.types import PyTree


class Program(NamedTuple):
  """One program and its arguments as ShapeDtypeStructs with shardings."""

  name: str
  run: Wrapped
  arguments: tuple[PyTree, ...]
  times: int  # that a step runs it


def placed(p: Programs) -> Shapes:
  """The shapes of a step, each where it lives."""
  shapes, mesh = p.shapes(), p.mesh
  row = mesh_lib.by_row(mesh)

  def rows(tree):
    return jax.tree.map(lambda x: _at(x, row), tree)

  state = like(shapes.state, layout(shapes.state, mesh))
  ref = shapes.ref
  if ref is not None:
    ref = like(ref, mesh_lib.shardings(ref, mesh))
  _, batch, *outcome, notes = shapes.edit
  return Shapes(
    state,
    ref,
    rows(shapes.prompts),
    rows(shapes.sampled),
    (state, *rows((batch, *outcome, notes))),
    rows(shapes.trained.replace(metrics={})),
  )


def of(p: Programs) -> list[Program]:
  """What a step runs, in its order; `score` is what `sample` ends with."""
  shapes = placed(p)
  state, ref = shapes.state, shapes.ref
  index = _at(jax.ShapeDtypeStruct((), jnp.int32), mesh_lib.whole(p.mesh))
  found = [Program("sample", p.sample, (state, ref, *shapes.prompts), 1)]
  if p.learn is not None:
    _, batch, *outcome, _ = shapes.edit
    learn = (state, ref, shapes.sampled, *outcome)
    found.append(Program("learn", p.learn, learn, 1))
  update = (state, ref, shapes.trained, index)
  return [
    *found,
    Program("prepare", p.prepare, shapes.edit, 1),
    Program("update", p.update, update, p.settings.updates),
  ]


def _at(x: jax.ShapeDtypeStruct, where) -> jax.ShapeDtypeStruct:
  return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where)
