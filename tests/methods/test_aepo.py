"""AEPO: temperatures, the rows that are mixed in, and what they do."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rlvr_jax
from golden_adapters import common
from rlvr_jax import rng, testing
from rlvr_jax.methods.aepo import AepoState, aepo
from rlvr_jax.methods.grpo import grpo
from rlvr_jax.types import LOGP_KEY, Clock, Draw

pytestmark = pytest.mark.usefixtures("quick_compile")

MAIN, HOT = 6, 4
DRAWS = (("main", MAIN), ("aepo", HOT))
LABEL = np.concatenate([np.arange(MAIN), -1 - np.arange(HOT)])
LENGTHS = np.array([3, 2, 1, 3, 2, 3, 1, 2, 3, 2])
ADVANTAGES = np.float32([0.5, -0.5, 1, -1, 0.2, -0.2, 0.9, -0.9, 0.9, 0.9])


def planned(method, entropy):
  """The tempered draw after a step of that entropy."""
  state = AepoState(jnp.float32(entropy))
  return method.plan((Draw("main", 4, top_p=0.9),), state)[1]


def rollout(advantages=ADVANTAGES):
  mask = np.arange(3) < LENGTHS[:, None]
  return common.batch(
    np.full(mask.shape, -0.5),
    advantages[:, None] * mask,
    mask,
    reward=advantages > 0,
    group=np.arange(MAIN + HOT) // 2,
    source=np.arange(MAIN + HOT) >= MAIN,
    notes={"label": LABEL},
  )


def prepared(method, batch, entropy=0.0):
  state = {"aepo": AepoState(jnp.float32(entropy))}
  prepare = jax.jit(rlvr_jax.prepare(method, DRAWS))
  return prepare(batch, state, Clock(0, 0, jax.random.key(0)))


def test_the_draw_is_hot_up_to_the_target_and_cold_above():
  for entropy, expected in ((0.0, 1.2), (0.5, 1.2), (0.51, 0.8)):
    assert planned(aepo(0.5), entropy).temperature == jnp.float32(expected)
  assert planned(aepo(0.5, tie="low"), 0.5).temperature == jnp.float32(0.8)


def test_the_draw_shares_the_truncation_of_the_main_one():
  draw = planned(aepo(0.5, per_prompt=7), 0.0)
  assert (draw.name, draw.per_prompt, draw.prompt_fraction) == ("aepo", 7, 0.25)
  assert (draw.top_p, draw.score_temperature) == (0.9, 1.0)


@pytest.mark.parametrize(
  "entropy, rows, first",
  [
    (0.0, 9, [-1, -3, -4, 3, 4, 5]),  # all three positives
    (0.0, 2, [-1, -3, 2, 3, 4, 5]),
    (0.6, 9, [-1, 1, 2, 3, 4, 5]),  # 3 // 2 while cooling
    (0.6, 1, [0, 1, 2, 3, 4, 5]),  # 1 // 2
    (0.0, 0, [0, 1, 2, 3, 4, 5]),
  ],
)
def test_positive_rows_take_the_place_of_the_first_main_rows(
  entropy, rows, first
):
  batch, state = prepared(aepo(0.5, rows=rows), rollout(), entropy)
  np.testing.assert_array_equal(batch.notes["label"], first)
  origin = np.array([np.flatnonzero(LABEL == i)[0] for i in first])
  mask = np.arange(3) < LENGTHS[origin, None]
  np.testing.assert_array_equal(batch.mask, mask)
  advantages = np.where(np.array(first) < 0, 1, ADVANTAGES[origin])
  np.testing.assert_array_equal(batch.advantages, advantages[:, None] * mask)
  assert batch.metrics["aepo/kept_rows"] == 3
  assert state["aepo"].entropy == 0.5  # mean -old_logp of the main rows


def test_without_positive_rows_the_main_rows_are_trained():
  none = np.where(np.arange(MAIN + HOT) < MAIN, ADVANTAGES, -1)
  batch, _ = prepared(aepo(0.5, rows=3), rollout(np.float32(none)))
  np.testing.assert_array_equal(batch.notes["label"], LABEL[:MAIN])


def test_the_rule_by_reward_keeps_rows_of_groups_that_are_all_right():
  batch = rollout().replace(advantages=jnp.zeros((MAIN + HOT, 3)))
  by = lambda rule: prepared(aepo(0.5, rows=9, positive_rule=rule), batch)[0]
  assert by("advantage").metrics["aepo/used_rows"] == 0
  assert by("reward").metrics["aepo/used_rows"] == 3


def test_added_rows_pull_by_the_mean_of_their_log_probs():
  method = aepo(0.5, rows=2, mode="add", coef=0.3)
  batch, state = prepared(method, rollout())
  assert batch.mask.shape[0] == MAIN + 2
  np.testing.assert_array_equal(batch.notes["label"], [*LABEL[:MAIN], -1, -3])
  logp = jnp.asarray(np.random.default_rng(0).uniform(-1, 0, (MAIN + 2, 3)))
  plain = jax.tree.map(lambda x: x[:MAIN], batch.replace(metrics={}))

  @jax.jit
  def losses(logp):
    clock = Clock(0, 0, jax.random.key(0))
    added = rlvr_jax.loss(method, draws=DRAWS)(
      {LOGP_KEY: logp}, batch, state, clock
    )[0]
    base = rlvr_jax.loss(grpo())
    main = base({LOGP_KEY: logp[:MAIN]}, plain, {"grpo": ()}, clock)[0]
    return added, main

  added, main = losses(logp)
  # Rows -1 and -3 hold 1 and 3 tokens.
  pull = np.concatenate([logp[MAIN, :1], logp[MAIN + 1, :3]]).mean()
  np.testing.assert_allclose(added, main - 0.3 * pull, rtol=1e-5)


@pytest.mark.parametrize("mode", ["replace", "add"])
def test_rows_zero_is_grpo_on_the_main_draw(mode):
  method = rlvr_jax.chain(grpo(), aepo(0.5, rows=0, mode=mode))
  batch = rollout()
  state = method.init(batch)
  prepare = jax.jit(rlvr_jax.prepare(method, DRAWS))
  got, _ = prepare(batch, state, Clock(0, 0, jax.random.key(0)))
  main = jax.tree.map(lambda x: x[:MAIN], batch)
  expected = jax.jit(functools.partial(common.prepared, grpo()))(main)
  chex.assert_trees_all_equal(got.replace(metrics={}), expected)


@given(
  st.lists(st.floats(-3, 3), min_size=2, max_size=8),
  st.sampled_from([0.5, 0.8, 1.2, 1.5]),
)
def test_the_pull_of_a_hotter_policy_raises_entropy_and_of_a_colder_lowers_it(
  logits, temperature
):
  softmax = lambda z: np.exp(z) / np.exp(z).sum()
  z = np.array(logits)
  p, tempered = softmax(z), softmax(z / temperature)
  # dH/dz = -p (log p + H), and the pull E_tempered[grad log p] = tempered - p.
  discriminator = p * (np.log(p) - (p * np.log(p)).sum())
  change = -(discriminator * (tempered - p)).sum()
  assert np.sign(temperature - 1) * change >= -1e-15


TOKENS, RIGHT, PROMPTS, EACH = 20, 6, 64, 8


@functools.partial(jax.jit, static_argnums=0)
def final_entropy(method, logits):
  """Mean entropy of the last 100 of 1200 steps on a one-token task."""
  start = rlvr_jax.chain(method).init(None)
  loss_fn = rlvr_jax.loss(method, draws=DRAWS)

  def step(carry, number):
    logits, state = carry
    clock = Clock(number, 0, jax.random.key(0))
    log_probs = jax.nn.log_softmax(logits)
    batches = []
    for k, draw in enumerate(method.plan((Draw("main", EACH),), state)):
      rows = testing.draw_rows(draw, PROMPTS)
      key = rng.named(rng.key(clock.key, rng.Purpose.SAMPLE, number), draw.name)
      token = jax.random.categorical(
        key, logits / draw.temperature, shape=(rows,)
      )
      batches.append((token, k * PROMPTS + np.arange(rows) // EACH, rows))
    token = jnp.concatenate([t for t, _, _ in batches])
    sizes = [r for _, _, r in batches]
    batch = common.batch(
      np.zeros((sum(sizes), 1)),
      None,
      np.ones((sum(sizes), 1)),
      source=np.repeat(np.arange(len(sizes)), sizes),
    ).replace(
      old_logp=log_probs[token][:, None],
      reward=(token < RIGHT).astype(jnp.float32),
      group=jnp.asarray(np.concatenate([g for _, g, _ in batches]), jnp.int32),
      notes={"token": token},
    )
    draws = tuple(zip(("main", "aepo"), sizes))
    batch, state = rlvr_jax.prepare(method, draws)(batch, state, clock)

    def loss(logits):
      logp = jax.nn.log_softmax(logits)[batch.notes["token"]][:, None]
      return loss_fn({LOGP_KEY: logp}, batch, state, clock)[0]

    entropy = -(jnp.exp(log_probs) * log_probs).sum()
    return (logits - 0.5 * jax.grad(loss)(logits), state), entropy

  _, entropies = jax.lax.scan(step, (logits, start), jnp.arange(1200))
  return entropies[-100:].mean()


def test_the_entropy_settles_at_its_target_where_grpo_loses_it():
  logits = jnp.zeros(TOKENS)
  mixed = aepo(
    1.2,
    rows=128,
    per_prompt=EACH,
    prompt_fraction=0.5,
    positive_rule="reward",
  )
  held = final_entropy(rlvr_jax.chain(grpo(), mixed), logits)
  assert abs(held - 1.2) < 0.05, held
  lost = final_entropy(rlvr_jax.chain(grpo()), logits)
  assert lost < 0.8, lost


@pytest.mark.parametrize(
  "wrong",
  [
    {"target_entropy": -1.0},
    {"rows": -1},
    {"per_prompt": 0},
    {"temperature_low": 0.0},
    {"temperature_high": 0.7},
    {"prompt_fraction": 0.0},
    {"positive_rule": "other"},
    {"mode": "other"},
    {"coef": -1.0},
    {"entropy_estimator": "other"},
    {"tie": "other"},
    {"cool_divisor": 0},
  ],
)
def test_a_parameter_out_of_range_is_named(wrong):
  (name,) = wrong
  with pytest.raises(ValueError, match=rf"aepo\.{name} = "):
    aepo(**({"target_entropy": 0.5} | wrong))
