"""Configurations of real experiments, run on a laptop's model and data."""

import importlib
import json
import re
import shutil
import sys

import pytest
from absl import flags

import runs
from configs import laptop, published
from rlvr_jax import methods, transform
from rlvr_jax.models import hf
from rlvr_jax.training import config as config_lib
from rlvr_jax.training import export, loop
from rlvr_jax.training.build import build
from rlvr_jax.training.fields import flatten
from rlvr_jax.types import Draw

NAMES = (
  "qwen2_5_1_5b_gsm8k",
  "qwen2_5_math_7b_dapo",
  "qwen3_4b_dapo",
  "llama3_8b_math",
)
HEADINGS = ("Command", "Needs", "Hardware", "Published", "Expect")


def of(name, arg):
  return importlib.import_module(f"configs.{name}").get_config(arg)


def lines(workdir):
  text = (workdir / "metrics.jsonl").read_text()
  return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_names_command_needs_hardware_and_expectation(name):
  doc = importlib.import_module(f"configs.{name}").__doc__
  assert re.findall(r"^(\w+):\s+\S", doc, re.MULTILINE) == list(HEADINGS)
  assert f"configs/{name}.py" in doc and "runlocal" in doc


@pytest.mark.parametrize("name", NAMES)
def test_what_is_missing_is_told_by_its_path(name):
  told = runs.message(of(name, None))
  assert "config.model.folder = 'models/" in told
  assert "config.json does not exist" in told
  assert "data/" in told


@pytest.mark.parametrize(
  "name",
  [NAMES[0], *(pytest.param(n, marks=pytest.mark.long) for n in NAMES[1:])],
)
def test_every_method_fits_on_a_laptop(name):
  for method in methods.CATALOGUE:
    config = of(name, f"method={method},runlocal")
    config_lib.check(config)
    assert method in config.chain


def rows(c):
  """Of a step, with branches and those that are replayed, as many as these."""
  draws = (Draw("main", c.rollout.per_prompt),)
  for name in c.chain:
    method = methods.make(name, **c[name])
    if method.init is transform.no_state:
      draws = method.plan(draws, ())
  own = sum(d.per_prompt for d in draws if d.parent or d.name == "main")
  return c.rollout.prompts * own * (1 + ("spear" in c.chain))


@pytest.mark.parametrize("name", NAMES)
def test_a_method_s_lengths_are_those_of_the_experiment(name):
  own = of(name, None)
  for method in methods.CATALOGUE:
    c = of(name, f"method={method}")
    longest = c.rollout.max_response
    assert c.rollout.max_prompt == own.rollout.max_prompt
    assert longest == own.rollout.max_response
    # What is punished for its length, and what a sum is divided by.
    assert c.overlong_shaping.max_length == 0
    assert c.length_reward.max_length == 0
    if "overlong_shaping" in c.chain:
      share = 7 if method == "cure" else 5  # 512 of 3,584, 4,096 of 20,480
      assert c.overlong_shaping.buffer == -(-longest // share)
    assert c.loss.scale in (0, rows(c) // c.train.updates * longest)


@pytest.mark.parametrize("name", NAMES)
def test_slices_divide_the_rows_of_an_update_on_eight_devices(name):
  for method in methods.CATALOGUE:
    c = of(name, f"method={method}")
    assert c.rollout.prompts % 8 == 0, method
    assert rows(c) % (c.train.updates * c.train.slices * 8) == 0, method


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_methods_with_draws_of_their_own_are_built_for_the_hardware(
  name, tmp_path
):
  small = of(name, "runlocal")
  folder = shutil.copytree(small.model.folder, tmp_path / "model")
  sizes = json.loads((folder / "config.json").read_text())
  sizes["max_position_embeddings"] = 16_384  # as the large ones have
  (folder / "config.json").write_text(json.dumps(sizes))
  drawing = [line.name for line in methods.table() if "plan" in line.hooks]
  assert "aepo" in drawing
  for method in ("grpo", *drawing):
    c = of(name, f"method={method}")
    c.model.folder, c.task.options = str(folder), small.task.options
    c.mesh.update(data=8 // c.mesh.fsdp)
    config_lib.check(c)
    build(c)


def test_dynamic_sampling_is_added_by_its_name():
  plain, dynamic = (
    flatten(of(NAMES[1], arg).to_dict())
    for arg in ("method=clip_cov", "method=clip_cov,dynamic")
  )
  assert dynamic == plain | published.DYNAMIC != plain


def test_without_a_method_the_numbers_are_those_of_the_experiment():
  for name in NAMES:
    module = importlib.import_module(f"configs.{name}")
    flat = flatten(module.get_config(None).to_dict())
    values = {k: v for k, v in module.VALUES.items() if "options" not in k}
    assert {k: flat[k] for k in values} == values


# One step of short responses, on every axis of a mesh: as many as it takes to
# find right answers by chance, about one of thirty.
SHORT = {
  "mesh.data": 2,
  "mesh.fsdp": 2,
  "mesh.tensor": 2,
  "optimizer.learning_rate": 1e-2,
  "steps": 1,
  "rollout.prompts": 4,
  "rollout.per_prompt": 32,
  "rollout.max_response": 32,
  "evaluation.samples": 2,
  "evaluation.ks": (1, 2),
}


def trained(name, workdir, changes=()):
  config = of(name, "method=clip_cov,runlocal")
  config.update_from_flattened_dict({"progress": False} | dict(changes))
  loop.train(config, workdir)
  return config


def exported(monkeypatch, name, workdir, out, **changes):
  """What the command line of `experiments.export` says."""
  argv = [f"--config=configs/{name}.py:method=clip_cov,runlocal"]
  argv += [f"--config.{key}={value}" for key, value in changes.items()]
  argv += [f"--workdir={workdir}", f"--out={out}"]
  # config_flags reads it.
  monkeypatch.setattr(sys, "argv", ["export", *argv])
  with runs.program("experiments.export") as program:
    flags.FLAGS(sys.argv)
    program.main()


def learned(workdir):
  """Some answers are right and the policy moves, at a finite loss."""
  found = lines(workdir)
  assert any(line["reward/mean"] > 0 for line in found)
  assert any(line["update/gradient_norm"] > 0 for line in found)
  assert all(line["guard/skipped_fraction"] == 0 for line in found)
  # Sampler and trainer hold the same policy, up to bfloat16.
  assert found[0]["mismatch/mean"] < 0.05
  return found


@pytest.mark.long
def test_a_laptop_s_run_with_adapters_on_a_mesh_is_exported_and_opens(
  tmp_path, quick_compile, monkeypatch, capsys
):
  workdir, base = tmp_path / "run", tmp_path / "base"
  shutil.copytree(laptop.model("qwen2"), base)
  changes = {"model.folder": str(base), "model.lora.rank": 4} | SHORT
  config = trained(NAMES[0], workdir, changes)
  assert len(learned(workdir)) == config.steps
  exported(monkeypatch, NAMES[0], workdir, tmp_path / "out", **changes)
  said = f"{tmp_path / 'out'} holds the policy after step {config.steps}\n"
  assert capsys.readouterr().out.endswith(said)
  before = hf.load(config.model.folder).params["blocks"]["up"]
  after = hf.load(tmp_path / "out").params["blocks"]["up"]
  assert before.shape == after.shape and bool((before != after).any())
  # A run does not go on above other weights than it began with.
  with (base / "generation_config.json").open("a") as file:
    file.write(" ")
  with pytest.raises(config_lib.ConfigError, match="began with other files"):
    loop.train(config, workdir)
  with pytest.raises(config_lib.ConfigError, match="began with other files"):
    export.export(config, workdir, tmp_path / "again")


@pytest.mark.parametrize(
  "name",
  [pytest.param(n, marks=pytest.mark.long) for n in NAMES],
)
def test_all_weights_of_a_laptop_s_run_are_trained_on_a_mesh(
  name, tmp_path, quick_compile
):
  config = trained(name, tmp_path, SHORT)
  assert not config.model.lora.rank
  assert len(learned(tmp_path)) == config.steps


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_a_laptop_s_run_takes_the_path_of_the_real_one(name, tmp_path):
  config = trained(name, tmp_path)
  assert len(learned(tmp_path)) == config.steps


def test_a_run_without_a_checkpoint_or_a_family_is_not_exported(tmp_path):
  config = of(NAMES[0], "runlocal")
  with pytest.raises(config_lib.ConfigError, match="holds no checkpoint"):
    export.export(config, tmp_path / "none", tmp_path / "out")
  with pytest.raises(config_lib.ConfigError, match="config.model.folder is"):
    export.export(runs.config(), tmp_path / "none", tmp_path / "out")


def test_a_tokenizer_with_more_ids_than_the_model_has_rows_is_refused(tmp_path):
  folder = tmp_path / "model"
  shutil.copytree(laptop.model("qwen2"), folder)
  words = json.loads((folder / "tokenizer.json").read_text())
  first = words["added_tokens"][0]
  words["added_tokens"] += [
    first | dict(id=259 + number, content=f"<{number}>") for number in range(70)
  ]
  (folder / "tokenizer.json").write_text(json.dumps(words))
  config = of(NAMES[0], "runlocal")
  config.model.folder = str(folder)
  with pytest.raises(config_lib.ConfigError, match="embedding 320 rows"):
    loop.train(config, tmp_path / "run")
