r"""Shows what is in datasets, and what a run would drop of them.

python -m experiments.inspect_data --data=train.parquet,more.jsonl \
    --against=test.parquet --tokenizer=FOLDER --max_prompt=1024

Tells, for each dataset, rows, distinct problems, how long they are and some of
them as the model would read them; then which rows are dropped, and why; then
the same of the evaluation. A row names its dataset by the column of sources: a
file may hold several. Reference answers that would stop a run are dropped.
"""

import collections
import functools
import itertools
import sys
from collections.abc import Callable, Sequence

import numpy as np
import tabulate
from absl import app, flags

from rlvr_jax import tasks
from rlvr_jax.tasks import chat, files, filters, selection, sources

_DATA = flags.DEFINE_list("data", None, "datasets, as docs/data.md names them")
_AGAINST = flags.DEFINE_list("against", [], "datasets of the evaluation")
_NGRAM = flags.DEFINE_integer("ngram", 13, "words shared with the evaluation")
_COLUMNS = flags.DEFINE_list("columns", [], "for example prompt=question")
_TFDS = flags.DEFINE_string("data_dir", None, "where TFDS keeps datasets")
_TOKENIZER = flags.DEFINE_string("tokenizer", None, "folder of the model")
_TEMPLATE = flags.DEFINE_enum("template", "chat", ["chat", "plain"], "of it")
_THINKING = flags.DEFINE_bool("thinking", None, "of the model; unset leaves it")
_SYSTEM = flags.DEFINE_string("system", "", "message before every prompt")
_INSTRUCTION = flags.DEFINE_string("instruction", "", "after every prompt")
_LONGEST = flags.DEFINE_integer("max_prompt", 0, "tokens; 0 for any number")
_STYLE = flags.DEFINE_string(
  "style", "math", "checks reference answers, as docs/data.md names it, or none"
)
_SEED = flags.DEFINE_integer("seed", 0, "of the questions of reasoning-gym")
_EXAMPLES = flags.DEFINE_integer("examples", 2, "shown of everything")

_QUANTILES = {"shortest": 0, "median": 0.5, "95 %": 0.95, "longest": 1}


def _columns() -> dict[str, str]:
  pairs = [pair.partition("=") for pair in _COLUMNS.value]
  if not all(sign for _, sign, _ in pairs):
    raise ValueError(f"--columns={_COLUMNS.value} must be field=column.")
  return {field: column for field, _, column in pairs}


def _writer() -> tuple[Callable[[sources.Row], str], Callable[[str], int]]:
  """What renders a row, and what counts the tokens of a prompt."""
  if _TOKENIZER.value is None:
    if _LONGEST.value:
      raise ValueError(
        f"--max_prompt={_LONGEST.value} is in tokens; name a --tokenizer, too."
      )
    return _plain, lambda prompt: 0
  tokenizer = tasks.HFTokenizer(_TOKENIZER.value)
  write = functools.partial(
    files.render,
    tokenizer,
    instruction=_INSTRUCTION.value,
    system=_SYSTEM.value,
    thinking=_THINKING.value,
    template=_TEMPLATE.value,
  )
  return write, lambda prompt: len(tokenizer.encode(prompt))


def _plain(row: sources.Row) -> str:
  messages = chat.instructed(row.messages, _INSTRUCTION.value)
  return chat.plain(chat.led(messages, _SYSTEM.value))


def _read() -> tuple[selection.Found, selection.Found]:
  """What a run would keep of --data, and of --against."""
  none = _STYLE.value == "none"
  # Of programs only the tests are read; none is run.
  programs = "isolated" if _STYLE.value == "code" else "refused"
  style = None if none else tasks.style_of(_STYLE.value, programs=programs)
  render, count = _writer()
  keep = functools.partial(
    filters.Filter,
    render=render,
    count=count,
    check=style and style.check,
    longest=_LONGEST.value,
    unparsable="drop",
  )
  rows = functools.partial(
    sources.read,
    columns=_columns(),
    reference=style.reference if style else "json",
    data_dir=_TFDS.value,
  )
  common = dict(keep=keep, rows=rows, seed=_SEED.value)
  common["examples"] = _EXAMPLES.value
  measured = selection.to_measure_on(_AGAINST.value, **common)
  held_out = selection.held_out_of(measured, _NGRAM.value)
  learned = selection.to_learn_from(_DATA.value, held_out=held_out, **common)
  return learned, measured


def _counts(report: filters.Report) -> str:
  repeats = (filters.REPEATED, filters.CONTRADICTS)
  lines = []
  for source, rows in report.read.items():
    dropped = {
      r: d.count for (s, r), d in report.dropped.items() if s == source
    }
    again = sum(dropped.get(reason, 0) for reason in repeats)
    lines.append([source, rows, rows - again, report.kept[source]])
  return _table(lines, ["dataset", "rows", "distinct", "kept"])


def _by_source(found: selection.Found) -> dict[str, list[filters.Kept]]:
  sources_of = collections.defaultdict(list)
  for each in itertools.chain.from_iterable(found.parts):
    sources_of[each.row.source].append(each)
  return sources_of


def _lengths(found: selection.Found) -> str:
  lines = []
  for source, kept in _by_source(found).items():
    counted = {"characters": [len(each.prompt) for each in kept]}
    if _TOKENIZER.value:
      counted["tokens"] = [each.length for each in kept]
    for unit, lengths in counted.items():
      at = np.quantile(lengths, [*_QUANTILES.values()])
      lines.append([source, unit, *at.round().astype(int)])
  return _table(lines, ["prompts of", "in", *_QUANTILES])


def _reasons(report: filters.Report) -> str:
  lines = [
    [source, reason, dropped.count]
    for (source, reason), dropped in report.dropped.items()
  ]
  return _table(lines, ["dataset", "dropped, for it", "rows"])


def _table(lines: Sequence[Sequence[object]], heads: Sequence[str]) -> str:
  return tabulate.tabulate(lines, heads, "github", disable_numparse=[0])


def _show(found: selection.Found) -> None:
  """Prints the tables and the examples."""
  print(_counts(found.report), _lengths(found), sep="\n\n")
  for source, kept in _by_source(found).items():
    for each in kept[: _EXAMPLES.value]:
      print(f"\n--- {source} {each.row.id}, answer {each.row.answer!r}:")
      print(each.prompt)
  if found.report.dropped:
    print("", _reasons(found.report), sep="\n")
  for (source, reason), dropped in found.report.dropped.items():
    print(f"\n--- {source}, {reason}:", *dropped.examples, sep="\n")


def main(argv: list[str]) -> None:
  """Shows the datasets to learn from, then those to measure on."""
  if len(argv) > 1:
    raise app.UsageError(f"unexpected arguments {argv[1:]}.")
  try:
    learned, measured = _read()
  except (ImportError, OSError, ValueError) as error:
    sys.exit(f"error: {error}")
  _show(learned)
  if measured.parts:
    print("\n\nThe evaluation:\n")
    _show(measured)


if __name__ == "__main__":
  flags.mark_flags_as_required(["data"])
  app.run(main)
