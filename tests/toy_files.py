"""Small datasets that tests write, in the layouts of public ones."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rlvr_jax import tasks

# The spellings that public files have.
STYLES = (
  *("rule", "rule_mine", "rule-lighteval/MATH_v2", "model", "Rule", "RULE"),
)
COLUMNS = dict(prompt="question", answer="answer")


class Words:
  """A tokenizer as far as reading problems needs one."""

  def render(self, messages, **_):
    return " ".join(message["content"] for message in messages)

  def encode(self, text):
    return text.split()


def verl(question, answer="4", index=0, source="toy", **more):
  """A row as verl's files have it."""
  return dict(
    data_source=source,
    prompt=[dict(role="user", content=question)],
    ability="math",
    reward_model=dict(ground_truth=answer, style=STYLES[len(question) % 6]),
    extra_info=dict(index=index),
    **more,
  )


def parquet(path, rows, **options):
  pq.write_table(pa.Table.from_pylist(rows), path, **options)
  return str(path)


def unchecked(*texts):
  """A column of text that holds these bytes, UTF-8 or not."""
  return pa.array(texts, pa.binary()).view(pa.utf8())


def jsonl(path, rows):
  path.write_text("".join(json.dumps(row) + "\n" for row in rows))
  return str(path)


def message_of(call):
  with pytest.raises(ValueError) as caught:
    call()
  return str(caught.value)


def check(answers):
  return [None if a.isdecimal() else "is no number" for a in answers]


STYLE = tasks.Style(
  tasks.each(lambda problem, text: float(text == problem.answer)),
  lambda problem, text: text or None,
  check,
)
