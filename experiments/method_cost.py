"""Measures what each method adds to the time of an update over GRPO's.

python -m experiments.method_cost --config=configs/quickstart.py \
    --methods=steer,siren --output=cost.md

Updates take turns with GRPO's; a row per method, seconds and ratio.
"""

import pathlib

import tabulate
import tqdm
from absl import flags
from ml_collections import config_flags

from rlvr_jax import methods
from rlvr_jax.training import command, compare, cost

_CONFIG = config_flags.DEFINE_config_file("config", lock_config=True)
_METHODS = flags.DEFINE_list("methods", None, "method names, or all")
_ROUNDS = flags.DEFINE_integer("rounds", 40, "updates of each run")
_OUTPUT = flags.DEFINE_string("output", None, "Markdown file to write")


def main() -> None:
  """Prints the table, and writes it where --output says."""
  make = compare.maker(flags.FLAGS["config"])
  given = _METHODS.value
  names = list(methods.CATALOGUE) if given == ["all"] else given
  rows, baseline = [], cost.Bench(make("grpo"))
  for name in tqdm.tqdm(names):
    found = cost.measure(make(name), baseline, _ROUNDS.value)
    rows.append([name, *found])
  heads = ["method", "update (s)", "to GRPO's", "extra passes", "extra rows"]
  form = ("", ".4f", ".3f", ".0f", ".0f")
  text = tabulate.tabulate(rows, heads, "github", floatfmt=form)
  print(text)
  if _OUTPUT.value:
    pathlib.Path(_OUTPUT.value).write_text(text + "\n")


if __name__ == "__main__":
  flags.mark_flags_as_required(["config", "methods"])
  command.run(main)
