"""Rows of datasets in one form: a conversation and its reference answer."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from rlvr_jax.tasks import chat, records

_MISSING = object()


class Columns(NamedTuple):
  """Where a row has what; the defaults are those of verl.

  A name with dots goes into nested fields. Of several names with "|" between
  them the first that a row has counts: "question|problem". Names with "+"
  between them are taken together, as a list: "instruction_id_list+kwargs".
  """

  prompt: str = "prompt"  # text, or messages
  answer: str = "reward_model.ground_truth"  # the reference
  source: str = "data_source"
  id: str = "extra_info.index"


# What rows of reasoning-gym have, by the kind of reference wanted.
_GYM = {
  "text": Columns(answer="answer"),
  "json": Columns(answer="answer"),
  "entry": Columns(answer="entry"),
}


class Row(NamedTuple):
  """One problem as a dataset has it."""

  messages: tuple[chat.Message, ...]  # the last is to be answered
  answer: str
  source: str  # name of the dataset
  id: str  # within its source
  place: str  # where it stands, for messages

  @property
  def question(self) -> str:
    """All that is said, without the roles."""
    return chat.plain(self.messages)


def columns_of(given: Mapping[str, str]) -> Columns:
  """Returns the columns with those given in their place.

  Args:
    given: by field of `Columns`.

  Raises:
    ValueError: no such field, or a name that is no text.
  """
  for field, name in given.items():
    if field not in Columns._fields:
      raise ValueError(
        f"columns has {field!r}; allowed are {list(Columns._fields)}."
      )
    if not isinstance(name, str) or not name:
      raise ValueError(f"columns[{field!r}] = {name!r} must name a column.")
  return Columns(**given)


def read(
  spec: str,
  columns: Mapping[str, str] | None = None,
  *,
  reference: Literal["text", "json", "entry"] = "text",
  answers: Literal["column", "last", "all", "none"] = "column",
  data_dir: str | None = None,
  seed: int = 0,
) -> Iterator[Row]:
  """Yields the rows of a dataset, in its order.

  Args:
    spec: of `records.read`.
    columns: by field of `Columns`; what is missing is as in verl's files. Not
      used by "gym:".
    reference: what reference answers may be: "text", which numbers are, too;
      "json", also lists and objects, as their JSON; "entry", the same, and
      rows of "gym:" have what their scorer needs.
    answers: where answers stand: in their "column"; or, of conversations that
      end with the assistant, in its "last" message or in "all" of its
      messages, each of which is a row of its own. With "none" nobody reads
      them, and rows have the answer "".
    data_dir: where TFDS keeps datasets; None is its own default.
    seed: of reasoning-gym.

  Yields:
    Rows. Where a dataset has no column of names or of ids, they are the name
    of the dataset and the number of the row; but columns that were asked for
    must be there.

  Raises:
    ValueError: the dataset or one of its rows cannot be read, or has no rows.
    ImportError: reasoning-gym is not installed.
  """
  gym = spec.startswith("gym:")
  given = {} if gym else dict(columns or {})
  names = _GYM[reference] if gym else columns_of(given)
  fields = names._asdict()
  if answers == "none":
    del fields["answer"]
  found = records.read(spec, data_dir, seed, _wanted(fields))
  number = -1
  for number, (place, record) in enumerate(found.rows):
    known = dict(source=found.name, id=str(number))
    known = {k: v for k, v in known.items() if k not in given}
    turns = answers in ("last", "all")
    turns = turns and _is_answered(_first(record, names.prompt))
    wanted = {f: n for f, n in fields.items() if f != "answer" or not turns}
    values = _values(spec, place, record, wanted, known)
    if turns:
      yield from _turns(place, values, answers)
    else:
      yield _row(place, {"answer": ""} | values, reference != "text")
  if number < 0:
    raise ValueError(f"{spec!r} has no rows; leave it out.")


def _wanted(columns: Mapping[str, str]) -> list[str]:
  """The names that stand in those of the columns, one by one."""
  parts = (re.split(r"[|+]", names) for names in columns.values())
  return [part for own in parts for part in own]


def _values(
  spec: str,
  place: str,
  record: records.Record,
  columns: Mapping[str, str],
  known: Mapping[str, str],
) -> dict[str, object]:
  """What a row has, or else is known of it, by field of `Columns`."""
  values = {}
  for field, name in columns.items():
    value = _first(record, name)
    if value is _MISSING:
      value = known.get(field, _MISSING)
    if value is _MISSING:
      raise ValueError(
        f"{place}: nothing under {name!r}; it has "
        f"{records.fields(spec, record)}. Say where the {field} is: "
        f'columns=dict({field}="...").'
      )
    values[field] = value
  return values


def _row(place: str, values: dict[str, object], structured: bool) -> Row:
  if structured and isinstance(values["answer"], list | dict):
    values["answer"] = _json(place, values["answer"])
  messages = _asked(place, _messages(place, values.pop("prompt")))
  return Row(messages, **_texts(place, values), place=place)


def _is_answered(prompt: object) -> bool:
  """Whether it is a conversation that ends with the assistant."""
  last = prompt[-1] if isinstance(prompt, list) and prompt else None
  return isinstance(last, dict) and last.get("role") == "assistant"


def _turns(
  place: str, values: dict[str, object], answers: str
) -> Iterator[Row]:
  """A row for the last message of the assistant, or for each of them."""
  messages = _messages(place, values.pop("prompt"))
  texts = _texts(place, values)
  ends = [i for i, m in enumerate(messages) if m["role"] == "assistant"]
  for end in ends if answers == "all" else ends[-1:]:
    before = _asked(place, messages[:end])
    yield Row(before, messages[end]["content"], **texts, place=place)


def _texts(place: str, values: Mapping[str, object]) -> dict[str, str]:
  return {field: _text(place, field, v) for field, v in values.items()}


def _first(record: records.Record, names: str) -> object:
  """The value under the first of the names that is there and not None."""
  for name in names.split("|"):
    values = [_at(record, part) for part in name.split("+")]
    if all(value is not None for value in values):
      return values if len(values) > 1 else values[0]
  return _MISSING


def _at(record: records.Record, name: str) -> object:
  value = record.get(name)  # A column may have a dot in its own name.
  if value is None:
    value = record
    for part in name.split("."):
      value = value.get(part) if isinstance(value, dict) else None
  return value


def _messages(place: str, prompt: object) -> tuple[chat.Message, ...]:
  if isinstance(prompt, str):
    prompt = [dict(role="user", content=prompt)]
  if not isinstance(prompt, list) or not prompt:
    raise ValueError(
      f"{place}: the prompt {prompt!r:.80} must be text or a list of messages."
    )
  for message in prompt:
    role = message.get("role") if isinstance(message, dict) else None
    if role not in chat.ROLES or not isinstance(message.get("content"), str):
      raise ValueError(
        f"{place}: the message {message!r:.80} must have a role of "
        f"{list(chat.ROLES)} and its content as text."
      )
    _encodable(place, message["content"])
  return tuple(
    chat.Message(role=m["role"], content=m["content"]) for m in prompt
  )


def _asked(
  place: str, messages: tuple[chat.Message, ...]
) -> tuple[chat.Message, ...]:
  """The messages, if the user is to be answered."""
  if not messages or messages[-1]["role"] != "user":
    last = f"is of the {messages[-1]['role']}" if messages else "is missing"
    raise ValueError(
      f"{place}: the last message {last}, but a response answers the user; "
      "drop what follows the user's last message."
    )
  return messages


def _text(place: str, field: str, value: object) -> str:
  number = isinstance(value, int | float) and not isinstance(value, bool)
  if not isinstance(value, str) and not number:
    raise ValueError(
      f"{place}: the {field} {value!r:.80} must be text or a number."
    )
  if isinstance(value, float) and not math.isfinite(value):
    raise ValueError(
      f"{place}: the {field} {value!r} must be finite; mend the row or leave "
      "it out."
    )
  return _encodable(place, str(value))


def _json(place: str, value: object) -> str:
  try:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
  except (TypeError, ValueError) as error:
    raise ValueError(
      f"{place}: the answer {value!r:.80} cannot be written as JSON ({error}); "
      "mend the row."
    ) from error


def _encodable(place: str, text: str) -> str:
  try:
    text.encode()
  except UnicodeEncodeError as error:
    raise ValueError(
      f"{place}: {text[error.start]!r} in {text!r:.80} is half a character; "
      "mend the text."
    ) from error
  return text
