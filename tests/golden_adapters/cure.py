"""Reference vectors of CURE: which token of a response is critical."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from golden_adapters import common
from rlvr_jax import tasks
from rlvr_jax.methods.cure import critical_token, eligible


class Words(NamedTuple):
  """A tokenizer as far as single tokens go."""

  texts: list[str]
  special: list[int]

  @property
  def vocab_size(self) -> int:
    return len(self.texts)

  def decode(self, ids: list[int]) -> str:
    return "".join(self.texts[i] for i in ids if i not in self.special)


def check_cure(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case; choices are exact."""
  for number, case in common.cases(vectors):
    got = _chosen(case)
    for name, value in got.items():
      want = case.out[name]
      np.testing.assert_array_equal(value, want, f"case{number}: {name}")
    common.assert_covered(f"case{number}", case, got, ())


def _chosen(case: common.Case) -> dict[str, object]:
  inputs = case.inputs
  words = Words(
    [str(text) for text in inputs["token_text"]], [*inputs["special_ids"]]
  )
  text = tasks.token_text(words, words.vocab_size)
  length = text.length[inputs["response_ids"]]
  allowed = eligible(length, inputs["response_mask"] > 0, 2)
  choose = jax.vmap(lambda *x: critical_token(*x, case.hp["top_k"]))
  # A row without an eligible token takes no die.
  taken = np.asarray(allowed).any(axis=1)
  dice = inputs["u"][np.cumsum(taken) - taken]
  place = choose(inputs["entropy"], allowed, jnp.asarray(dice))
  return {
    "eligible": allowed,
    "index": place,
    "mask": jnp.arange(length.shape[1]) == place[:, None],
  }
