"""The configuration file of every method."""

import importlib
import inspect
import json
import re

import pytest

from configs import recipe
from rlvr_jax import methods
from rlvr_jax.training import config as config_lib
from rlvr_jax.training import hyper, relations

HEADINGS = ("Paper", "Command", "Hardware", "Time", "Published", "Expect")


@pytest.mark.parametrize("name", methods.CATALOGUE)
def test_a_method_s_file_names_paper_command_and_what_to_expect(name):
  module = importlib.import_module(f"configs.methods.{name}")
  doc = inspect.getdoc(module)
  _, _, rest = doc.partition("\n")
  told = re.findall(r"^(\w+):\s+\S", rest, re.MULTILINE)
  assert told == list(HEADINGS)
  assert f"--config=configs/methods/{name}.py:runlocal" in doc
  assert methods.CATALOGUE[name].arxiv in doc
  assert "TODO" not in doc
  assert module.RECIPE.name == name and name in module.RECIPE.chain


def test_dapo_in_full_draws_three_times_its_prompts_at_a_time():
  module = importlib.import_module("configs.dapo")
  _, _, rest = inspect.getdoc(module).partition("\n")
  assert re.findall(r"^(\w+):\s+\S", rest, re.MULTILINE) == list(HEADINGS)
  assert "--config=configs/dapo.py:runlocal" in rest
  for arg in (None, "runlocal", "runlocal,tiny"):
    config = module.get_config(arg)
    config_lib.check(config)
    assert config.rollout.dynamic.metric == "correct"
  r = module.get_config().rollout
  assert relations.asked_at_a_time(r.prompts, r.dynamic.factor) == 1536


@pytest.mark.parametrize("arg", ["", ",runlocal", ",runlocal,tiny"])
def test_the_second_stage_of_cure_goes_on_in_the_folder_of_the_first(
  arg, tmp_path
):
  module = importlib.import_module("configs.cure")
  _, _, rest = inspect.getdoc(module).partition("\n")
  assert re.findall(r"^(\w+):\s+\S", rest, re.MULTILINE) == list(HEADINGS)
  first, second = (module.get_config(f"stage={n}{arg}") for n in (1, 2))
  config_lib.check(first)
  text = json.dumps(config_lib.plain(first))
  (tmp_path / "config.json").write_text(text)
  config_lib.check(second, tmp_path)
  rows = first.rollout.per_prompt * (1 + first.cure.branches)
  assert second.rollout.per_prompt == rows
  assert second.steps == 2 * first.steps and "cure" not in second.chain
  with pytest.raises(ValueError, match="stage = 3 must be 1 or 2"):
    module.get_config("stage=3")


@pytest.mark.parametrize("name", methods.CATALOGUE)
def test_published_numbers_do_not_train_at_the_learning_rate_of_a_laptop(name):
  assert recipe.of(name).published["optimizer.learning_rate"] < 1e-4


@pytest.mark.parametrize("arg", [None, "runlocal", "runlocal,tiny"])
@pytest.mark.parametrize("name", methods.CATALOGUE)
def test_a_method_s_file_gives_sound_configurations(name, arg):
  module = importlib.import_module(f"configs.methods.{name}")
  config = module.get_config(arg)
  config_lib.check(config)
  assert config.label == name


@pytest.mark.parametrize("arg", [None, "runlocal"])
@pytest.mark.parametrize(
  "name", [n for n in methods.CATALOGUE if "steps" in hyper.of(n)]
)
def test_a_schedule_over_the_run_is_as_long_as_the_run(name, arg):
  config = recipe.config(recipe.of(name), arg)
  assert config[name].steps == config.steps


def test_a_recipe_of_no_method_is_refused_with_the_nearest_name():
  with pytest.raises(ValueError, match="did you mean 'clip_cov'"):
    recipe.of("clip_kov")
