import pathlib
import re

import pytest

from rlvr_jax import methods

ROOT = pathlib.Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

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


def test_the_readme_s_table_lists_exactly_the_catalogue():
  rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", (ROOT / "README.md").read_text(),
                    re.MULTILINE)  # fmt: skip
  assert [name for name, _ in rows] == list(methods.CATALOGUE)
  for name, rest in rows:
    assert methods.CATALOGUE[name].paper in rest
