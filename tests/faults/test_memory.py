"""What a run takes of a device is told before it runs, and when it fails."""

import json
import types

import jax
import pytest

import runs
from rlvr_jax.models.mesh import by_row, put
from rlvr_jax.training import advance, loop, memory

pytestmark = pytest.mark.usefixtures("quick_compile")


def ahead(p):
  """As a run does it: before it has seen a prompt."""
  state, ref = runs.start(p)
  run = types.SimpleNamespace(programs=p, mesh=p.mesh)
  traces = p.ahead(state, ref, *loop._inputs(run, state))
  return {name: traced.lower().compile() for name, traced in traces}


@pytest.fixture(scope="module")
def programs():
  return runs.programs("grpo", compare_every=50, length=24)


@pytest.fixture(scope="module")
def table(programs):
  return memory.of(ahead(programs))


def test_every_program_of_a_step_has_its_bytes(programs, table):
  assert [*table] == ["rollout", "scoring", "prepare", "update"]
  state, _ = runs.start(programs)
  held = sum(x.nbytes for x in jax.tree.leaves((state.params, state.opt)))
  for row in table.values():
    assert row.total == row.arguments + row.outputs + row.temporaries
  # The update reads all of the state, and writes over it.
  assert table["update"].arguments >= held > table["update"].outputs


def test_what_was_compiled_ahead_is_not_compiled_again(
  programs, table, caplog, monkeypatch
):
  state, ref = runs.start(programs)
  rows = by_row(programs.mesh)
  prompts = put(runs.prompts(programs), rows)  # as host.encoded does
  monkeypatch.setattr(runs, "prompts", lambda p: prompts)
  with jax.log_compiles():
    batch = programs.sample(state, ref, *prompts, text=None)
    programs.rescored(state, ref, batch)
    runs.step(programs, state, ref)
    jax.jit(lambda x: x + 1, inline=False)(0)
  told = [r.getMessage() for r in caplog.records]
  compiled = [t.split()[4] for t in told if "XLA compilation of" in t]
  assert "jit(<lambda>)" in compiled  # or nothing would be seen here at all
  ours = {"jit(sample)", "jit(rescored)", "jit(_prepare)", "jit(update)"}
  assert not ours.intersection(compiled), compiled


def test_what_is_told_is_of_the_widest_prompts():
  p = runs.programs("grpo", prompt_width=40)
  run = types.SimpleNamespace(programs=p, mesh=p.mesh)
  for x in loop._inputs(run, None):
    assert x.shape == (p.settings.prompts, 40)


def test_twice_the_slices_lower_the_temporaries_of_the_update(table):
  less = memory.of(ahead(runs.programs("grpo", length=24, slices=2)))
  assert less["update"].temporaries < 0.8 * table["update"].temporaries


def test_the_table_is_written_and_readable(table, tmp_path):
  memory.tell(table, tmp_path)
  held = json.loads((tmp_path / "memory.json").read_text())
  assert held["update"]["total"] == table["update"].total
  assert "update" in memory.text(table) and "KiB" in memory.text(table)


@pytest.mark.parametrize(
  "said",
  [
    "RESOURCE_EXHAUSTED: Attempting to allocate 3.5G",
    "INTERNAL: Error dispatching computation: Out of memory allocating 9 bytes",
  ],
)
def test_running_out_tells_the_table_and_the_knobs_in_order(table, said):
  error = jax.errors.JaxRuntimeError(said)
  with pytest.raises(MemoryError) as told:
    memory.explain(error, table, runs.config(model__remat="none"))
  text = str(told.value)
  wanted = "update", "train.slices", "model.remat", "mesh.fsdp", "max_response"
  places = [text.index(word) for word in wanted]
  assert places == sorted(places)


def test_another_error_is_left_alone(table):
  error = jax.errors.JaxRuntimeError("INTERNAL: something else")
  memory.explain(error, table, runs.config())


def test_running_out_before_the_first_step_is_explained_too(
  tmp_path, monkeypatch
):
  def fail(run, workdir):
    raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 3.5G")

  monkeypatch.setattr(advance.warm_start, "load_or_train", fail)
  run = types.SimpleNamespace(config=runs.config())
  with pytest.raises(MemoryError, match="the weights alone") as told:
    advance.advance(run, tmp_path / "run", None, None)
  assert "What helps, in this order:" in str(told.value)


@pytest.mark.long
def test_a_run_that_does_not_fit_ends_with_status_1_and_no_checkpoint(tmp_path):
  """12 GB in one piece, under a limit of 8: it fails at once."""
  limit = ("sh", "-c", f'ulimit -v {8 << 20} && exec "$@"', "limit")
  process = runs.spawn(
    "--config=configs/quickstart.py:tiny",
    f"--workdir={tmp_path / 'run'}",
    f"--config.task.data_dir={tmp_path / 'data'}",
    "--config.warm_start.steps=0",
    "--config.progress=False",
    "--config.rollout.per_prompt=100000",
    under=limit,
  )
  out, _ = process.communicate(timeout=300)
  assert process.returncode == 1, out
  assert "What helps, in this order:" in out
  assert "config.train.slices" in out
  assert not list((tmp_path / "run" / "checkpoints").glob("[0-9]*"))
