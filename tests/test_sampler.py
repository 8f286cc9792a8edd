import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlvr_jax import stats
from rlvr_jax.models import DecoderConfig, Transformer
from rlvr_jax.sampling import distribution, sampler
from rlvr_jax.types import Draw, Need

pytestmark = pytest.mark.usefixtures("quick_compile")

MODEL = Transformer(
  DecoderConfig(
    vocabulary=12, width=16, layers=2, heads=2, kv_heads=1, head_dim=8,
    hidden=24,
  )
)  # fmt: skip
ENDS = sampler.Ends(eos=1, pad=0)
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
      window=window,
    )
  )


MAIN = (Draw("main", 6),)


def sample(draws=MAIN, prompts=PROMPTS, valid=VALID, seed=0, window=128):
  run = compiled(draws, LENGTH, window)
  return run(params(), prompts, valid, key=jax.random.key(seed))


def rescored(batch):
  needs = (stats.LOGP, Need(stats.Entropy()))
  return stats.score(needs, {"policy": params()}, batch, model=MODEL)


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
  batch = sample((Draw("main", 6, top_k=2),))
  # Two tokens are left and their probabilities sum to one, so the sampled one
  # is at least as likely as under the full distribution.
  gain = jnp.where(batch.mask, batch.sample_logp - batch.old_logp, 0)
  assert gain.min() >= -1e-6
  assert gain.max() > 0.05


def test_a_response_ends_with_its_end_and_the_end_counts():
  batch = sample((Draw("main", 32),))
  ended = np.asarray((batch.response == ENDS.eos) & batch.mask)
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
  fewer_prompts = sample(prompts=PROMPTS[:2], valid=VALID[:2])
  np.testing.assert_array_equal(whole.tokens[:12], fewer_prompts.tokens)
  fewer_samples = sample((Draw("main", 2),))
  rows = np.arange(24).reshape(4, 6)[:, :2].reshape(-1)
  np.testing.assert_array_equal(whole.tokens[rows], fewer_samples.tokens)


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


def test_draws_follow_the_distribution():
  logits = jnp.log(jnp.array([0.5, 0.0, 0.2, 0.3]))
  count = 40_000
  uniforms = jax.random.uniform(jax.random.key(0), (count, 2))
  rows = jnp.broadcast_to(logits, (count, 4))
  tokens = distribution.draw(rows, uniforms, block=3)
  found = np.bincount(np.asarray(tokens), minlength=4) / count
  # Five standard deviations of a share near one half.
  np.testing.assert_allclose(found, jnp.exp(logits), atol=5 * 0.5 / 200)
  assert found[1] == 0


def test_draw_never_leaves_the_support_at_the_ends_of_the_unit_interval():
  logits = jnp.array([[-jnp.inf, 0.0, 1.0, -jnp.inf, -jnp.inf]])
  for u in (0.0, 0.5, 1 - 2**-24):
    uniforms = jnp.full((1, 2), u, jnp.float32)
    for block in (2, 3, 512):
      token = int(distribution.draw(logits, uniforms, block=block)[0])
      assert token in (1, 2)


def test_truncations_keep_what_their_definitions_say():
  logits = jnp.log(jnp.array([[0.4, 0.3, 0.2, 0.1]]))
  kept = lambda **cut: np.isfinite(
    distribution.truncate(
      logits, **({"top_k": 0, "top_p": 1.0, "min_p": 0.0} | cut)
    )[0]
  ).tolist()
  assert kept() == [True] * 4
  assert kept(top_k=2) == [True, True, False, False]
  # 0.4 + 0.3 first reaches 0.6, so the token that crosses it stays.
  assert kept(top_p=0.6) == [True, True, False, False]
  assert kept(top_p=1e-6) == [True, False, False, False]
  # 0.5 of the likeliest token's 0.4.
  assert kept(min_p=0.45) == [True, True, True, False]
  assert kept(min_p=0.6, top_k=3) == [True, True, False, False]
