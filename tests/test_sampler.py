import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax import objective, stats, transform
from rlvr_jax.methods.hapo import hapo
from rlvr_jax.methods.rollout_correction import rollout_correction
from rlvr_jax.models import DecoderConfig, Transformer
from rlvr_jax.sampling import parts, sampler
from rlvr_jax.types import Clock, Draw, Need, View

pytestmark = pytest.mark.usefixtures("quick_compile")

MODEL = Transformer(
  DecoderConfig(
    vocabulary=12, width=16, layers=2, heads=2, kv_heads=1, head_dim=8,
    hidden=24,
  )
)  # fmt: skip
ENDS = sampler.Ends(stops=(1,), pad=0)
PROMPTS = jax.random.randint(jax.random.key(2), (4, 3), 2, 12)
VALID = jnp.arange(3) >= jnp.array([0, 1, 2, 0])[:, None]
LENGTH = 10


@functools.cache
def params():
  # Wide logits, so that samples differ from prompt to prompt.
  made = MODEL.init(jax.random.key(0))
  return made | {"embedding": 2.0 * made["embedding"]}


@functools.cache
def compiled(draws, length, window):
  return jax.jit(
    functools.partial(
      sampler.rollout,
      draws=draws,
      model=MODEL,
      length=length,
      ends=ENDS,
      block=window,
    )
  )


MAIN = (Draw("main", 6),)


def sample(draws=MAIN, rows=slice(None), seed=0, window=128, **more):
  run = compiled(draws, LENGTH, window)
  arrays = {"prompts": PROMPTS[rows], "prompt_mask": VALID[rows]} | more
  return run(params(), **arrays, key=jax.random.key(seed))


def rescored(batch):
  needs = (stats.LOGP, Need(stats.Entropy()))
  return stats.score(needs, {"policy": params()}, batch, model=MODEL)


def log_probs(batch, temperature=1.0, top_k=12):
  """f64[B, T, V] nats of the `top_k` likeliest tokens, by the full pass."""
  logits = MODEL.logits(params(), MODEL.hidden(params(), batch))
  logits = np.asarray(logits, np.float64) / temperature
  lowest = np.sort(logits)[..., -top_k, None]
  logits = np.where(logits < lowest, -np.inf, logits)
  logits -= logits.max(axis=-1, keepdims=True)
  return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def of_response(values, batch):
  """[B, T] of [B, T, V]: the entry of each response token."""
  index = np.asarray(batch.response)[..., None]
  return np.take_along_axis(values, index, axis=-1)[..., 0]


# A temperature for every row; of each prompt one row is greedy and one nearly.
TEMPERATURES = np.linspace(2.0, 5.0, 24, dtype=np.float32).reshape(4, 6)
TEMPERATURES[:, 0], TEMPERATURES[:, 1] = 0.0, 1e-3


@functools.cache
def heated(changed=()):
  """Rows at TEMPERATURES; `changed` are (prompt, sample, temperature)."""
  temperature = TEMPERATURES.copy()
  for prompt, sample_number, value in changed:
    temperature[prompt, sample_number] = value
  return compiled_heat()(temperature)


@functools.cache
def compiled_heat():
  return jax.jit(
    lambda t: sampler.rollout(
      params(), PROMPTS, VALID, (Draw("main", 6, temperature=t),),
      jax.random.key(0), model=MODEL, length=LENGTH, ends=ENDS,
    )
  )  # fmt: skip


def test_recorded_statistics_are_those_of_the_full_pass():
  batch = sample((Draw("main", 6, temperature=1.3, score_temperature=0.8),))
  found = rescored(batch)
  got = batch.old_logp, batch.stats[sampler.ENTROPY.key]
  want = found[stats.LOGP.key], found[Need(stats.Entropy()).key]
  for g, w in zip(got, want):
    gap = jnp.abs(jnp.where(batch.mask, g - w, 0)).max()
    assert gap < 1e-5


def test_at_scoring_temperature_without_cuts_both_log_probs_agree():
  batch = sample()
  np.testing.assert_allclose(batch.sample_logp, batch.old_logp, atol=1e-6)


def test_sample_logp_is_of_the_truncated_renormalised_distribution():
  batch = sample((Draw("main", 6, temperature=1.5, top_k=3),))
  want = of_response(log_probs(batch, 1.5, top_k=3), batch)
  mask = np.asarray(batch.mask)
  np.testing.assert_allclose(batch.sample_logp[mask], want[mask], atol=1e-5)


def test_sample_logp_of_each_row_is_of_its_own_temperature():
  batch = heated()
  hot = TEMPERATURES.reshape(-1) >= 2.0
  temperature = np.where(hot, TEMPERATURES.reshape(-1), 1.0)[:, None, None]
  want = of_response(log_probs(batch, temperature), batch)
  mask = np.asarray(batch.mask) & hot[:, None]
  np.testing.assert_allclose(batch.sample_logp[mask], want[mask], atol=1e-5)


def test_cold_rows_pick_the_likeliest_token_while_hot_ones_vary():
  batch = heated()
  greedy = log_probs(batch).argmax(-1) == np.asarray(batch.response)
  greedy = (greedy | ~np.asarray(batch.mask)).reshape(4, 6, LENGTH)
  assert greedy[:, :2].all() and not greedy[:, 2:].all()
  rows = np.asarray(batch.response).reshape(4, 6, LENGTH)
  for group in rows[:, 2:]:
    assert len({tuple(row) for row in group}) == 4


def test_the_temperature_of_a_row_changes_no_other_row():
  before, after = heated(), heated(((1, 4, 0.0), (3, 0, 5.0)))
  other = ~np.isin(np.arange(24), [6 * 1 + 4, 6 * 3 + 0])
  for name in ("tokens", "sample_logp", "old_logp"):
    x, y = (np.asarray(getattr(batch, name)) for batch in (before, after))
    np.testing.assert_array_equal(x[other], y[other])
    assert (x[~other] != y[~other]).any(axis=-1).all()


def test_a_response_ends_with_its_end_and_the_end_counts():
  batch = sample((Draw("main", 32),))
  ended = np.asarray((batch.response == ENDS.stops[0]) & batch.mask)
  assert ended.any()
  for row, mask, end in zip(batch.response, batch.mask, ended):
    length = int(mask.sum())
    assert mask[:length].all() and end[: length - 1].sum() == 0
    assert end[length - 1] or length == LENGTH
    assert (row[length:] == ENDS.pad).all()


@pytest.mark.parametrize("kept", [[0], [2], [3, 1]])
def test_a_row_does_not_depend_on_the_other_prompts(kept):
  whole = sample()
  others = jnp.where(
    jnp.isin(jnp.arange(4), jnp.array(kept))[:, None], PROMPTS, 5
  )
  changed = sample(prompts=others)
  for prompt in kept:
    rows = slice(6 * prompt, 6 * prompt + 6)
    np.testing.assert_array_equal(whole.tokens[rows], changed.tokens[rows])
    np.testing.assert_array_equal(whole.old_logp[rows], changed.old_logp[rows])


def test_a_row_does_not_depend_on_how_many_rows_there_are():
  whole = sample()
  fewer_prompts = sample(rows=slice(2))
  np.testing.assert_array_equal(whole.tokens[:12], fewer_prompts.tokens)
  fewer_samples = sample((Draw("main", 2),))
  rows = np.arange(24).reshape(4, 6)[:, :2].reshape(-1)
  np.testing.assert_array_equal(whole.tokens[rows], fewer_samples.tokens)


def test_a_numbered_row_is_that_of_the_batch_with_all_rows():
  whole = np.asarray(sample().tokens).reshape(4, 6, -1)
  counted = sampler.Numbers(jnp.arange(4), jnp.zeros(4, jnp.int32))
  np.testing.assert_array_equal(
    whole.reshape(24, -1), sample(numbers=counted).tokens
  )
  # Prompts 3, 1 and 3 again: samples 4 and 5, 0 and 1, 2 and 3 of them.
  prompts, first = np.array([3, 1, 3]), np.array([4, 0, 2])
  numbers = sampler.Numbers(jnp.asarray(prompts), jnp.asarray(first))
  part = sample((Draw("main", 2),), rows=prompts, numbers=numbers)
  want = whole[prompts[:, None], first[:, None] + np.arange(2)]
  np.testing.assert_array_equal(want.reshape(6, -1), part.tokens)


def test_a_further_draw_changes_no_row_of_the_main_draw():
  extra = Draw("extra", 3, prompt_fraction=0.5, temperature=2.0)
  both = sample((Draw("main", 6), extra))
  alone = sample()
  np.testing.assert_array_equal(both.tokens[:24], alone.tokens)
  assert both.tokens.shape[0] == 24 + 2 * 3
  np.testing.assert_array_equal(both.source[24:], 1)
  assert set(np.asarray(both.group[24:])).isdisjoint(
    np.asarray(both.group[:24])
  )


def test_stages_of_attention_change_no_token():
  np.testing.assert_array_equal(sample().tokens, sample(window=4).tokens)


def test_other_seeds_give_other_samples_and_rows_differ():
  first, second = sample(), sample(seed=1)
  assert (first.tokens != second.tokens).any()
  assert len({tuple(np.asarray(r)) for r in first.response[:6]}) > 1


def test_temperature_zero_is_greedy():
  batch = sample((Draw("main", 6, temperature=0.0),))
  for group in np.asarray(batch.response).reshape(4, 6, LENGTH):
    assert (group == group[0]).all()
  np.testing.assert_array_equal(batch.sample_logp, 0.0)


def test_one_trace_serves_changing_temperatures_and_prompts():
  run = jax.jit(
    lambda t, prompts: sampler.rollout(
      params(), prompts, VALID, (Draw("main", 2, temperature=t),),
      jax.random.key(0), model=MODEL, length=4, ends=ENDS,
    )
  )  # fmt: skip
  for t in (0.7, 1.0, 1.6):
    run(jnp.float32(t), PROMPTS + int(t))
  assert run._cache_size() == 1


def test_any_statistic_of_the_policy_is_recorded_as_the_full_pass_has_it():
  needs = (
    Need(stats.CovProbLogp(), when="rollout"),
    Need(stats.Logp(), when="rollout", view=View(temperature=1.7)),
    Need(stats.Features(size=5), when="rollout"),
    Need(stats.Logp(), params=("ref",), when="rollout"),
  )
  draws = (Draw("main", 6, score_temperature=0.8),)
  run = jax.jit(
    lambda key: sampler.rollout(
      params(), PROMPTS, VALID, draws, key, model=MODEL, length=LENGTH,
      ends=ENDS, needs=needs,
    )
  )  # fmt: skip
  batch = run(jax.random.key(0))
  own = needs[:3]
  assert {n.key for n in own} | {sampler.ENTROPY.key} == set(batch.stats)
  bare = batch.replace(stats={})
  found = stats.score(own, {"policy": params()}, bare, model=MODEL)
  for need in own:
    got, want = batch.stats[need.key], found[need.key]
    assert got.shape == want.shape
    mask = batch.mask if got.ndim == 2 else batch.mask[..., None]
    assert jnp.abs(jnp.where(mask, got - want, 0)).max() < 1e-5


def test_a_temperature_may_depend_on_the_entropy_of_the_token():
  # Uncertain tokens are drawn greedily, certain ones at temperature 3.
  plain = sample()
  cut = float(jnp.median(plain.stats[sampler.ENTROPY.key][plain.mask]))

  def temperature(entropy):
    return jnp.where(entropy > cut, 0.0, 3.0)

  batch = sample((Draw("main", 6, temperature=temperature),))
  logp = log_probs(batch)
  hot = log_probs(batch, temperature=3.0)
  entropy = -(np.exp(logp) * logp).sum(-1)
  unsure = (entropy > cut) & np.asarray(batch.mask)
  sure = (entropy <= cut) & np.asarray(batch.mask)
  assert unsure.sum() > 10 and sure.sum() > 10
  likeliest = logp.argmax(-1) == np.asarray(batch.response)
  assert likeliest[unsure].all() and not likeliest[sure].all()
  want = of_response(hot, batch)
  np.testing.assert_allclose(batch.sample_logp[sure], want[sure], atol=1e-4)
  np.testing.assert_array_equal(batch.sample_logp[unsure], 0.0)


def test_what_hapo_samples_at_its_own_temperatures_can_be_corrected():
  parts = hapo(tau=0.5), rollout_correction(high=100.0)
  both, first = transform.chain(*parts), sample()
  clock = Clock(0, 0, jax.random.key(0))
  start = both.init(first)
  state = jax.jit(objective.prepare(both))(first, start, clock)[1]
  draws = both.plan(MAIN, state)
  batch = sample(draws)
  nats, mask = batch.stats[sampler.ENTROPY.key], np.asarray(batch.mask)
  t = np.asarray(draws[0].temperature_at(nats))
  assert t[mask].min() < 0.9 and t[mask].max() > 1.1
  # Both log-probs are recorded, under what was sampled and under the policy.
  got = batch.sample_logp, batch.old_logp
  want = [of_response(log_probs(batch, x), batch) for x in (t[..., None], 1.0)]
  for g, w in zip(got, want):
    np.testing.assert_allclose(g[mask], w[mask], atol=1e-5)
  # The correction weighs what HAPO does by the ratio of the two.
  reward = jnp.arange(len(mask)) % 3.0
  prepare = jax.jit(lambda b: objective.prepare(both)(b, state, clock)[0])
  ready = prepare(batch.replace(reward=reward))
  logp = batch.old_logp + 0.3 * jnp.sin(jnp.arange(mask.size)).reshape(t.shape)
  given = dict(stats={Need(stats.Entropy()).key: nats})
  grads = [
    np.asarray(common.loss_and_grad(method, ready, logp, **given)[1])
    for method in (both, parts[0])
  ]
  weight = np.where(mask, np.exp(want[1] - want[0]), 0)
  assert np.ptp(weight[mask]) > 0.1 and np.abs(grads[1]).max() > 0
  np.testing.assert_allclose(grads[0], grads[1] * weight, rtol=1e-4)


@pytest.mark.parametrize(("rows", "devices"), [(6, 1), (12, 1), (13, 2)])
def test_sampling_in_parts_changes_no_token(rows, devices):
  made = params()
  draws = (Draw("main", 6), Draw("extra", 3, prompt_fraction=0.5))
  run = lambda **how: jax.jit(
    lambda key: sampler.rollout(
      made, PROMPTS, VALID, draws, key, model=MODEL, length=LENGTH,
      ends=ENDS, **how,
    )
  )(jax.random.key(0))  # fmt: skip
  whole, cut = run(), run(rows=rows)
  for name in ("tokens", "mask", "group", "source", "prompt"):
    np.testing.assert_array_equal(getattr(whole, name), getattr(cut, name))
  for name in ("sample_logp", "old_logp"):
    x, y = getattr(whole, name), getattr(cut, name)
    np.testing.assert_allclose(x, y, rtol=0, atol=1e-5)


def test_parts_hold_no_more_rows_than_allowed_and_fall_on_devices_evenly():
  assert parts.count(12, 4, 0, 1) == 1
  assert parts.count(12, 4, 16, 1) == 3
  assert parts.count(12, 4, 17, 2) == 3  # of 4 prompts, 2 on a device
  assert parts.count(12, 4, 8, 4) == 3  # not 6: 2 prompts on 4 devices
  assert parts.count(7, 4, 8, 1) == 7


def test_a_temperature_of_each_row_is_dealt_with_its_prompt():
  made, heat = params(), jnp.asarray(TEMPERATURES)
  run = lambda rows: jax.jit(
    lambda t: sampler.rollout(
      made, PROMPTS, VALID, (Draw("main", 6, temperature=t),),
      jax.random.key(0), model=MODEL, length=LENGTH, ends=ENDS, rows=rows,
    )
  )(heat)  # fmt: skip
  np.testing.assert_array_equal(run(0).tokens, run(12).tokens)


def test_a_loop_for_the_last_rows_changes_no_token():
  # Long enough, and of enough rows, that the last ones get a loop of their own.
  made, draws, length = params(), (Draw("main", 16),), 128
  limits = np.full((4, 16), 3)
  limits[:, 0] = 40
  run = lambda rows: jax.jit(
    lambda key: sampler.rollout(
      made, PROMPTS, VALID, draws, key, model=MODEL, length=length,
      ends=sampler.Ends((), 0), limits=limits, rows=rows,
    )
  )(jax.random.key(0))  # fmt: skip
  many, few = run(64), run(16)
  np.testing.assert_array_equal(many.mask.sum(axis=1), limits.reshape(-1))
  for name in ("tokens", "mask"):
    np.testing.assert_array_equal(getattr(many, name), getattr(few, name))
  # Sums over the vocabulary may be added up in another order.
  for name in ("sample_logp", "old_logp"):
    x, y = getattr(many, name), getattr(few, name)
    np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-6)
