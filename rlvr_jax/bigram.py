"""A run of seconds: a table of bigrams learns, and a method looks after it.

The policy is a table of next-token logits and the reward a function of the
tokens, so there is no model, no tokenizer and no file. A step is that of a real
run: sample, `prepare`, then a few differentiated losses on the rollout.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from rlvr_jax import objective, rng, stats, testing, transform
from rlvr_jax.types import Array, Clock, Need, PyTree, TokenBatch

ENTROPY = Need(stats.Entropy(), when="rollout")
SETS = {"policy", "ref"}
Metrics = dict[str, Array]
Reward = Callable[[Array], Array]


class History(NamedTuple):
  """What happened in a run, and where it ended."""

  # f32[steps]: "policy/entropy" in nats per token, "reward/mean", and what loss
  # and chain tell, as a mean over the updates of a step.
  metrics: Metrics
  state: PyTree  # of the chain
  table: Array  # f32[V, V] logits; a row for each token that went before


def mostly_even(tokens: Array) -> Array:
  """1 for responses i32[B, T] with at least three even tokens in four."""
  share = (tokens % 2 == 0).astype(jnp.float32).mean(axis=1)
  return (share >= 0.75).astype(jnp.float32)


def train(
  method: transform.LossTransform,
  *,
  steps: int = 100,
  updates: int = 2,
  prompts: int = 8,
  per_prompt: int = 8,
  length: int = 8,
  vocabulary: int = 11,
  learning_rate: float = 0.05,
  reward: Reward = mostly_even,
  seed: int = 0,
) -> History:
  """Trains a table of random logits with Adam.

  Args:
    method: a transform or a chain with a source of advantages.
    steps: rollouts.
    updates: optimizer steps on each, with all its rows.
    prompts: of a step; a prompt is the token that goes before.
    per_prompt: responses to each.
    length: tokens T of a response.
    vocabulary: tokens V.
    learning_rate: of Adam.
    reward: i32[B, T] tokens to f32[B].
    seed: of everything random.

  Returns:
    A History.

  Raises:
    ValueError: the method needs what only a run has: texts, a second model or
      further draws.
  """
  method = transform.chain(method)
  _check(method)
  example = testing.tiny(
    prompts=prompts,
    per_prompt=per_prompt,
    length=length,
    vocabulary=vocabulary,
    seed=seed,
  )
  state = method.init(example.batch)
  tx, start = optax.adam(learning_rate), example.params["rollout"]
  run = _Run(method, tx, reward, updates, example.batch, start)

  @jax.jit
  def whole(carry, key):
    step = lambda carry, number: run.step(carry, Clock(number, 0, key))
    return jax.lax.scan(step, carry, jnp.arange(steps))

  carry = start, tx.init(start), state
  (table, _, state), metrics = whole(carry, jax.random.key(seed))
  return History(metrics, state, table)


def _check(method: transform.LossTransform) -> None:
  missing = [n.key for n in method.needs if n.is_note or set(n.params) - SETS]
  for part in method.parts:
    if part.plan is not transform.keep_plan:
      missing.append(f"the draws of {part.name!r}")
    if part.learner is not None:
      missing.append(f"the learner of {part.name!r}")
  if missing:
    raise ValueError(
      f"the chain {[part.name for part in method.parts]} asks for {missing}, "
      "but a table of bigrams has no texts, no model beside it and one draw; "
      "train such a method with experiments.train."
    )


class _Run(NamedTuple):
  """What does not change; the carry is (table, moments of Adam, state)."""

  method: transform.LossTransform
  tx: optax.GradientTransformation
  reward: Reward
  updates: int
  batch: TokenBatch  # lends its prompts and groups
  start: Array  # f32[V, V]

  def step(self, carry, clock):
    """The carry after a step, and its metrics."""
    table, moments, state = carry
    batch, told = self._rollout(table, clock)
    batch, state = objective.prepare(self.method)(batch, state, clock)
    update = lambda carry, index: self._update(
      carry, batch, clock._replace(update=index)
    )
    carry, metrics = jax.lax.scan(
      update, (table, moments, state), jnp.arange(self.updates)
    )
    means = jax.tree.map(lambda x: x.mean(axis=0), metrics)
    return carry, told | batch.metrics | means

  def _rollout(self, table: Array, clock: Clock) -> tuple[TokenBatch, Metrics]:
    key = rng.key(clock.key, rng.Purpose.SAMPLE, clock.step)
    batch = _answered(self.batch, table, key)
    needs = tuple(n for n in self.method.needs if n.when == "rollout")
    found = self._score((stats.LOGP, ENTROPY, *needs), table, batch)
    batch = batch.replace(
      reward=self.reward(batch.response),
      sample_logp=found[stats.LOGP.key],
      old_logp=found[stats.LOGP.key],
      stats={need.key: found[need.key] for need in needs},
    )
    return batch, {
      "policy/entropy": found[ENTROPY.key].mean(),
      "reward/mean": batch.reward.mean(),
    }

  def _update(self, carry, batch, clock):
    table, moments, state = carry
    loss = objective.loss(self.method)
    needs = tuple(n for n in self.method.needs if n.when == "update")

    def total(table):
      found = self._score((stats.LOGP, *needs), table, batch)
      return loss(found, batch, state, clock)

    gradient, (state, metrics) = jax.grad(total, has_aux=True)(table)
    move, moments = self.tx.update(gradient, moments)
    return (optax.apply_updates(table, move), moments, state), metrics

  def _score(self, needs, table, batch):
    sets = {"policy": table, "ref": self.start}
    return stats.score(needs, sets, batch, model=testing.Bigram())


def _answered(batch: TokenBatch, table: Array, key: Array) -> TokenBatch:
  """The rows with responses sampled from a table; all tokens count."""
  width = batch.prompt_mask.shape[1]
  asked = (batch.prompt % len(table)).astype(jnp.int32)

  def say(token, key):
    token = jax.random.categorical(key, table[token]).astype(jnp.int32)
    return token, token

  keys = jax.random.split(key, batch.mask.shape[1])
  _, said = jax.lax.scan(say, asked, keys)
  prompts = jnp.broadcast_to(asked[:, None], (len(asked), width))
  tokens = jnp.concatenate([prompts, said.T], axis=1)
  return batch.replace(tokens=tokens, mask=jnp.ones_like(batch.mask))
