import pathlib
import re
import shlex
import sys

import pytest
from absl import flags

import runs
from rlvr_jax import methods
from rlvr_jax.report import catalogue
from rlvr_jax.training import compare, loop, sft
from rlvr_jax.training import config as config_lib

ROOT = pathlib.Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

pytestmark = pytest.mark.usefixtures("quick_compile")


def blocks(page, language="python"):
  return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_the_code_of_a_page_runs_from_top_to_bottom(page):
  names = {}
  for block in blocks(page):
    exec(compile(block, str(page), "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_and_pictures_of_a_page_exist(page):
  targets = re.findall(r"\]\(([^)#]+)\)", page.read_text())
  local = [t for t in targets if "://" not in t]
  assert all((page.parent / t).exists() for t in local), local


def test_the_worked_example_has_at_most_twenty_lines_of_code():
  example = blocks(ROOT / "docs" / "adding_a_method.md")[1]
  code = [x for x in example.splitlines() if x.strip() and x.strip()[0] != "#"]
  assert len(code) <= 20


def test_the_readme_s_table_is_that_of_the_catalogue():
  page = (ROOT / "README.md").read_text()
  table = catalogue.markdown(methods.table())
  assert table in page, "run make docs"
  lines = {line.name: line for line in methods.table()}
  assert lines.keys() == methods.CATALOGUE.keys()
  aepo, steer = lines["aepo"], lines["steer"]
  assert aepo.hooks == ("plan", "prepare", "apply") and aepo.state
  assert steer.needs == ("Entropy()|policy|rollout",) and not steer.state


def test_a_family_page_tells_of_every_method():
  for family in methods.FAMILIES:
    page = ROOT / "docs" / "methods" / f"{family}.md"
    told = re.findall(r"^## `(\w+)`$", page.read_text(), re.MULTILINE)
    entries = methods.CATALOGUE.items()
    assert told == [name for name, e in entries if e.family == family]


# Tools of the library itself.
NO_PAPER = {"edits"}


def test_the_page_of_analyses_tells_of_every_one_with_its_source():
  page = (ROOT / "docs" / "analysis.md").read_text()
  told = re.split(r"^### `(\w+)`$", page, flags=re.MULTILINE)[1:]
  files = (ROOT / "rlvr_jax" / "analysis").glob("[!_]*.py")
  assert sorted(told[::2]) == sorted(file.stem for file in files)
  for name, text in zip(told[::2], told[1::2]):
    assert "https://arxiv.org/abs/" in text or name in NO_PAPER, name
    assert f"from rlvr_jax.analysis import {name}\n" in text, name


def commands(text):
  """The shell commands of a page, and its flags added to a command."""
  whole = text.replace("\\\n", " ")
  found = re.findall(r"^python -m (experiments\.\w+ .*)$", whole, re.MULTILINE)
  base = "experiments.train --config=configs/quickstart.py --workdir=x "
  return found + [
    base + flag for flag in re.findall(r"`(--config[^`]+)`", text)
  ]


README_COMMANDS = commands((ROOT / "README.md").read_text())


@pytest.fixture
def no_training(monkeypatch, tmp_path, tmp_path_factory):
  """Runs a command line as far as the check of its configurations."""
  monkeypatch.chdir(ROOT)
  monkeypatch.setattr(loop, "train", config_lib.check)
  monkeypatch.setattr(sft, "train", config_lib.check)
  monkeypatch.setattr(compare, "compare", lambda *a: compare.plan(*a[:4]))
  cache = tmp_path_factory.getbasetemp().parent / "cache"
  monkeypatch.setenv("XDG_CACHE_HOME", str(cache))

  def run(command):
    name, *argv = shlex.split(command)
    if name != "experiments.evaluate":
      argv.append(f"--workdir={tmp_path / 'run'}")
    monkeypatch.setattr(sys, "argv", [name, *argv])  # config_flags reads it
    with runs.program(name) as program:
      flags.FLAGS([name, *argv])
      if name == "experiments.evaluate":  # The model would have to be there.
        with pytest.raises(config_lib.ConfigError, match="is no folder"):
          program.main()
      else:
        program.main()

  return run


def test_the_readme_shows_the_programs():
  programs = {command.split()[0] for command in README_COMMANDS}
  names = ("train", "compare", "evaluate", "sft")
  assert programs == {f"experiments.{name}" for name in names}


@pytest.mark.parametrize("command", README_COMMANDS)
def test_a_command_of_the_readme_can_be_run(command, no_training):
  no_training(command)
