"""The documentation site; `make docs` builds it into build/site."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

from docs.site import insertions, rest  # noqa: E402

project = "rlvr_jax"
author = "the authors of rlvr_jax"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
root_doc = "index"
exclude_patterns = ["site"]

# Headings can be linked to as on the pages of a repository.
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
add_module_names = False
# Each page has the contents of all; with the members of all modules in them the
# site would take three times as long to build.
toc_object_entries = False
python_maximum_signature_line_length = 72

html_theme = "furo"
html_title = "rlvr_jax"
html_static_path = ["site/static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
pygments_style = "friendly"
highlight_language = "text"  # formulas of docstrings
pygments_dark_style = "monokai"


def setup(app):
  """Lets the pages and the docstrings be written as they are."""
  app.connect("source-read", insertions.edit)
  app.connect("autodoc-process-docstring", rest.edit)
  app.connect("autodoc-process-signature", rest.unsigned)
  app.connect("autodoc-skip-member", rest.skips)
