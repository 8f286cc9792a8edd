"""LaRe: who is credited, against what, and what is learnt of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rlvr_jax
from golden_adapters import common
from rlvr_jax import reduce
from rlvr_jax.methods.lare import lare
from rlvr_jax.methods.rloo import rloo
from rlvr_jax.types import Clock

pytestmark = pytest.mark.usefixtures("quick_compile")

SMALL = dict(width=8, rate=0.01, features="logp")
MASK = np.array([[1, 1, 1], [1, 1, 0], [1, 1, 1], [1, 0, 0]])
REWARD, GROUP = np.array([1.0, 0.0, 1.0, 3.0]), np.array([0, 0, 0, 0])


def batch_of(old=None, mask=MASK, reward=REWARD, group=GROUP, notes=None):
  old = np.zeros(np.shape(mask)) if old is None else old
  batch = common.batch(old, None, mask, reward=reward, notes=notes)
  return batch.replace(group=jnp.asarray(group, jnp.int32))


def run(batches, seed=0, state=None, start=0, **parameters):
  """The batches after the method, and its state."""
  method = lare(**parameters)
  chain = rlvr_jax.chain(method)
  prepare = jax.jit(rlvr_jax.prepare(method))
  state, found = {"lare": state} if state else chain.init(batches[0]), []
  for step, batch in enumerate(batches, start):
    batch, state = prepare(batch, state, Clock(step, 0, jax.random.key(seed)))
    found.append(batch)
  return found, state["lare"]


def noise(seed=0, rows=4, length=3):
  return np.random.default_rng(seed).normal(size=(rows, length))


def test_without_redistribution_it_is_rloo_bit_by_bit_and_keeps_nothing():
  batch = batch_of(noise(), group=[0, 0, 1, -1])
  (found,), state = run([batch], lam=0.0)
  np.testing.assert_array_equal(
    found.advantages, common.prepared(rloo(), batch).advantages
  )
  assert state == () and lare(lam=0.0, features="raw").needs == ()
  assert not [k for k in found.metrics if k.startswith("lare/")]


def test_tokens_that_are_all_alike_share_the_reward_evenly():
  (found,), _ = run([batch_of()], lam=1.0, **SMALL)
  # Before each token its row has been given R / T per token.
  above = REWARD - (REWARD.sum() - REWARD) / 3
  given = np.array([[0, 1, 2], [0, 0, 0], [0, 1, 2], [0, 0, 0]]) / 3
  want = (above[:, None] - given) * MASK
  np.testing.assert_allclose(found.advantages, want, atol=1e-6)
  assert found.metrics["lare/spread"] < 1e-6
  (found,), _ = run([batch_of()], lam=1.0, baseline="to_go", **SMALL)
  left = np.array([[3, 2, 1], [2, 1, 0], [3, 2, 1], [1, 0, 0]])
  share = left / MASK.sum(axis=1, keepdims=True)
  np.testing.assert_allclose(
    found.advantages, above[:, None] * share * MASK, atol=1e-6
  )


@pytest.mark.parametrize("baseline", ["return", "to_go"])
def test_redistribution_only_moves_credit_in_time(baseline):
  batches = [batch_of(noise(i)) for i in range(3)]
  half, _ = run(batches, lam=0.5, baseline=baseline, **SMALL)
  whole, _ = run(batches, lam=1.0, baseline=baseline, **SMALL)
  plain = common.prepared(rloo(), batches[0]).advantages
  for a, b in zip(half, whole):
    # The first token sees the whole return, and lam is a line in between.
    np.testing.assert_array_equal(b.advantages[:, 0], plain[:, 0])
    np.testing.assert_allclose(
      a.advantages, (plain + b.advantages) / 2, atol=1e-6
    )
  assert abs(whole[-1].advantages - plain).max() > 0.01


def correlation(batch, earned):
  """Of what each but the last token is given and what it earned."""
  credit = -np.diff(np.asarray(batch.advantages))
  inside = np.asarray(batch.mask)[:, 1:]
  return np.corrcoef(credit[inside], earned[:, :-1][inside])[0, 1]


@pytest.mark.parametrize(
  "how",
  [
    dict(loss="rd"),
    dict(loss="rrd", subset=3),
    dict(loss="rrd_unbiased", subset=3),
    dict(loss="rd", target="sum", variance_coef=1e-3),
    dict(centre="none", ragged=True),
  ],
  ids=str,
)
def test_a_decoder_learns_which_tokens_the_reward_is_made_of(how):
  dice, batches, hidden = np.random.default_rng(5), [], []
  how = dict(how)
  least = 2 if how.pop("ragged", False) else 6
  for _ in range(40):
    mask = np.arange(6) < dice.integers(least, 7, (32, 1))
    # A token of log-prob -2 earns 1, one of -1 nothing.
    earned = dice.integers(0, 2, (32, 6)) * mask
    reward, group = earned.sum(axis=1), np.arange(32) // 8
    batches.append(batch_of(-1.0 - earned, mask, reward, group))
    hidden.append(earned)
  how |= dict(width=16, rate=3e-3, lam=1.0)
  found, _ = run(batches, features="logp,position", **how)
  # What the variance of few draws adds, the biased loss takes off f.
  assert correlation(found[-1], hidden[-1]) > 0.85
  explained = [float(b.metrics["lare/explained"]) for b in found]
  assert explained[-1] > explained[0] + 0.3
  blind, _ = run(batches, features="position", **how)
  assert abs(correlation(blind[-1], hidden[-1])) < 0.5


def test_features_by_hand_find_the_hidden_reward_before_raw_ones_do():
  dice, batches, hidden = np.random.default_rng(6), [], []
  digit, raw = (lare(features=name).needs[0].key for name in ("digit", "raw"))
  for _ in range(40):
    tokens = dice.integers(0, 1000, (32, 6))
    earned = tokens % 2
    batch = batch_of(
      np.zeros((32, 6)),
      np.ones((32, 6)),
      earned.sum(axis=1),
      np.arange(32) // 8,
      {digit: earned.astype(np.int32)},
    )
    states = {raw: jnp.asarray(dice.normal(size=(32, 6, 32)), jnp.float32)}
    response = jnp.asarray(tokens, jnp.int32)
    tokens = batch.tokens.at[:, 1:].set(response)
    batches.append(batch.replace(tokens=tokens, stats=states))
    hidden.append(earned)
  how = dict(width=16, rate=3e-3, lam=1.0)
  by_hand, _ = run(batches, features="digit", **how)
  by_token, _ = run(batches, features="raw", **how)
  assert correlation(by_hand[-1], hidden[-1]) > 0.95
  assert correlation(by_token[-1], hidden[-1]) < 0.7


def test_steps_earn_at_their_last_tokens():
  # Two steps of two tokens; steps whose mean log-prob is -2 earn.
  mask, group = np.ones((16, 4)), np.zeros(16)
  kinds = np.random.default_rng(6).integers(0, 2, (16, 2))
  old = np.repeat(-1.0 - kinds, 2, axis=1) + np.tile([0.3, -0.3], 2)
  parameters = SMALL | dict(granularity="step", lam=1.0, learn_steps=20)
  (need,) = lare(**parameters).needs
  notes = {need.key: np.tile([0, 1, 0, 0], (16, 1))}
  batch = batch_of(old, mask, kinds.sum(axis=1), group, notes)
  found, _ = run([batch] * 15, **parameters)
  advantages = np.asarray(found[-1].advantages)
  np.testing.assert_array_equal(advantages[:, ::2], advantages[:, 1::2])
  given = advantages[:, 0] - advantages[:, 2]
  np.testing.assert_allclose(given, kinds[:, 0], atol=0.1)


def test_features_are_read_in_deviations_from_their_running_mean():
  old = noise(7)
  batches = [batch_of(old), batch_of(old)]
  scaled = [batch_of(50 + 20 * old), batch_of(50 + 20 * old)]
  how = SMALL | dict(lam=1.0)
  first, state = run(batches, **how)
  again, _ = run(scaled, **how)
  np.testing.assert_allclose(
    first[-1].advantages, again[-1].advantages, atol=1e-4
  )
  np.testing.assert_allclose(
    state.moments.mean, old[MASK > 0].mean(), rtol=1e-4
  )
  np.testing.assert_allclose(state.moments.std, old[MASK > 0].std(), rtol=1e-4)
  raw, state = run(batches, standardise="none", **how)
  other, _ = run(scaled, standardise="none", **how)
  assert abs(raw[-1].advantages - other[-1].advantages).max() > 0.01
  assert state.moments == () and state.past == ()


def test_a_buffer_holds_the_last_steps_and_the_decoder_learns_from_them():
  batches = [batch_of(noise(i)) for i in range(3)]
  how = SMALL | dict(lam=1.0)
  found, state = run(batches, buffer=2, **how)
  latest = state.past.latent[..., 0]
  np.testing.assert_allclose(latest[0], noise(2) * MASK, rtol=1e-6)
  np.testing.assert_allclose(latest[1], noise(1) * MASK, rtol=1e-6)
  without, _ = run(batches, **how)
  # The first step has nothing to remember.
  np.testing.assert_allclose(
    found[0].advantages, without[0].advantages, atol=1e-6
  )
  assert abs(found[1].advantages - without[1].advantages).max() > 1e-4
  other = batch_of(noise(0, 2), MASK[:2], REWARD[:2], GROUP[:2])
  with pytest.raises(ValueError, match="lare.buffer = 2 holds rollouts of"):
    run([other], state=state, buffer=2, **how)


def test_a_run_stopped_and_resumed_draws_the_same_tokens():
  batches = [batch_of(noise(i)) for i in range(4)]
  how = SMALL | dict(loss="rrd", subset=2, lam=1.0)
  whole, after = run(batches, **how)
  _, state = run(batches[:2], **how)
  rest, resumed = run(batches[2:], state=state, start=2, **how)
  np.testing.assert_array_equal(whole[-1].advantages, rest[-1].advantages)
  jax.tree.map(np.testing.assert_array_equal, after, resumed)
  _, other = run(batches, seed=1, **how)
  assert abs(after.decoder.weights[0][0] - other.decoder.weights[0][0]).max()


def test_rows_without_a_group_teach_nothing_and_keep_their_advantages():
  batch = batch_of(noise(8), group=[0, 0, 1, -1])
  batch = batch.replace(advantages=jnp.full((4, 3), 7.0) * MASK)
  other = batch.replace(reward=batch.reward.at[3].set(100.0))
  how = SMALL | dict(lam=1.0, centre="none")
  (found,), state = run([batch], **how)
  (again,), same = run([other], **how)
  np.testing.assert_array_equal(found.advantages[3], [7, 0, 0])
  np.testing.assert_array_equal(found.advantages, again.advantages)
  jax.tree.map(np.testing.assert_array_equal, state, same)
  nobody = batch.replace(group=jnp.full(4, -1))
  _, idle = run([nobody], state=state, **how)
  jax.tree.map(np.testing.assert_array_equal, idle, state)


def test_a_centred_decoder_learns_nothing_of_groups_that_earn_alike():
  batch = batch_of(noise(9), reward=[1.0, 1.0, 5.0, 5.0], group=[0, 0, 1, 1])
  centred, plain = (
    run([batch] * 3, lam=1.0, centre=centre, **SMALL)[0][-1].metrics
    for centre in ("group", "none")
  )
  assert centred["lare/loss"] == 0 == centred["lare/spread"]
  assert plain["lare/spread"] > 0


def test_whitened_advantages_have_mean_zero_and_deviation_one():
  batch = batch_of(noise(10))
  (found,), _ = run([batch], whiten=True, **SMALL)
  np.testing.assert_allclose(
    reduce.masked_mean(found.advantages, batch.mask), 0, atol=1e-6
  )
  np.testing.assert_allclose(
    reduce.masked_var(found.advantages, batch.mask, ddof=1), 1, rtol=1e-5
  )


def test_only_what_the_features_read_is_asked_for():
  reads = lambda features: [n.key for n in lare(features=features).needs]
  assert reads("logp,position,repeat") == []
  assert len(reads("entropy,entropy_change")) == 1
  (key,) = reads("ref_gap")
  assert "|ref|" in key
  assert not any("ref" in need.key for need in lare().needs)


@pytest.mark.parametrize(
  "wrong",
  [
    dict(lam=1.5),
    dict(loss="rrd_unbiased", subset=1),
    dict(loss="rrd", variance_coef=0.1),
    dict(features="logp,logp"),
    dict(features="luck"),
    dict(step=""),
    dict(rate=0.0),
    dict(buffer=-1),
    dict(baseline="none"),
  ],
)
def test_wrong_arguments_are_named(wrong):
  with pytest.raises(ValueError, match=f"lare.{[*wrong][-1]} = "):
    lare(**wrong)
