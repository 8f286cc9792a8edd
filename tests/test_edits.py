"""Each stage of a chain is the loss of the chain cut off there."""

import jax
import numpy as np
import pytest

import rlvr_jax
from rlvr_jax import testing
from rlvr_jax.analysis import edits
from rlvr_jax.types import LOGP_KEY, Clock

pytestmark = pytest.mark.usefixtures("quick_compile")

METHOD = rlvr_jax.chain(
  rlvr_jax.make("grpo"),
  rlvr_jax.make("ppo_clip", high=0.3),
  rlvr_jax.make("clip_cov", fraction=0.1, low=0.0),
  rlvr_jax.make("aer", shape="linear", coef_initial=0.1),
)
ENTROPY_KEY = "Entropy()|policy|update"


@pytest.fixture(scope="module")
def example():
  return testing.tiny(METHOD)


@pytest.fixture(scope="module")
def stages(example):
  stats = example.stats(METHOD.needs)
  state = METHOD.init(example.batch)
  clock = Clock(0, 0, jax.random.key(0))
  return edits.stages(METHOD, stats, example.batch, state, clock)


def test_there_is_a_stage_before_the_first_member_and_one_after_each(stages):
  names = ["", "grpo", "ppo_clip", "clip_cov", "aer"]
  assert [stage.name for stage in stages] == names


def test_the_last_stage_is_the_loss_of_the_chain(stages, example):
  outcome = testing.step(METHOD, example)
  np.testing.assert_allclose(stages[-1].loss, outcome.loss, rtol=1e-6)

  def scored(policy):
    params = example.params | {"policy": policy}
    return example._replace(params=params).stats(METHOD.needs)

  _, back = jax.vjp(scored, example.params["policy"])
  (pulled,) = back(stages[-1].push)
  np.testing.assert_allclose(-pulled, outcome.gradient, atol=1e-7)


def test_a_stage_differs_from_the_one_before_in_what_its_member_edits(stages):
  before, grpo, wider, clip_cov, aer = stages
  assert not before.record.advantages.any() and not before.push[LOGP_KEY].any()
  assert grpo.record.advantages.any() and grpo.push[LOGP_KEY].any()
  assert (wider.record.clip_high != grpo.record.clip_high).all()
  assert (wider.record.weights == 1).all()
  assert (clip_cov.record.weights == 0).any()
  np.testing.assert_array_equal(
    clip_cov.record.clip_high, wider.record.clip_high
  )
  # A bonus pulls at the entropy and leaves the log-probs alone.
  np.testing.assert_array_equal(aer.push[LOGP_KEY], clip_cov.push[LOGP_KEY])
  assert (aer.push[ENTROPY_KEY] >= 0).all() and aer.push[ENTROPY_KEY].any()
  assert not clip_cov.push[ENTROPY_KEY].any()


def test_a_token_without_weight_gets_no_push(stages, example):
  clip_cov = stages[3]
  dropped = (clip_cov.record.weights == 0) & example.batch.mask
  assert not clip_cov.push[LOGP_KEY][dropped].any()
