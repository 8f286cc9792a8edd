"""The documentation site: its pages, its navigation, its reference."""

import importlib
import inspect
import pathlib
import re
import subprocess
import sys

import pytest

import rlvr_jax
from docs.site import insertions, rest
from rlvr_jax import methods

DOCS = insertions.DOCS


def pages(folder="."):
  found = (DOCS / folder).rglob("*.md")
  return {str(p.relative_to(DOCS).with_suffix("")) for p in found}


def documented():
  """The modules that have a section on a page of the reference."""
  text = "".join((DOCS / f"{p}.md").read_text() for p in pages("reference"))
  return insertions.SECTION.findall(text)


def test_every_page_is_in_the_navigation_once():
  listed = [page for c in insertions.chapters() for page in c.pages]
  assert sorted(listed) == sorted(pages() - {"index"})


def test_the_reference_has_every_package_and_every_module_on_top():
  root = pathlib.Path(rlvr_jax.__file__).parent
  files = [
    *root.glob("[!_]*.py"),
    *(p.parent for p in root.rglob("__init__.py")),
  ]
  parts = [p.with_suffix("").relative_to(root.parent).parts for p in files]
  assert len(documented()) == len(set(documented()))
  assert set(map(".".join, parts)) <= set(documented())


def test_a_module_of_the_reference_offers_something_or_has_modules_that_do():
  for name in documented():
    module = importlib.import_module(name)
    told = [module, *insertions.parts(module)]
    assert any(map(insertions.offers, told)), name


def test_the_names_of_the_library_are_told_once_and_under_it():
  whole = insertions._module("rlvr_jax")
  defined = insertions._module("rlvr_jax.transform")
  for name in rlvr_jax.__all__:
    if not inspect.ismodule(getattr(rlvr_jax, name)):
      assert re.search(rf"[ :]{name}\b", whole)
  assert "chain" not in re.search(r":members: (.*)", defined)[1].split(", ")


def test_a_method_is_told_with_its_docstring_command_and_result():
  page = (DOCS / "methods" / "weight.md").read_text()
  source = [page]
  insertions.edit(None, "methods/weight", source)
  told = source[0].split("## `steer`\n")[1].split("\n## `")[0]
  assert "rethinking entropy" in told.lower()  # what the page says
  assert "autofunction:: rlvr_jax.methods.steer.steer\n" in told
  assert "configs/methods/steer.py`: `grpo`, `steer`" in told
  assert re.search(r"from 0\.945 to \d\.\d+ nats", told)
  without = re.sub(
    r"\n\| make \|.*?</details>\n", "", source[0], flags=re.DOTALL
  )
  assert without.split() == page.split()


def test_every_method_tells_of_its_arguments():
  for name, entry in methods.CATALOGUE.items():
    told = rest.rest(inspect.getdoc(entry.factory))
    for argument in inspect.signature(entry.factory).parameters:
      assert f"* ``{argument}``: " in told, (name, argument)
    assert ":Source:" in told, name


def test_a_docstring_keeps_formulas_marks_lists_and_headings():
  doc = inspect.cleandoc(
    """Says |x| by `k1` and f(*args).

    With d:
      a  -A * d
         more

    - one
      line
    - two

    Edits:   objective.weights (×),
             objective.mask (×)

    Args:
      top_k_: many; see
        below: this.

    Raises:
      ValueError: never.
    """
  )
  assert (
    rest.rest(doc).split()
    == (
      r"""Says \|x\| by ``k1`` and f(\*args).
    With d: :: a -A * d more - one line - two
    :Edits: objective.weights (×), objective.mask (×)
    :Arguments: * ``top_k_``: many; see below: this.
    :Raises: * ``ValueError``: never."""
    ).split()
  )


def test_a_record_shows_its_fields_with_their_shapes():
  told = rest.fields(rlvr_jax.TokenBatch)
  assert "  mask: Array  # bool[B, T] positions the policy chose" in told
  assert "def " not in told


def test_a_table_that_a_program_has_written_gets_the_title_of_its_link():
  source = [(DOCS / "results" / "summary.md").read_text()]
  insertions.edit(None, "results/summary", source)
  assert source[0].startswith("# Every figure of every run\n\n| run ")


@pytest.mark.long
def test_the_site_is_built_without_a_warning(tmp_path):
  built = tmp_path / "site"
  command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q"]
  done = subprocess.run(
    [*command, "-d", tmp_path / "read", DOCS, built],
    capture_output=True,
    text=True,
    cwd=DOCS.parent,
  )
  assert done.returncode == 0, done.stderr
  objective = (built / "reference" / "objective.html").read_text()
  for name in ("TokenBatch", "chain", "make"):
    assert f'id="rlvr_jax.{name}"' in objective
  sampling = (built / "methods" / "sampling.html").read_text()
  assert 'id="rlvr_jax.methods.aepo.aepo"' in sampling
