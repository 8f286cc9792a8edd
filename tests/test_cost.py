"""The measured cost of a method's updates."""

import pytest

import runs
from rlvr_jax.training import cost

pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.fixture(scope="module")
def grpo(tmp_path_factory):
  folder = str(tmp_path_factory.getbasetemp() / "data")
  config = runs.config(chain=("grpo",), task__data_dir=folder)
  return config, cost.Bench(config)


@pytest.mark.long
def test_a_deeper_model_costs_more_and_nothing_beside(grpo):
  config, bench = grpo
  deep = config.copy_and_resolve_references()
  deep.model.layers = 12
  found = cost.measure(deep, bench, rounds=5)
  assert found.ratio > 1.2
  assert found.extra_passes == found.extra_rows == 0


def test_passes_and_rows_beside_grpo_are_declared(grpo):
  config, bench = grpo
  held = config.copy_and_resolve_references()
  held.chain = ("grpo", "kl_penalty", "aepo")
  held.aepo = dict(target_entropy=0.5, rows=8, per_prompt=4)
  found = cost.measure(held, bench, rounds=1)
  assert found.extra_passes == 1 and found.extra_rows == 8
