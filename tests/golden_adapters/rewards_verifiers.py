"""Verdicts of released graders on the same responses.

Their extraction rules differ, so a response counts as right by them if those
that read its mark agree: the two that read boxes, or the one that reads answer
lines, or the one that reads hashes. It counts as wrong if none says right.
"""

from collections.abc import Mapping

import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax.verify import MathVerifier, formats

# The verdict of this library where it is not that of all of them.
OWN = {
  (r"\boxed{}", ""): False,  # an empty answer equals nothing
  (r"\boxed 9$", "9"): False,  # a box has braces
  (r"\boxed{\{1,2\}}", r"\{2,1\}"): True,  # sets have no order
  (r"\boxed{42} then \boxed{43}", "43"): True,  # the last box alone counts
}
# Of lengths and repetition: no part of verification.
OTHER_KINDS = {"overlong", "repetition", "cosine"}
FORMATS = {
  "trl_think_format": formats.think,
  "open_r1_format": formats.think_and_answer,
  "open_r1_tag_count": formats.tag_count,
  "open_r1_reasoning_steps": formats.reasoning_steps,
}


def check_rewards_verifiers(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every verdict found in `vectors` on which the graders agree."""
  pytest.importorskip("math_verify")
  with MathVerifier(strict=True, workers=1) as verifier:
    for number, case in common.cases(vectors):
      kind = case.hp.get("kind", "graders")
      if kind == "format":
        _check_formats(f"case{number}", case)
      elif kind not in OTHER_KINDS:
        expected = {"graders": _agreed, "math_verify": _by_mark}[kind](case)
        _check(f"case{number}", verifier, case, expected)


def _check(where, verifier, case, expected) -> None:
  texts, references = (
    [str(text) for text in case.inputs[name]]
    for name in ("prediction", "ground_truth")
  )
  verdicts = verifier.verify(references, texts)
  for *pair, verdict, theirs in zip(texts, references, verdicts, expected):
    right = OWN.get(tuple(pair), theirs)
    if right is not None:
      assert verdict is right, f"{where}: {pair} is {verdict}"


def _check_formats(where, case) -> None:
  common.assert_covered(where, case, FORMATS, ())
  for name, reward in FORMATS.items():
    rewards = [reward(str(text)) for text in case.inputs["text"]]
    common.assert_close(f"{where}: {name}", rewards, case.out[name])


def _agreed(case) -> list[bool | None]:
  """By all graders; None where they differ on what they both read."""
  says = lambda name: case.out[name] == 1
  box, prime = says("math_reward"), says("prime_grade_answer")
  marked = says("math_dapo_score") | says("gsm8k_strict")
  marked |= says("math_dapo_strict_box_score")
  right = (box & prime) | marked
  wrong = ~(box | prime | marked | says("gsm8k_flexible"))
  return [True if r else False if w else None for r, w in zip(right, wrong)]


def _by_mark(case) -> list[bool | None]:
  """By math-verify, which also takes answers that carry no mark."""
  marks = ("boxed", "nswer", "####")
  return [
    bool(right) if any(m in str(text) for m in marks) or not right else None
    for text, right in zip(case.inputs["prediction"], case.out["math_verify"])
  ]
