"""A prompt that is read once for its rows gives what one for each gives."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import runs
from rlvr_jax.models import Lora, siblings
from rlvr_jax.training import pieces as pieces_lib
from rlvr_jax.training.pieces import Pieces

pytestmark = pytest.mark.usefixtures("quick_compile")

SGD = optax.sgd(0.1)
ADAPTERS = Lora(rank=2, alpha=4.0, targets=("query", "output", "up"))


def filled(p):
  """A rollout with rewards, and the state and reference it is from."""
  state, ref = runs.start(p)
  return state, ref, runs.sample(p, state, ref)


@pytest.mark.parametrize("prompt, count", [(1, 2), (3, 4), (9, 2)])
def test_hidden_states_are_those_of_rows_that_read_their_own(prompt, count):
  p = runs.programs("grpo", prompt_width=prompt)
  state, _, batch = filled(p)
  found = [p.model.hidden(state.params, batch, n) for n in (1, count)]
  assert found[0].shape == (*batch.mask.shape, p.model.config.width)
  np.testing.assert_allclose(found[1], found[0], rtol=0, atol=2e-6)


@pytest.mark.parametrize(
  "model",
  [
    dict(windowed=(True, False), window=4),
    dict(attention_soft_cap=3.0, qk_norm=True),
  ],
  ids=["windows", "cap"],
)
def test_so_they_are_with_windows_and_caps(model):
  p = runs.programs("grpo", prompt_width=6, model=model)
  state, _, batch = filled(p)
  found = [p.model.hidden(state.params, batch, n) for n in (1, 4)]
  np.testing.assert_allclose(found[1], found[0], rtol=0, atol=2e-6)


def stepped(share, chain=("grpo", "kl_penalty", "siren"), **changes):
  p = runs.programs(*chain, tx=SGD, share_prompts=share, **changes)
  state, ref = runs.start(p)
  state, lines = runs.step(p, state, ref)
  return lines, jax.device_get(state.params)


@pytest.mark.parametrize(
  "changes",
  [
    dict(slices=2, widths=2, length=12, vocabulary=5),
    pytest.param(dict(), marks=pytest.mark.long),
    pytest.param(dict(slices=2, rescore=True), marks=pytest.mark.long),
    pytest.param(
      dict(slices=2, devices=2, shape=dict(data=2)), marks=pytest.mark.long
    ),
    pytest.param(dict(slices=8, rescore=True), marks=pytest.mark.long),
    pytest.param(
      dict(model=dict(lora=ADAPTERS), rescore=True), marks=pytest.mark.long
    ),
  ],
  ids=["widths", "whole", "slices", "devices", "half a group", "adapters"],
)
def test_no_metric_and_no_weight_depends_on_it(changes):
  want, weights = stepped(False, **changes | dict(widths=1))
  got, changed = stepped(True, **changes)
  for a, b in zip(want, got):
    assert a.keys() == b.keys()
    for name in a:
      np.testing.assert_allclose(
        b[name], a[name], rtol=1e-4, atol=1e-5, err_msg=name
      )
  for a, b in zip(jax.tree.leaves(weights), jax.tree.leaves(changed)):
    np.testing.assert_allclose(b, a, rtol=0, atol=1e-5)


def test_rows_of_unlike_prompts_read_their_own():
  """Whatever a method puts side by side: the runs are looked at."""
  p = runs.programs("grpo")
  state, _, batch = filled(p)
  mixed = batch.take(jnp.arange(len(batch.mask)).reshape(-1, 8).T.reshape(-1))
  seen = lambda rows: siblings.read_once(
    lambda model: model.hidden(state.params, rows), p.model, rows, 4
  )
  want = p.model.hidden(state.params, mixed)
  np.testing.assert_allclose(seen(mixed), want, rtol=0, atol=2e-6)
  assert not siblings._is_alike(mixed, 4) and siblings._is_alike(batch, 4)


class Counting:
  """Tells how many rows it reads a prompt for."""

  def hidden(self, params, batch, siblings=1):
    return jnp.int32(siblings)


def test_a_prompt_is_read_once_where_rows_share_it():
  p = runs.programs("grpo", share_prompts=True, slices=2)
  _, _, batch = filled(p)
  dealt = pieces_lib.of(p.settings, slices=2, rows=16)
  assert dealt.siblings == 4
  mixed = batch.take(jnp.arange(len(batch.mask)).reshape(-1, 8).T.reshape(-1))
  read = lambda rows: siblings.read_once(
    lambda model: model.hidden(None, rows), Counting(), rows, dealt.siblings
  )
  assert (read(batch), read(mixed)) == (4, 1)


@pytest.mark.parametrize(
  "chain, rows, shared", [("remax", 40, 1), ("grpo", 32, 4)]
)
def test_a_rollout_shares_what_divides_the_groups_of_all_its_draws(
  chain, rows, shared
):
  """remax draws one greedy response for each group of four."""
  p = runs.programs(chain, share_prompts=True)
  state = jax.eval_shape(p.init_state, jax.random.key(0), None)
  assert sum(count for _, count in p.plan.draws) == rows
  assert p._rollouts._pieces(state, rows).siblings == shared


def test_sharing_where_nothing_is_shared_is_refused():
  told = runs.message(
    runs.config(train__share_prompts=True, rollout__per_prompt=1)
  )
  assert "no two responses share a prompt" in told


def test_sharing_prompts_whose_positions_lie_on_many_devices_is_refused():
  c = runs.config(train__share_prompts=True, mesh__data=1, mesh__sequence=8)
  assert "config.mesh.sequence = 8 splits the positions" in runs.message(c)


def test_packs_stay_together_and_come_back():
  rows = jnp.arange(24)
  pieces = Pieces(slices=3, siblings=4)
  dealt = pieces.cut(rows)
  assert dealt.tolist() == [
    [*range(4), *range(12, 16)],
    [*range(4, 8), *range(16, 20)],
    [*range(8, 12), *range(20, 24)],
  ]
  np.testing.assert_array_equal(pieces.join(dealt), rows)
