"""The records that travel between the rooms of the library: data only.

Per-token arrays are f32[B, T] over response positions unless a comment says
otherwise; B rows, T response positions, P prompt positions, V vocabulary.
All logarithms are natural, so log-probabilities and entropies are in nats.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, Protocol

import chex
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array
PyTree = chex.ArrayTree
When = Literal["rollout", "update"]


@flax.struct.dataclass
class TokenBatch:
  """Sampled responses, one per row; per-token fields cover the response."""

  tokens: Array  # i32[B, P+T] left-padded prompt, then response
  prompt_mask: Array  # bool[B, P]
  mask: Array  # bool[B, T] positions the policy chose, end included
  turn: Array  # i32[B, T] turn of the conversation; 0 when single-turn
  prompt: Array  # i32[B] prompt of the step that a row answers; -1 none
  group: Array  # i32[B] in [0, B); rows compared with each other; -1 none
  source: Array  # i32[B] 0 main draw, k the k-th further draw, -1 replay
  reward: Array  # f32[B]
  sample_logp: Array  # f32[B, T] nats, under the distribution sampled
  score_temperature: Array  # f32[B] at which policy log-probs are defined
  old_logp: Array  # f32[B, T] nats, sampling-time parameters
  advantages: Array  # f32[B, T] zero until prepare
  stats: dict[str, Array]  # f32[B, T, ...] rollout needs, by Need.key
  notes: dict[str, Array]  # [B, ...] notes needed, and those of `prepare`
  metrics: dict[str, Array]  # f32[]
  # Several examples in a row: i32[B, P+T], each its own number in one piece, -1
  # at padding; None: a row is one sequence.
  segment: Array | None = None
  # Of rollouts with branches: i32[B] row that a branch continues, -1 for the
  # others and where that row is gone, and i32[B] how many of its tokens it has.
  parent: Array | None = None
  copied: Array | None = None

  @property
  def response(self) -> Array:
    """i32[B, T]: the sampled tokens."""
    return self.tokens[:, self.prompt_mask.shape[1] :]

  def take(self, rows: Array) -> "TokenBatch":
    """The rows i32[n], in that order; metrics are of the whole as before.

    Branches name their parents by the new numbers, the first one if there are
    several, and -1 where the parent is not taken.
    """
    picked = jax.tree.map(lambda x: x[rows], self.replace(metrics={}))
    if self.parent is not None:
      picked = picked.replace(parent=self._places(rows)[picked.parent])
    return picked.replace(metrics=self.metrics)

  def _places(self, rows: Array) -> Array:
    """i32[B + 1]: where rows have gone; -1 for none, as is the last entry."""
    place = jnp.full(self.group.shape, len(rows), jnp.int32)
    place = place.at[rows].min(jnp.arange(len(rows), dtype=jnp.int32))
    return jnp.append(jnp.where(place < len(rows), place, -1), -1)


@flax.struct.dataclass
class Objective:
  """Everything the per-token loss is made of; summed only at the very end.

  Transforms edit it. `log_ratio`, `added` and `extra` carry gradient; a chain
  stops the gradient of every other field after every transform.
  """

  log_ratio: Array  # f32[B, T] differentiable: log pi / pi_old
  advantages: Array  # f32[B, T] constant
  weights: Array  # f32[B, T] constant, multiplies the surrogate only
  clip_low: Array  # f32[B, T] constant, lower bound on the ratio; 0 none
  clip_high: Array  # f32[B, T] constant, upper bound; inf none
  mask: Array  # f32[B, T] constant; editing it changes the denominator
  added: Array  # f32[B, T] differentiable, aggregated like the surrogate
  extra: Array  # f32[] differentiable, outside the aggregation
  metrics: dict[str, Array]  # f32[]
  surrogate: "Surrogate" = flax.struct.field(pytree_node=False)


Surrogate = Callable[[Objective, "Context"], Array]


@flax.struct.dataclass
class Moments:
  """What one sweep over the vocabulary yields; every array f32[N]."""

  logp: Array  # log-prob of the target token, nats
  log_z: Array  # logsumexp of the logits
  entropy: Array  # -sum p log p, nats
  varentropy: Array  # Var_p(log p), nats^2
  sum_p2: Array  # sum p^2
  cov_p_logp: Array  # Cov_p(p, log p) = sum_i p_i p_i (log p_i + entropy)
  max_prob: Array  # largest probability
  energy: Array  # |d logp / d logits|^2 = 1 - 2 p + sum p^2
  vocabulary: int = flax.struct.field(pytree_node=False)  # its size V


class Stat(Protocol):
  """A number per token of next-token distributions. A frozen dataclass.

  `from_logits` is its definition. One that moments do not contain may give it
  without logits too, by `from_distributions(*distributions)`, with one
  `stats.Distribution` per parameter set.
  """

  def from_logits(self, *logits: Array, targets: Array) -> Array:
    """One f32[N, V] per parameter set and i32[N] targets to f32[N]."""

  def from_moments(self, moments: Moments) -> Array | None:
    """The same from `Moments`; None where they do not suffice."""


class HiddenStat(Protocol):
  """Numbers per token computed from hidden states. A frozen dataclass.

  Asked of one parameter set with when="rollout".
  """

  def from_hidden(self, hidden: Array) -> Array:
    """f[N, D] states that predict the tokens to f32[N, K]."""


class Responses(NamedTuple):
  """The rollout as text, on the host; n rows in the order of the batch."""

  prompts: list[str]
  texts: list[str]
  pieces: list[list[str]]  # text of each token; " " where it does not count
  answers: list[str | None]  # equal if they say the same; None for none
  group: np.ndarray  # i32[n]
  length: int  # response positions T


class Note(Protocol):
  """Something only the text of a response tells. A frozen dataclass.

  Attributes:
    shape: whether there is one number per row or one per token.
    values: (lowest, highest) whole number that may occur; from these the
      synthetic notes of `testing` are drawn.
  """

  shape: Literal["row", "token"]
  values: tuple[int, int]

  def annotate(self, responses: Responses) -> np.ndarray:
    """i32[n], or i32[n, T] if per token; called on the host once a step."""


@dataclasses.dataclass(frozen=True)
class View:
  """How a forward pass is looked at; the default changes nothing.

  Attributes:
    temperature: divides the logits on top of the row's scoring temperature.
  """

  temperature: float = 1.0


CLEAN = View()


@dataclasses.dataclass(frozen=True)
class Need:
  """One statistic somebody asks for. Equal needs are computed once.

  Attributes:
    stat: what to compute; a note comes from the host and wants when="rollout".
    params: parameter sets, "policy", "ref", "ema" or, in a chain with a
      learner, "reward"; one logits block each.
    when: with the sampling-time policy, or at every update.
    view: how the logits are looked at.
  """

  stat: Stat | HiddenStat | Note
  params: tuple[str, ...] = ("policy",)
  when: When = "update"
  view: View = CLEAN

  def __post_init__(self):
    if self.when == "update" and (self.is_note or self.is_hidden):
      raise ValueError(
        f"a need of {self.stat!r} has when = 'update'; it is known once a "
        "step, after the rollout: give when='rollout'."
      )

  @property
  def is_note(self) -> bool:
    """Whether the host writes it."""
    return hasattr(self.stat, "annotate")

  @property
  def is_hidden(self) -> bool:
    """Whether it comes from hidden states, not from logits."""
    return hasattr(self.stat, "from_hidden")

  @property
  def key(self) -> str:
    """A sortable string that identifies the need inside pytrees."""
    view = "" if self.view == CLEAN else f"|t={self.view.temperature}"
    return f"{self.stat!r}|{'+'.join(self.params)}|{self.when}{view}"


Temperature = Array | float | Callable[[Array], Array]


class TokenText(NamedTuple):
  """What the text of single tokens tells, where nobody can read it."""

  length: Array  # i32[...] characters without blanks around; 0 of special ones
  ends_line: Array  # bool[...] whether there is a line break in it


class Parent(NamedTuple):
  """A response that has ended, for who decides where to branch off it."""

  tokens: Array  # i32[T]
  mask: Array  # bool[T] up to its end, that included
  stats: dict[str, Array]  # f32[T] what the sampler recorded, by Need.key
  key: Array  # of these dice alone
  prompt: Array  # i32[] tokens of its prompt
  vocabulary: int  # V
  told: TokenText | None = None  # [T]

  @property
  def text(self) -> TokenText:
    """[T]: of its tokens.

    Raises:
      ValueError: the rollout was told nothing about them.
    """
    if self.told is None:
      raise ValueError(
        "a draw branches where the text of a response says so, but this "
        "rollout knows tokens only; give `rollout` text = "
        "tasks.token_text(tokenizer, vocabulary)."
      )
    return self.told


class Draw(NamedTuple):
  """One block of rows the sampler shall produce.

  Counts are Python numbers because they decide shapes; the temperatures and
  the truncations may be traced. The sampling temperature may be a function of
  the entropy of the untempered distribution, nats, elementwise.

  With a parent its rows are branches: each continues a row of the draw of that
  name after its first `cut` tokens. `cut` maps a `Parent` and a number n to
  i32[n], a position for each of its branches, from 0, which is a new response,
  to its last token, which is sampled again.
  """

  name: str
  per_prompt: int
  prompt_fraction: float = 1.0  # of the prompts of a step, rounded up
  temperature: Temperature = 1.0
  top_k: int = 0  # 0 keeps all
  top_p: Array | float = 1.0
  min_p: Array | float = 0.0
  score_temperature: Array | float = 1.0
  parent: str | None = None
  cut: Callable[[Parent, int], Array] | None = None
  copies_count: bool = True  # whether the tokens of the parent are trained

  def prompts(self, of: int) -> int:
    """How many of the prompts of a step it takes, from the first on."""
    # The nudge: 0.07 * 100 is a little more than 7 in binary.
    return math.ceil(self.prompt_fraction * of - 1e-6)

  def temperature_at(self, entropy: Array) -> Array:
    """f32[...]: the sampling temperature at entropies f32[...], nats."""
    t = self.temperature
    found = jnp.asarray(t(entropy) if callable(t) else t, jnp.float32)
    return jnp.broadcast_to(found, entropy.shape)


class Clock(NamedTuple):
  """When something happens: step, minibatch of the step, key of the run."""

  step: Array | int
  update: Array | int
  key: Array


class Context(NamedTuple):
  """What a hook may read besides the record it edits."""

  step: Array  # i32[] finished training steps
  update: Array  # i32[] minibatch index inside the step
  key: Array  # PRNG key of this transform at this moment
  batch: TokenBatch  # read-only
  stats: Mapping[str, Array]  # f32[B, T] needs with when="update"
  draws: tuple[tuple[str, int], ...] = ()  # (name, rows) as sampled
  name: str = ""
  needs: tuple[Need, ...] = ()

  @property
  def logp(self) -> Array:
    """f32[B, T]: current log-prob of the sampled tokens; always there."""
    return self.stats[LOGP_KEY]

  def stat(self, need: Need) -> Array:
    """The statistic of a declared need: f32[B, T], or as its kind says.

    Raises:
      KeyError: the transform did not declare it.
    """
    if need not in self.needs:
      raise KeyError(
        f"{self.name!r} reads {need.key!r}, which it did not declare; "
        f"declared are {[n.key for n in self.needs]}. Add it to needs=(...) "
        "of its LossTransform."
      )
    found = self.batch.stats if need.when == "rollout" else self.stats
    found = self.batch.notes if need.is_note else found
    if need.key not in found:
      raise KeyError(
        f"{self.name!r} needs {need.key!r}, which this batch does not hold; "
        f"it holds {sorted(found)}. Compute it with stats.score(needs, ...)."
      )
    return found[need.key]

  def draw(self, name: str) -> tuple[int, int]:
    """Source number and sampled rows of a planned draw, Python numbers.

    Raises:
      KeyError: the batch was sampled without that draw.
    """
    names = [known for known, _ in self.draws]
    if name not in names:
      raise KeyError(
        f"{self.name!r} planned the draw {name!r}, but the batch was sampled "
        f"with {names}; sample with method.plan(...), or build the "
        "example with testing.tiny(method)."
      )
    number = names.index(name)
    return number, self.draws[number][1]


# Spelled out because Context must not import stats; a test keeps them equal.
LOGP_KEY = "Logp()|policy|update"
