r"""Verifies answers to mathematical problems: right, wrong or unknown.

Most answers are settled in this process by exact arithmetic; the rest goes to
computer algebra in worker processes.
"""

import importlib.util
import pathlib
from collections.abc import Sequence

from rlvr_jax.verify import canonical, extract, latex, rational
from rlvr_jax.verify.pool import Pool

_NO_KEY = (
  f"it is empty or too large: more than {canonical.MAX_LENGTH} characters, "
  f"{canonical.MAX_NESTING} brackets inside one another or "
  f"{rational.MAX_DIGITS} digits, or digits that are not ASCII"
)
_ALGEBRA = pathlib.Path(__file__).with_name("algebra.py")


class MathVerifier:
  """Extracts answers and compares them with references.

  Numbers are compared exactly: 0.333 is not 1/3. Of everything else, equal
  `canonical` forms are equal, and math-verify decides where they differ. Close
  it, or use it as a context, to end its processes before the program ends.
  """

  def __init__(
    self,
    strict: bool = True,
    workers: int | None = None,
    seconds: float = 1.0,
  ):
    """Starts nothing yet.

    Args:
      strict: demand that answers are marked, see `extract.answer`.
      workers: processes; None is one for each processor of this one.
      seconds: processor time of a comparison, more than 0; the verdict is
        unknown beyond it.

    Raises:
      ImportError: math-verify is not installed.
      ValueError: an argument is out of its range.
    """
    if importlib.util.find_spec("math_verify") is None:
      raise ImportError(
        "Verification of mathematics needs the package math-verify; install it "
        "with: pip install rlvr_jax[verify]"
      )
    self._strict = strict
    self._pool = Pool(_ALGEBRA, workers, seconds)

  def extract(self, text: str) -> str | None:
    """Returns the canonical answer of a response, None where there is none.

    Responses with equal canonical answers say the same; it is what majority
    votes and numbers of distinct answers are made of.

    Args:
      text: the response.
    """
    answer = self.written(text)
    return None if answer is None else canonical.key(answer)

  def written(self, text: str) -> str | None:
    """Returns the answer of a response as it is written, None if there is none.

    Args:
      text: the response.
    """
    return extract.answer(text, self._strict)

  def verify(
    self, references: Sequence[str], texts: Sequence[str]
  ) -> list[bool | None]:
    """Returns whether responses are right.

    Args:
      references: the answer of the problem of each response, without marks.
      texts: the responses.

    Returns:
      For each, True, False, or None where comparing failed or took too long.
      No answer is wrong, and so is one that is too large to be looked at.
    """
    answers = [*map(self.written, texts)]
    pairs = list(zip(references, answers, strict=True))
    verdicts = {
      pair: False if _no_answer(*pair) else canonical.equal(*pair)
      for pair in set(pairs)
    }
    # Sorted, so that a worker parses a reference once for all its answers.
    hard = sorted(pair for pair, verdict in verdicts.items() if verdict is None)
    verdicts |= zip(hard, self._compared(hard))
    return [verdicts[pair] for pair in pairs]

  def equal(self, pairs: Sequence[tuple[str, str]]) -> list[bool | None]:
    """Returns whether pairs of answers say the same.

    Meant for all pairs of some answers: those that computer algebra cannot read
    in time are found first, and cost their time once, not once a pair.

    Args:
      pairs: answers as they are written; the order in a pair does not matter.

    Returns:
      For each, True, False, or None where it cannot be told. An answer that is
      too large to be looked at equals nothing.
    """
    verdicts = {pair: canonical.equal(*pair) for pair in set(pairs)}
    unclear = [pair for pair, verdict in verdicts.items() if verdict is None]
    texts = sorted({text for pair in unclear for text in pair})
    why_not = dict(zip(texts, self.check_references(texts)))
    hard = sorted(p for p in unclear if not any(why_not[text] for text in p))
    verdicts |= zip(hard, self._compared(hard))
    return [verdicts[pair] for pair in pairs]

  def check_references(self, texts: Sequence[str]) -> list[str | None]:
    """Returns for each reference why no response could be compared with it.

    To be asked of every reference when data are loaded: later, responses to
    such a problem would all be wrong or unknown.

    Args:
      texts: reference answers, without marks.

    Returns:
      None for those that are right.
    """
    keys = {text: canonical.key(text) for text in texts}
    found = {
      text: None if key else _NO_KEY
      for text, key in keys.items()
      if key is None or canonical.is_number(key)
    }
    hard = [text for text in keys if text not in found]
    why = {
      True: None,
      False: "math-verify cannot parse it",
      None: "comparing it with itself fails or takes too long",
    }
    equal = self._compared([(text, text) for text in hard])
    found |= {text: why[verdict] for text, verdict in zip(hard, equal)}
    return [found[text] for text in texts]

  def close(self) -> None:
    """Ends the processes; they start anew when they are needed."""
    self._pool.close()

  def __enter__(self) -> "MathVerifier":
    return self

  def __exit__(self, *error: object) -> None:
    self.close()

  def _compared(self, pairs: Sequence[tuple[str, str]]) -> list[bool | None]:
    found = self._pool.map([[*map(latex.clean, pair)] for pair in pairs])
    return [None if equal is None else bool(equal) for equal in found]


def _no_answer(reference: str, answer: str | None) -> bool:
  """Whether there is none, or a chain of equations, which hides several."""
  return answer is None or answer.count("=") > max(1, reference.count("="))
