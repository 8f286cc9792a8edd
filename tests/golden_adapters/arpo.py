"""Reference vectors of ARPO: its reward, and the entropy of a segment."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from golden_adapters import common
from golden_adapters.common import assert_close
from rlvr_jax import branching
from rlvr_jax.verify import arpo


def check_arpo(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case, each by the outputs that its kind has."""
  for number, case in common.cases(vectors):
    got = (_reward if "score" in case.out else _entropy)(case)
    for name, value in got.items():
      assert_close(f"case{number}: {name}", value, case.out[name])
    common.assert_covered(f"case{number}", case, got, ())


def _reward(case: common.Case) -> dict[str, object]:
  pairs = zip(case.inputs["response"], case.inputs["ground_truth"])
  found = [
    arpo.score(str(text), arpo.parse(str(right))) for text, right in pairs
  ]
  rewards, likeness = zip(*found)
  return {"score": rewards, "f1": likeness}


def _entropy(case: common.Case) -> dict[str, object]:
  nats = branching.top_entropy(jnp.asarray(case.inputs["top10_logprobs"]))
  inside = jnp.ones(nats.shape, bool)
  found = branching.segment_entropy(nats, inside, case.hp["vocab"], "code")
  return {"entropy_norm": found}
