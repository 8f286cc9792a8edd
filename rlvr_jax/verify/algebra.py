"""Equality of two answers by computer algebra; only workers may load this.

What is judged here was written by a policy that is rewarded for surprises:
computer algebra can be made to run for ever or to eat all memory.
"""

import functools
import re

import math_verify
import sympy
from latex2sympy2_extended import NormalizationConfig
from sympy.parsing import sympy_parser

_CONFIG = math_verify.LatexExtractionConfig(
  try_extract_without_anchor=False,
  boxed_match_priority=0,
  normalization_config=NormalizationConfig(
    basic_latex=True,
    units=True,
    malformed_operators=False,
    nits=False,
    boxed="all",
    equations=False,
  ),
)


def judge(reference: str, answer: str) -> bool:
  """Returns whether two answers are equal.

  Either may be the standard that the other is held to, so the order does not
  matter. An answer that cannot be parsed equals nothing, not even itself.

  Args:
    reference: an answer in LaTeX.
    answer: another one.
  """
  a, b = _parsed(reference), _parsed(answer)
  if math_verify.verify(a, b, timeout_seconds=None):
    return True
  # Of equations, intervals and sets the first says how to read the second; two
  # expressions would only be compared again.
  if all(isinstance(value, sympy.Expr) for value in (*a, *b)):
    return False
  return math_verify.verify(b, a, timeout_seconds=None)


@functools.lru_cache(maxsize=64)
def _parsed(answer: str) -> list[sympy.Basic]:
  return math_verify.parse(
    rf"\boxed{{{answer}}}",
    [_CONFIG],
    fallback_mode="no_fallback",
    extraction_mode="first_match",
    parsing_timeout=None,
  )


# SymPy makes a number of digits by running `Integer (12 )` as Python. Whatever
# path leads text there, nothing else is run.
_LITERAL = re.compile(
  r"Integer \([0-9]+ \)|(?:Float|Symbol) \('[\w.+-]*' \)|E ", re.ASCII
)
_run = sympy_parser.eval_expr


def _run_literal(code: str, *namespaces: dict) -> object:
  if _LITERAL.fullmatch(code) is None:
    raise ValueError("Text of an answer is not run as Python.")
  return _run(code, *namespaces)


sympy_parser.eval_expr = _run_literal
# The parser learns while it parses; what it learns here every child inherits.
for _answer in (r"\frac{1}{2}", r"\sqrt{x^2+1}", "(1,2]", r"\{1,2\}", "x=1"):
  judge(_answer, _answer + "+1")
