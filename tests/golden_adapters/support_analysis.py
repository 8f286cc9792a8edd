"""Reference vectors of pass@k and of the support rates' published tables."""

import re
from collections.abc import Mapping

import numpy as np

from rlvr_jax.analysis import answers, support

# The tables print two or three digits: half a unit of the second, and a bit.
TABLE_ROUNDING = 0.0051
# The paper prints NDR = .02 for these counts; 36 / 2436 is .0148.
MISPRINTED = (2400, 36, 163, 805)


def check_support_analysis(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every pass@k case and every table row found in `vectors`."""
  cases = sorted(
    int(m[1])
    for m in (re.fullmatch(r"case(\d+)_out_pass_at_k", key) for key in vectors)
    if m
  )
  assert cases or "paper_PESO" in vectors, sorted(vectors)
  for i in cases:
    _check_pass_at_k(vectors, f"case{i}")
  if "paper_PESO" in vectors:
    _check_tables(vectors)


def _check_pass_at_k(vectors: Mapping[str, np.ndarray], case: str) -> None:
  n = int(vectors[f"{case}_hp_n"])
  right = vectors[f"{case}_in_num_correct"]
  expected = vectors[f"{case}_out_pass_at_k"]
  ks = [int(k) for k in vectors[f"{case}_hp_ks"]]
  assert expected.shape == (len(ks), len(right)), case
  for k, row in zip(ks, expected):
    np.testing.assert_allclose(
      answers.pass_at_k(n, right, k),
      row,
      rtol=1e-9,
      atol=1e-12,
      err_msg=f"{case}: pass@{k} of {n} samples",
    )


def _check_tables(vectors: Mapping[str, np.ndarray]) -> None:
  printed = vectors["paper_SRR_NDR_SDS_NSCR_rounded"]
  for counts, row in zip(vectors["paper_PESO"], printed):
    counts, row = tuple(int(c) for c in counts), np.array(row)
    if counts == MISPRINTED:
      row[1] = 36 / (2400 + 36)
    rates = support.support_rates(support.SupportCounts(*counts))
    np.testing.assert_allclose(
      rates, row, rtol=0, atol=TABLE_ROUNDING, err_msg=f"{counts}"
    )
