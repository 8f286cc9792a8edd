"""Clusters of answers that say the same.

Equal by text, by mathematics or by a function of yours:

  cluster([["0.5", "1/2"]])                                  two clusters
  cluster([["0.5", "1/2"]], verifier.equal, canonical.key)   one
  cluster([["Paris", "paris"]], both_ways(mine))             as `mine` says

Clusters are closed: what a chain of equal pairs connects is in one cluster,
though its ends may not be equal, as of answers that are nearly the same. So the
order of the answers does not matter, for any equality.
"""

import itertools
from collections.abc import Callable, Sequence

import numpy as np

# Pairs of different answers to whether they are equal, None if unknown.
Equal = Callable[[Sequence[tuple[str, str]]], Sequence[bool | None]]

RULES = ("closure", "first", "leader")


def cluster(
  groups: Sequence[Sequence[str | None]],
  equal: Equal | None = None,
  key: Callable[[str], str | None] | None = None,
) -> list[np.ndarray]:
  """Returns which answers of each group are in one cluster.

  Args:
    groups: answers that are compared with one another, group by group; None
      where there is none.
    equal: says of pairs whether they are equal; None if no two are but those
      of equal keys. It is called once, with every pair of different answers
      once, the smaller text first, and should not mind that order. Unknown
      pairs are not equal by themselves.
    key: canonical form of an answer, None for none. Answers of equal keys are
      equal, and only the least text of each key is compared. None takes the
      text itself.

  Returns:
    i32[n] for each group: the place in the group of the first answer of the
    same cluster, -1 for no answer.

  Raises:
    ValueError: `equal` did not give one verdict for each pair.
  """
  keyed = [[_key(answer, key) for answer in answers] for answers in groups]
  chosen = [_least(*pair) for pair in zip(groups, keyed)]
  pairs = {
    pair
    for texts in chosen
    for pair in itertools.combinations(sorted(texts.values()), 2)
  }
  said = _verdicts(sorted(pairs), equal)
  return [_numbered(*both, said) for both in zip(keyed, chosen)]


def both_ways(equal: Callable[[str, str], bool | None]) -> Equal:
  """Returns an equality of pairs of a function of two texts.

  Args:
    equal: whether the second answer says what the first says. Two are equal if
      it says so in both orders.

  Returns:
    What `cluster` takes.
  """
  return lambda pairs: [bool(equal(a, b) and equal(b, a)) for a, b in pairs]


def partition(equal: np.ndarray, rule: str = "closure") -> np.ndarray:
  """Returns clusters of answers by which of their pairs are equal.

  The rules agree if equality is transitive. If it is not, those that were
  published depend on the order of the answers:

    closure  what a chain of pairs connects, equal in either order
    first    an answer joins the earliest cluster whose first member equals it
    leader   an answer without a cluster opens one and takes all later answers
             that equal it, also those that have a cluster

  Args:
    equal: bool[n, n] of the pairs; "first" and "leader" read [a, b] only for
      a < b.
    rule: one of RULES; "first" is EMPO's (its code for verl), "leader" that of
      the code of semantic entropy and of EMPO's for TRL.

  Returns:
    i32[n] the first member of each answer's cluster.

  Raises:
    ValueError: an unknown rule.
  """
  if rule not in RULES:
    raise ValueError(f"partition: rule = {rule!r} must be in {RULES}.")
  equal = np.asarray(equal, bool)
  if rule == "closure":
    return _closure(equal)
  found = np.full(len(equal), -1, np.int32)
  for place in range(len(equal)):
    if found[place] >= 0:
      continue
    found[place] = place
    later = equal[place] & (np.arange(len(equal)) > place)
    taken = later if rule == "leader" else later & (found < 0)
    found[taken] = place
  return found


def _closure(equal: np.ndarray) -> np.ndarray:
  same = equal | equal.T | np.eye(len(equal), dtype=bool)
  found = np.arange(len(equal), dtype=np.int32)
  for _ in range(len(equal)):  # a chain is no longer
    least = np.where(same, found, len(equal)).min(axis=1).astype(np.int32)
    if np.array_equal(least, found):
      break
    found = least
  return found


def _key(
  answer: str | None, key: Callable[[str], str | None] | None
) -> str | None:
  return answer if answer is None or key is None else key(answer)


def _least(
  answers: Sequence[str | None], keys: Sequence[str | None]
) -> dict[str, str]:
  """The least text of each key."""
  found: dict[str, str] = {}
  for answer, key in zip(answers, keys):
    if key is not None:
      found[key] = min(answer, found.get(key, answer))
  return found


def _verdicts(
  pairs: list[tuple[str, str]], equal: Equal | None
) -> dict[tuple[str, str], bool | None]:
  if equal is None or not pairs:
    return {}
  given = equal(pairs)
  if len(given) != len(pairs):
    raise ValueError(
      f"cluster: `equal` gave {len(given)} verdicts on {len(pairs)} pairs; it "
      "must give one to each."
    )
  return dict(zip(pairs, given))


def _numbered(
  keys: list[str | None],
  chosen: dict[str, str],
  said: dict[tuple[str, str], bool | None],
) -> np.ndarray:
  texts = sorted(chosen.values())
  matrix = np.array(
    [[bool(said.get((a, b))) for b in texts] for a in texts], bool
  ).reshape(len(texts), len(texts))
  of_text = dict(zip(texts, partition(matrix).tolist()))
  first: dict[int, int] = {}
  found = [
    -1 if key is None else first.setdefault(of_text[chosen[key]], place)
    for place, key in enumerate(keys)
  ]
  return np.array(found, np.int32)
