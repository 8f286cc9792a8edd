"""Options of the task "files", checked before a row is read."""

import dataclasses
from collections.abc import Mapping, Sequence

from rlvr_jax.tasks import order, records, sources, styles

_ALLOWED = {
  "template": ("chat", "plain"),
  "unparsable": ("error", "drop"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class FilesOptions:
  r"""Options of the task "files".

  Attributes:
    train: datasets to learn from: paths of .parquet and .jsonl files, and
      whatever else `records.read` reads; () to measure alone.
    evaluation: datasets to measure on, at least one.
    train_weights: how often the problems of each dataset in `train` come,
      relative to one another, above 0; () mixes all problems evenly.
    columns: where rows have what, by field of `sources.Columns`; for all
      datasets.
    system: content of a system message before every prompt; "" for none.
    instruction: added to every last message after an empty line; "" for none.
    thinking: turns the model's thinking on or off; None leaves it.
    template: "chat" for the tokenizer's own, "plain" for the bare text.
    max_prompt: tokens; longer prompts are dropped, 0 drops none.
    ngram: words; problems that share a good part of a question of the
      evaluation, in runs of so many, are dropped from training, see
      docs/data.md. 0 looks for none.
    unparsable: "error" or "drop": what to do with a reference answer that the
      verifier cannot read.
    style: how responses are graded, see docs/data.md: "math" wants answers
      marked, \boxed{7}, "math_lenient" takes the last number of a response
      without any; "instructions", "instructions_loose", "instructions_dense",
      "light_if", "arpo", "gym", "code"; "python:package.module:function" for
      one's own.
    programs: whether style "code" may run what a model writes: "refused";
      "isolated", without network and files; "allow_network", also where a
      machine cannot isolate it. See docs/data.md for what remains.
    clusters: which answers are one to methods that compare them: "exact", those
      of one canonical form; "math", also those that the verifier finds equal.
    seed: chooses the questions of reasoning-gym, at least 0.

  Raises:
    ValueError: an option is out of its range, or a file is not there.
  """

  train: Sequence[str] = ()
  evaluation: Sequence[str]
  train_weights: Sequence[float] = ()
  columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
  system: str = ""
  instruction: str = ""
  thinking: bool | None = None
  template: str = "chat"
  max_prompt: int = 0
  ngram: int = 13
  unparsable: str = "error"
  style: str = "math"
  programs: str = "refused"
  clusters: str = "exact"
  seed: int = 0

  def __post_init__(self):
    check_datasets("files: train", self.train, least=0)
    check_datasets("files: evaluation", self.evaluation, least=1)
    _check_weights(self)
    sources.columns_of(self.columns)
    styles.check(self.style, self.clusters, self.programs)
    for name, allowed in _ALLOWED.items():
      if getattr(self, name) not in allowed:
        raise ValueError(
          f"files: {name} = {getattr(self, name)!r} must be one of "
          f"{list(allowed)}."
        )
    for name in ("max_prompt", "ngram", "seed"):
      if getattr(self, name) < 0:
        raise ValueError(f"files: {name} = {getattr(self, name)} must be >= 0.")


def check_datasets(name: str, specs: object, least: int) -> None:
  """Raises unless these are datasets that are there, each once.

  Args:
    name: of the option, for messages.
    specs: what was given.
    least: how many there must be.

  Raises:
    ValueError: they are not.
  """
  if not isinstance(specs, tuple | list) or len(specs) < least:
    raise ValueError(
      f"{name} = {specs!r} must be a tuple of {least} or more datasets, for "
      f'example {name.rpartition(" ")[2]}=("problems.parquet",).'
    )
  for spec in specs:
    if not isinstance(spec, str):
      raise ValueError(f"{name} holds {spec!r}, which is no path.")
    records.check(spec)
  twice = sorted({spec for spec in specs if specs.count(spec) > 1})
  if twice:
    raise ValueError(
      f"{name} holds {twice} more than once; give each once, or a larger "
      "weight where there are train_weights."
    )


def _check_weights(options: FilesOptions) -> None:
  weights, train = options.train_weights, options.train
  if weights and len(weights) != len(train):
    raise ValueError(
      f"files: train_weights = {weights} has {len(weights)} entries for "
      f"{len(train)} datasets; give one to each, or none."
    )
  for weight in weights:
    number = isinstance(weight, int | float) and not isinstance(weight, bool)
    # Written so that NaN is refused, too.
    if not number or not 0 < weight < float("inf"):
      raise ValueError(
        f"files: train_weights holds {weight!r}, which must be a number above "
        "0; leave a dataset that is not wanted out of train."
      )
  if weights:
    order.check([order.Part(1, weight) for weight in weights])
