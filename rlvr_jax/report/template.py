"""Fills the templates of pages, which share frame and style in base.html."""

import base64
import json

import jinja2

_ROOM = "rlvr_jax.report"


def render(name: str, room: str = _ROOM, **values: object) -> str:
  """Returns a page that needs no other file.

  Args:
    name: of the template; it may extend base.html.
    room: package that the template lies in.
    **values: what the template reads; text is escaped.

  Returns:
    The text of the page.
  """
  rooms = dict.fromkeys((room, _ROOM))
  environment = jinja2.Environment(
    loader=jinja2.ChoiceLoader([jinja2.PackageLoader(r, ".") for r in rooms]),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  environment.filters["data_uri"] = _data_uri
  environment.filters["config"] = lambda c: json.dumps(c, indent=2)
  return environment.get_template(name).render(**values)


def _data_uri(png: bytes) -> str:
  return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
