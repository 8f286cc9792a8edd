"""Points of Light-IF's English rules, as its authors' own scorer gives them."""

import json
from collections.abc import Mapping

import numpy as np

from golden_adapters import common
from rlvr_jax.verify import light_if

# Of a supervised loss, a bonus of the loss and a reward of lengths, which do
# not exist here yet.
PENDING = {"loss", "entropy_bonus", "reward"}


def check_light_if(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts the points found in `vectors`."""
  scored = 0
  for number, case in common.cases(vectors):
    if "point" in case.out:
      _check(f"case{number}", case)
      scored += 1
    else:
      assert PENDING & set(case.out), f"case{number}: {sorted(case.out)}"
  assert scored


def _check(where: str, case: common.Case) -> None:
  common.assert_covered(where, case, ("point", "all_ok"), ())
  prompt = case.inputs["prompt"]
  prompts = np.broadcast_to(prompt, case.inputs["article"].shape)
  rows = zip(case.inputs["article"], case.inputs["requirement_json"], prompts)
  for index, (article, asked, prompt) in enumerate(rows):
    row = dict(query=str(prompt), jqzl_prompt=json.loads(str(asked)))
    requirement = light_if.parse(json.dumps(row | dict(source="jqzl-en")))
    score = light_if.score(str(article), requirement)
    name = f"{where}, article {index}"
    common.assert_close(
      f"{name}: points", score.points, case.out["point"][index]
    )
    assert score.all_kept == case.out["all_ok"][index], name
