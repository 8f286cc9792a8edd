"""Conversations as one text."""

from collections.abc import Sequence
from typing import Protocol, TypedDict

from rlvr_jax.tasks.tokenizer import Tokenizer

ROLES = ("system", "user", "assistant")


class Message(TypedDict):
  """One turn of a conversation."""

  role: str  # one of ROLES
  content: str


class ChatTokenizer(Tokenizer, Protocol):
  """A tokenizer that knows how its model wants a conversation written."""

  def render(
    self,
    messages: Sequence[Message],
    *,
    system: str | None = None,
    thinking: bool | None = None,
    template: str = "chat",
  ) -> str:
    """Returns the text that the model is to continue; see `HFTokenizer`."""
    ...

  @property
  def has_template(self) -> bool:
    """Whether `render` can write with template="chat"."""
    ...


class Writing(Protocol):
  """Options that say how prompts are written; see `FilesOptions`."""

  @property
  def system(self) -> str:
    """Content of a system message before every prompt; "" for none."""
    ...

  @property
  def instruction(self) -> str:
    """Added to every last message; "" for none."""
    ...

  @property
  def thinking(self) -> bool | None:
    """Turns the model's thinking on or off; None leaves it."""
    ...

  @property
  def template(self) -> str:
    """That of the tokenizer, "chat", or "plain" for the bare text."""
    ...


def plain(messages: Sequence[Message]) -> str:
  """Returns the contents with an empty line between them, roles left out.

  What a base model, which knows no roles, is to continue.

  Args:
    messages: at least one.

  Returns:
    The text; that of a single message is its content.
  """
  return "\n\n".join(message["content"] for message in messages)


def led(messages: Sequence[Message], system: str | None) -> list[Message]:
  """Returns the messages with a system message before them.

  Args:
    messages: one that begins with a system message keeps its own.
    system: content of the message; None or "" adds none.

  Returns:
    A new list.
  """
  if not system or messages[0]["role"] == "system":
    return list(messages)
  return [Message(role="system", content=system), *messages]


def instructed(messages: Sequence[Message], instruction: str) -> list[Message]:
  """Returns the messages with an instruction at the end of the last one.

  Args:
    messages: at least one.
    instruction: follows after an empty line; "" changes nothing.

  Returns:
    A new list.
  """
  *before, last = messages
  content = "\n\n".join(filter(None, (last["content"], instruction)))
  return [*before, Message(role=last["role"], content=content)]
