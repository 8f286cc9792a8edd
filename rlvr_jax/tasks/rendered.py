"""A task for a pretrained model: its prompts as that model reads them."""

import dataclasses

from rlvr_jax.tasks import chat
from rlvr_jax.tasks.base import Problem, Task, max_lengths


def rendered(
  task: Task, tokenizer: chat.ChatTokenizer, length: int | None = None
) -> Task:
  """Returns a task with another tokenizer.

  Args:
    task: its prompts are questions; it grades answers to these as before.
    tokenizer: writes them with its chat template, and as they are if it has
      none.
    length: room for a response, tokens, eos included; None takes the longest
      demonstration and its eos.

  Returns:
    The task.
  """
  template = "chat" if tokenizer.has_template else "plain"
  questions: dict[str, Problem] = {}

  def write(problem: Problem) -> Problem:
    message = chat.Message(role="user", content=problem.prompt)
    prompt = tokenizer.render([message], template=template)
    questions[prompt] = problem
    return problem._replace(prompt=prompt)

  train, evaluation = map(write, task.train), map(write, task.evaluation)
  train, evaluation = list(train), list(evaluation)
  longest, response = max_lengths([*train, *evaluation], tokenizer)
  asked = lambda problems: [questions[problem.prompt] for problem in problems]
  return dataclasses.replace(
    task,
    train=train,
    evaluation=evaluation,
    tokenizer=tokenizer,
    grade=lambda problems, texts: task.grade(asked(problems), texts),
    extract=lambda problem, text: task.extract(questions[problem.prompt], text),
    agree=task.agree
    and (lambda problems, texts: task.agree(asked(problems), texts)),
    max_prompt_length=longest,
    max_response_length=length or response,
  )
