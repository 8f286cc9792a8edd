"""Penalties for responses without an end and for repetition."""

import jax
import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax.methods.malformed_penalty import malformed_penalty

pytestmark = pytest.mark.usefixtures("quick_compile")

LENGTH = 12
TOKENS = np.array(
  [
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 0],  # well formed
    [1, 2, 3, 1, 2, 3, 1, 2, 3, 0, 0, 0],  # the run 1 2 3 three times
    [1, 2, 3, 1, 2, 3, 4, 0, 0, 0, 0, 0],  # twice
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],  # no end
    [1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3],  # both
  ]
)
MASK = np.arange(LENGTH) < np.array([9, 9, 7, 12, 12])[:, None]
HOW = dict(ngram=3, most=2)


def punished(reward, **parameters):
  batch = common.batch(0 * MASK, None, MASK, reward=reward)
  prompt = np.zeros((len(TOKENS), 1), np.int32)
  batch = batch.replace(tokens=np.hstack([prompt, TOKENS]))
  method = malformed_penalty(**HOW | parameters)
  return jax.jit(lambda b: common.prepared(method, b))(batch)


def test_each_fault_costs_and_none_of_them_earns():
  found = punished(np.ones(5), cut=0.5, repeated=0.25)
  np.testing.assert_allclose(found.reward, [1, -0.25, 1, -0.5, -0.75])
  metrics = found.metrics
  np.testing.assert_allclose(metrics["malformed_penalty/cut_fraction"], 2 / 5)
  name = "malformed_penalty/repeated_fraction"
  np.testing.assert_allclose(metrics[name], 2 / 5)
  np.testing.assert_allclose(metrics["malformed_penalty/lost"], 4.5 / 5)


def test_being_malformed_does_not_soften_a_negative_reward():
  found = punished(-np.ones(5), cut=0.5, repeated=0.25)
  np.testing.assert_allclose(found.reward, [-1, -1.25, -1, -1.5, -1.75])


def test_what_costs_nothing_is_not_looked_for():
  cut = punished(np.ones(5), repeated=0.0)
  np.testing.assert_allclose(cut.reward, [1, 1, 1, -1, -1])
  assert "malformed_penalty/repeated_fraction" not in cut.metrics
  repeated = punished(np.ones(5), cut=0.0)
  np.testing.assert_allclose(repeated.reward, [1, -1, 1, 1, -1])
  assert "malformed_penalty/cut_fraction" not in repeated.metrics


def test_only_responses_of_groups_are_judged():
  batch = common.batch(0 * MASK, None, MASK, reward=np.ones(5))
  batch = batch.replace(group=batch.group.at[3:].set(-1))
  found = common.prepared(malformed_penalty(repeated=0.0), batch)
  np.testing.assert_array_equal(found.reward, np.ones(5))


@pytest.mark.parametrize(
  "wrong", [{"cut": -1.0}, {"repeated": -1.0}, {"ngram": 0}, {"most": 0}]
)
def test_a_parameter_out_of_range_is_named(wrong):
  (name,) = wrong
  with pytest.raises(ValueError, match=rf"malformed_penalty\.{name} = "):
    malformed_penalty(**wrong)
