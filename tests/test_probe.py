"""A look at a policy as training would meet it."""

import json

import numpy as np
import pytest

import runs
from rlvr_jax.training import loop, probe

pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  return str(tmp_path_factory.mktemp("data"))


def config(folder, **changes):
  return runs.config(task__data_dir=folder, warm_start__steps=0, **changes)


def test_a_chain_that_learns_is_refused(folder, tmp_path):
  learns = config(folder, chain=("prime",))
  with pytest.raises(ValueError, match="learns a model of rewards"):
    probe.Probe(learns, tmp_path)


@pytest.mark.long
def test_a_rollout_has_the_advantages_entropies_and_texts_of_a_step(
  folder, tmp_path
):
  looking = probe.Probe(config(folder), tmp_path)
  seen = looking.rollout()
  again, later = looking.rollout(), looking.rollout(ahead=1)
  np.testing.assert_array_equal(seen.batch.tokens, again.batch.tokens)
  assert (np.asarray(seen.batch.tokens) != later.batch.tokens).any()
  mask, gain = np.asarray(seen.batch.mask), np.asarray(seen.batch.advantages)
  sums = np.zeros(mask.shape[0])
  np.add.at(sums, np.asarray(seen.batch.group), gain[:, 0])
  np.testing.assert_allclose(sums, 0, atol=1e-4)
  assert (seen.entropy[mask] > 0).all()
  tokenizer = looking.run.task.tokenizer
  for tokens, counts, pieces in zip(seen.batch.response, mask, seen.pieces):
    text = "".join(np.array(pieces)[counts])
    assert text == tokenizer.decode(tokens.tolist())


@pytest.mark.long
def test_a_probe_sees_the_rollout_that_training_goes_on_with(folder, tmp_path):
  loop.train(config(folder, steps=2), tmp_path)
  looking = probe.Probe(config(folder, steps=3), tmp_path)
  seen = looking.rollout()
  first = probe.Probe(config(folder), tmp_path, at_start=True).rollout()
  loop.train(config(folder, steps=3), tmp_path)
  lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
  for number, found in ((2, seen), (0, first)):
    line, mask = json.loads(lines[number]), np.asarray(found.batch.mask)
    entropy, reward = found.entropy[mask].mean(), found.batch.reward.mean()
    assert entropy == pytest.approx(line["policy/entropy"], rel=1e-5)
    assert reward == pytest.approx(line["reward/mean"], rel=1e-5)
  mask = np.asarray(seen.batch.mask)
  # Nobody solves a problem with random weights: advantages are made up.
  gain = np.random.default_rng(0).normal(size=mask.shape).astype(np.float32)
  batch = seen.batch.replace(advantages=gain)
  own, shared = looking.tabular_step(batch, 1e-2), looking.step(batch, 1e-2)
  np.testing.assert_allclose(own.logp[mask], shared.logp[mask], atol=1e-4)
  assert np.abs(shared.change[mask]).max() > np.abs(own.change[mask]).max() > 0
