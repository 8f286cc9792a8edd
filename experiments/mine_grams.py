"""Mines strategic grams of right solutions into a file for `hicra`.

python -m experiments.mine_grams --responses=solutions.jsonl --output=grams.txt
python -m experiments.train --config=configs/methods/hicra.py \
    --workdir=runs/hicra --config.hicra.grams=grams.txt \
    --config.hicra.proxy=None

FILE.jsonl holds an object to a line, its text under --field; an object that
has a "reward" is a right solution only if that is a number above 0. Any other
file is text, a solution to a line.
"""

import json
import pathlib
import sys

from absl import app, flags

from rlvr_jax.analysis import strategic_grams

CLUSTERERS = {
  "hdbscan": strategic_grams.hdbscan,
  "kmeans": strategic_grams.kmeans,
  "none": None,
}

_RESPONSES = flags.DEFINE_string("responses", None, "file of right solutions")
_FIELD = flags.DEFINE_string("field", "text", "where an object has its text")
_OUTPUT = flags.DEFINE_string("output", None, "file to write, a gram to a line")
_KEEP = flags.DEFINE_float("keep", 0.2, "share of the clusters that is kept")
_LEAST = flags.DEFINE_integer("least", 2, "solutions a gram must occur in")
_CLUSTERS = flags.DEFINE_enum(
  "clusters", "hdbscan", list(CLUSTERERS), "none: every gram by itself"
)
_PLACEBO = flags.DEFINE_integer(
  "placebo", None, "seed: writes as many random grams instead, a control"
)


def solutions(path: pathlib.Path, field: str) -> list[str]:
  """The right solutions of a file.

  Raises:
    ValueError: a line that is no object, or has no text.
    OSError: no such file.
  """
  # `splitlines` would also split at U+2028, which JSON strings may hold.
  text = path.read_text(encoding="utf-8")
  lines = [line for line in text.split("\n") if line.strip()]
  if path.suffix != ".jsonl":
    return lines
  found = []
  for number, line in enumerate(lines, 1):
    record = json.loads(line)
    if not isinstance(record, dict) or not isinstance(record.get(field), str):
      raise ValueError(
        f"{path}, object {number}: no text under {field!r}; set --field."
      )
    reward = record.get("reward", 1)
    if isinstance(reward, int | float) and reward > 0:
      found.append(record[field])
  return found


def main(argv: list[str]) -> None:
  """Runs `strategic_grams.mine` on a file."""
  if len(argv) > 1:
    raise app.UsageError(f"unexpected arguments {argv[1:]}.")
  try:
    texts = solutions(pathlib.Path(_RESPONSES.value), _FIELD.value)
    clusterer = CLUSTERERS[_CLUSTERS.value]
    grams = strategic_grams.mine(
      texts,
      encoder=None if clusterer is None else strategic_grams.tfidf,
      clusterer=clusterer,
      keep=_KEEP.value,
      least=_LEAST.value,
    )
    entropy = strategic_grams.semantic_entropy(
      strategic_grams.counts(texts, grams)
    )
    print(f"{len(texts)} solutions, {len(grams)} grams, {entropy:.2f} nats")
    if not grams:
      raise ValueError(f"no gram occurs in {_LEAST.value} solutions.")
    if _PLACEBO.value is not None:
      grams = strategic_grams.placebo(texts, grams, _PLACEBO.value)
    lines = [" ".join(gram) + "\n" for gram in grams]
    pathlib.Path(_OUTPUT.value).write_text("".join(lines))
  except (OSError, ValueError) as error:
    sys.exit(f"error: {error}")


if __name__ == "__main__":
  flags.mark_flags_as_required(["responses", "output"])
  app.run(main)
