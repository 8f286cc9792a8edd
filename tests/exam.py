"""A task of six problems and a random policy that answers in every way."""

import functools

import jax

from rlvr_jax import tasks
from rlvr_jax.models import DecoderConfig, Transformer

SIZES = DecoderConfig(
  vocabulary=14,
  width=16,
  layers=2,
  heads=2,
  kv_heads=1,
  head_dim=8,
  hidden=24,
  tied=False,
)


def grade(problem, text):
  """Right if it starts with an even digit, unknown if with a sign."""
  return None if text[:1] in "+=" else float(text[0] in "02468")


PROBLEMS = [
  tasks.Problem(prompt, "", (), index, question=f"What is {prompt}?")
  for index, prompt in enumerate(["12=", "345=", "67=", "8=", "910=", "11="])
]
TASK = tasks.Task(
  name="signs",
  train=[],
  evaluation=PROBLEMS,
  tokenizer=tasks.CharTokenizer("0123456789+="),
  grade=tasks.each(grade),
  extract=lambda problem, text: text[:1] or None,
  max_prompt_length=4,
  max_response_length=5,
)


@functools.cache
def params():
  return Transformer(SIZES).init(jax.random.key(0))
