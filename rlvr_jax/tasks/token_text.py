"""What the text of single tokens tells, for programs that see tokens only."""

import numpy as np

from rlvr_jax.tasks.tokenizer import Tokenizer
from rlvr_jax.types import TokenText


def token_text(tokenizer: Tokenizer, vocabulary: int) -> TokenText:
  """Reads every token by itself.

  A token that is part of a character reads as one character.

  Args:
    tokenizer: of the model.
    vocabulary: V of the model; tokens that the tokenizer lacks have no text, as
      have those that it does not write out.

  Returns:
    A TokenText with arrays [V].
  """
  known = min(vocabulary, tokenizer.vocab_size)
  texts = [tokenizer.decode([token]) for token in range(known)]
  texts += [""] * (vocabulary - known)
  return TokenText(
    np.array([len(text.strip()) for text in texts], np.int32),
    np.array(["\n" in text for text in texts]),
  )
