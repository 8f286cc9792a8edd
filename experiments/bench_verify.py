"""Times the verification of answers against math-verify, one by one.

python -m experiments.bench_verify

Prints JSON: how many numbers a second one process settles, and the seconds of a
batch of LaTeX answers, eight to a problem as in a rollout, three of them apart.
"""

import json
import random
import time
from collections.abc import Callable, Sequence

import math_verify
from absl import app, flags

from rlvr_jax import verify

_PROBLEMS = flags.DEFINE_integer("problems", 512, "of 8 answers each")
_WORKERS = flags.DEFINE_integer("workers", 2, "processes of the verifier")


def problem(kind: int, a: int, b: int) -> tuple[str, list[str]]:
  """A reference and three answers: as it stands, in another form, wrong."""
  return [
    (f"{a}", [f"{a}", rf"{a - b}+{b}", f"{a + 1}"]),
    (rf"\frac{{{a}}}{{{b}}}", [rf"\dfrac{{{a}}}{{{b}}}", f"{a}/{b}", f"{b}"]),
    (rf"{a}\sqrt{{2}}", [rf"{a}\sqrt2", rf"\sqrt{{{2 * a * a}}}", f"{a}"]),
    (rf"({a},\infty)", [rf"\left({a}, \infty\right)", f"x>{a}", f"({a},{b})"]),
    (f"{a}x+{b}", [f"{a}x + {b}", f"{b}+{a}x", f"{b}x+{a}"]),
    (f"(x+{a})^2", [f"(x+{a})^{{2}}", f"x^2+{2 * a}x+{a * a}", f"x^2+{a * a}"]),
    (rf"\{{{a},{b}\}}", [f"{b}, {a}", rf"\{{{2 * b}/2,{a}\}}", f"{a}"]),
    (rf"{a}\pi", [rf"{a} \pi", rf"\frac{{{2 * a}\pi}}{{2}}", f"{a}"]),
  ][kind]


def batch(problems: int) -> tuple[list[str], list[str]]:
  """References and responses, eight to a problem, shuffled."""
  dice, rows = random.Random(0), []
  for index in range(problems):
    reference, (same, other, wrong) = problem(
      index % 8, dice.randrange(100, 1000), dice.randrange(2, 100)
    )
    answers = [same] * 4 + [other] * 2 + [wrong] * 2
    rows += [(reference, rf"so \boxed{{{answer}}}") for answer in answers]
  dice.shuffle(rows)
  return [reference for reference, _ in rows], [text for _, text in rows]


def one_by_one(
  references: Sequence[str], texts: Sequence[str]
) -> list[bool | None]:
  """By math-verify in this process, as its documentation says."""
  parse = math_verify.parse
  return [
    math_verify.verify(parse(f"${reference}$"), parse(text))
    for reference, text in zip(references, texts)
  ]


def timed(
  function: Callable, references: Sequence[str], texts: Sequence[str]
) -> tuple[float, list[bool | None]]:
  """Seconds and verdicts."""
  began = time.perf_counter()
  verdicts = function(references, texts)
  return time.perf_counter() - began, verdicts


def main(argv: Sequence[str]) -> None:
  """Prints the figures."""
  del argv
  numbers = range(40_000)
  numeric = [str(n) for n in numbers], [rf"so \boxed{{{n}.0}}" for n in numbers]
  mixed = batch(_PROBLEMS.value)
  with verify.MathVerifier(workers=_WORKERS.value) as verifier:
    alone, _ = timed(verifier.verify, *numeric)
    verifier.check_references(["x", "y"])  # starts the processes
    pooled, verdicts = timed(verifier.verify, *mixed)
  slow, expected = timed(one_by_one, *mixed)
  agreed = [verdict == other for verdict, other in zip(verdicts, expected)]
  figures = {
    "numbers_per_second": len(numbers) / alone,
    "answers": len(verdicts),
    "seconds": pooled,
    "one_by_one_seconds": slow,
    "times_faster": slow / pooled,
    "unknown": verdicts.count(None),
    "agreement": sum(agreed) / len(agreed),
  }
  print(json.dumps(figures, indent=2))


if __name__ == "__main__":
  app.run(main)
