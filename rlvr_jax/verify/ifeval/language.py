"""Checks of the language that a response is in, by py3langid."""

import functools
import importlib.util
from collections.abc import Callable

LANGUAGES = frozenset(
  "ar bg bn de en es fa fi fr gu he hi it ja kn ko ml mr ne pa pl pt ru sw ta "
  "te th uk ur vi".split()
)
_LEAST = 0.1  # probability; without any clue all have 0.03
_NONE = "zxx"  # what is no language: numbers, markup
INSTALL = "needs the package py3langid: pip install rlvr_jax[language]"


def available() -> bool:
  """Returns whether languages can be told here."""
  return importlib.util.find_spec("py3langid") is not None


def response_language(text: str, *, language: str) -> bool:
  """Returns whether the text is in a language.

  Args:
    text: the response; numbers, marks and markup are in no language.
    language: two letters, one of `LANGUAGES`.

  Raises:
    ImportError: py3langid is not installed.
  """
  return _identifier()(text)[0] == language


def english_capital(text: str) -> bool:
  """Returns whether the text is English, all in capitals."""
  return text.isupper() and response_language(text, language="en")


def english_lowercase(text: str) -> bool:
  """Returns whether the text is English, without any capital."""
  return text.islower() and response_language(text, language="en")


@functools.cache
def _identifier() -> Callable[[str], tuple[str, float]]:
  if not available():
    raise ImportError(f"The language of a response {INSTALL}")
  from py3langid import langid

  # By its probabilities, it can say that a text has nothing to tell it by.
  identifier = langid.LanguageIdentifier.from_model_file(
    langid.MODEL_FILE, norm_probs=True, min_confidence=_LEAST
  )
  # With all that it knows it would tell English from its creoles.
  identifier.set_languages(LANGUAGES | {_NONE})
  return identifier.classify
