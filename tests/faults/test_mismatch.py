"""A sampler that does not say what the trainer finds is told, and why."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from absl import logging

import runs
from rlvr_jax.models.transformer import Transformer
from rlvr_jax.training import mismatch
from rlvr_jax.training.programs import Programs
from rlvr_jax.training.rollouts import SAMPLED
from rlvr_jax.types import Draw

pytestmark = pytest.mark.usefixtures("quick_compile")

# Everything that can be taken for something else: the sampling and scoring
# temperatures differ, and the distribution is truncated.
MAIN = Draw("main", 4, temperature=0.7, top_p=0.8, score_temperature=1.3)


class Shifted(Transformer):
  """Counts positions of responses from the padded width of the prompts."""

  def prefill(self, params, tokens, valid, block):
    read = super().prefill(params, tokens, valid, block)
    return read._replace(length=jnp.full_like(read.length, tokens.shape[1]))


@pytest.fixture(scope="module")
def programs():
  return runs.programs("grpo", main=MAIN, tx=optax.sgd(0.0), compare_every=50)


@pytest.fixture(scope="module")
def started(programs):
  """Weights that make the distributions wide apart."""
  state, ref = runs.start(programs)
  louder = jax.tree.map(lambda x: 2.0 * x, state.params)
  return state.replace(params=louder), ref


@pytest.fixture(scope="module")
def rollout(programs, started):
  return runs.sample(programs, *started)


def named(programs, started, batch):
  return mismatch.cause(programs, *started, batch)


def test_nothing_wrong_names_no_cause(programs, started, rollout):
  assert "None of the usual causes" in named(programs, started, rollout)
  logp = programs.rescored(*started, rollout)
  apart = jnp.where(rollout.mask, logp - rollout.old_logp, 0)
  assert jnp.abs(apart).max() < 1e-5


def test_noise_names_no_cause(programs, started, rollout):
  dice = np.random.default_rng(0)
  noise = dice.normal(size=rollout.mask.shape).astype(np.float32)
  noisy = rollout.replace(old_logp=rollout.old_logp + noise)
  assert "None of the usual causes" in named(programs, started, noisy)


@pytest.mark.parametrize(("by", "told"), [(-1, "too early"), (1, "too late")])
def test_log_probs_of_the_neighbouring_token_are_named(
  programs, started, rollout, by, told
):
  shifted = jnp.roll(rollout.old_logp, by, axis=1)
  said = named(programs, started, rollout.replace(old_logp=shifted))
  assert f"one token {told}" in said


@pytest.mark.parametrize(
  ("heat", "told"),
  [
    (1.0, "1 (no temperature)"),
    (0.7, "0.7 (that of sampling)"),
    (1.69, "1.69 (applied twice)"),
  ],
)
def test_a_temperature_on_one_side_is_named(
  programs, started, rollout, heat, told
):
  warm = jnp.full_like(rollout.score_temperature, heat)
  said = programs.rescored(*started, rollout.replace(score_temperature=warm))
  found = named(programs, started, rollout.replace(old_logp=said))
  assert f"at temperature {told}, the trainer's at 1.3" in found


def test_log_probs_of_the_truncated_distribution_are_named(
  programs, started, rollout
):
  taken = rollout.replace(old_logp=rollout.sample_logp)
  found = named(programs, started, taken)
  assert "truncated distribution (top_k 0, top_p 0.8, min_p 0.0)" in found


def test_an_end_that_does_not_count_is_named(programs, started, rollout):
  length = rollout.mask.sum(axis=1, keepdims=True)
  last = jnp.arange(rollout.mask.shape[1]) == length - 1
  cut = rollout.replace(old_logp=jnp.where(last, 0, rollout.old_logp))
  assert "whether the end of a response counts" in named(programs, started, cut)


def test_padding_that_is_read_as_text_is_named(programs, started):
  tokens, valid = runs.prompts(programs)
  given = tokens, np.ones_like(valid)
  read = programs.sample(*started, *given, text=None)
  masks = np.repeat(valid, 4, axis=0)
  masks = jax.device_put(masks, read.prompt_mask.sharding)
  found = named(programs, started, read.replace(prompt_mask=masks))
  assert "its prompt mask" in found


def test_positions_that_count_the_padding_are_named(programs, started):
  model = Shifted(programs.model.config, programs.model.layout)
  p = Programs(
    model, programs.method, programs.tx, programs.settings, programs.mesh
  )
  batch = runs.sample(p, *started)
  assert "positions of the responses" in named(programs, started, batch)


def compared(programs, started, batch, step, first=0, dtype="float32"):
  """As the loop does it in a step of a run that began or went on at `first`."""
  config = runs.config(model__dtype=dtype)
  run = types.SimpleNamespace(config=config, programs=programs)
  state, ref = started
  state = state.replace(step=state.step + step)
  mismatch.Comparison(run, first)(state, ref, batch)


@pytest.fixture(scope="module")
def wrong(rollout):
  return rollout.replace(old_logp=jnp.roll(rollout.old_logp, 1, axis=1) - 2.0)


@pytest.mark.parametrize("first", [0, 7])
def test_the_first_step_also_of_a_resumed_run_stops_it_before_it_learns(
  programs, started, wrong, first
):
  with pytest.raises(RuntimeError, match="sampler and trainer disagree"):
    compared(programs, started, wrong, first, first)


@pytest.mark.parametrize("step", [0, 49, 50, 51])
def test_every_fiftieth_step_is_looked_at_and_warns(
  programs, started, wrong, step, monkeypatch
):
  told = []
  monkeypatch.setattr(logging, "warning", told.append)
  dtype = "float32" if step else "bfloat16"  # which may be far off by rounding
  compared(programs, started, wrong, step, dtype=dtype)
  assert len(told) == (step in (0, 50))


def test_a_sampler_that_agrees_is_not_told_of(
  programs, started, rollout, monkeypatch
):
  monkeypatch.setattr(logging, "warning", pytest.fail)
  compared(programs, started, rollout, 0)


def test_what_the_sampler_said_is_kept_where_the_trainer_scores_again():
  p = runs.programs("grpo", rescore=True)
  batch = jax.eval_shape(p.sample, *_abstract(p), *p.prompts())
  assert SAMPLED in batch.stats
  found = mismatch.sampled(batch)
  assert found is batch.stats[SAMPLED]


def _abstract(p):
  state = jax.eval_shape(p.init_state, jax.random.key(0), None)
  return state, None


def test_at_learning_rate_0_nothing_drifts(programs, started):
  state, ref = jax.tree.map(jnp.copy, started)  # the update consumes it
  before, gaps = jax.device_get(state.params), []
  for _ in range(5):
    state, (_, *lines) = runs.step(programs, state, ref)
    gaps += [line["mismatch/max"] for line in lines]
  after = jax.device_get(state.params)
  jax.tree.map(np.testing.assert_array_equal, before, after)
  assert max(gaps) < 1e-5
