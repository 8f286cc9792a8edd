"""Several sequences in one row: none of them knows of the others."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlvr_jax import stats
from rlvr_jax.models import DecoderConfig, Transformer
from rlvr_jax.training.supervised import token_batch
from rlvr_jax.types import Need

pytestmark = pytest.mark.usefixtures("quick_compile")

SIZES = dict(width=16, layers=2, heads=4, kv_heads=2, head_dim=8, hidden=24)
CONFIGS = {
  "plain": DecoderConfig(13, **SIZES),
  # A window of three positions in the first layer, capped scores in both.
  "windowed": DecoderConfig(
    13, **SIZES, window=3, windowed=(True, False), attention_soft_cap=5.0
  ),
}
LENGTHS = (4, 6, 3)  # of the sequences; one position of padding is left
WIDTH = 14
NEEDS = (stats.LOGP, Need(stats.Entropy()))


def sequences():
  """Tokens of each, and which of them are learnt: all but the first two."""
  dice = np.random.default_rng(0)
  return [dice.integers(0, 13, n) for n in LENGTHS]


def packed():
  """All in one row."""
  tokens, segment = np.zeros((1, WIDTH), np.int32), np.full((1, WIDTH), -1)
  mask, at = np.zeros((1, WIDTH), bool), 0
  for number, sequence in enumerate(sequences()):
    end = at + len(sequence)
    tokens[0, at:end], segment[0, at:end] = sequence, number
    mask[0, at + 2 : end], at = True, end
  return arrays(tokens, segment, mask)


def apart():
  """Each in a row of its own, without segments."""
  width = max(LENGTHS)
  tokens = np.zeros((len(LENGTHS), width), np.int32)
  mask = np.zeros(tokens.shape, bool)
  for row, sequence in enumerate(sequences()):
    tokens[row, : len(sequence)] = sequence
    mask[row, 2 : len(sequence)] = True
  return arrays(tokens, None, mask)


def arrays(tokens, segment, mask):
  rows = dict(
    tokens=jnp.asarray(tokens),
    prompt_mask=jnp.ones((len(tokens), 1), bool),
    mask=jnp.asarray(mask[:, 1:]),
  )
  if segment is not None:
    rows["segment"] = jnp.asarray(segment, jnp.int32)
  return token_batch(rows)


def learn(config, batch):
  """Log-probs and entropies of the learnt tokens, and their gradient."""
  model = Transformer(config)
  params = model.init(jax.random.key(0))

  def loss(params):
    found = stats.score(NEEDS, {"policy": params}, batch, model=model)
    found = {k: v[batch.mask] for k, v in found.items()}
    return sum((v * jnp.arange(v.size)).sum() for v in found.values()), found

  (_, found), gradient = jax.value_and_grad(loss, has_aux=True)(params)
  return found, gradient


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_packed_and_unpacked_rows_have_equal_statistics_and_gradients(config):
  (one, one_slope), (each, each_slope) = (
    learn(config, batch) for batch in (packed(), apart())
  )
  for key, value in each.items():
    np.testing.assert_allclose(one[key], value, atol=1e-5, err_msg=key)
  scale = max(jnp.abs(x).max() for x in jax.tree.leaves(each_slope))
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5 * scale),
    one_slope,
    each_slope,
  )


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("place", [0, 3, 4, 9, 12, 13])
def test_a_token_of_one_segment_changes_nothing_in_another(config, place):
  model = Transformer(config)
  params = model.init(jax.random.key(0))
  batch = packed()
  other = batch.replace(tokens=batch.tokens.at[0, place].add(1) % 13)
  before, after = (model.hidden(params, b)[0] for b in (batch, other))
  segment = batch.segment[0]
  # The state at position t stands before token t + 1; the last has none.
  same = (segment != segment[place])[:-1]
  np.testing.assert_array_equal(before[same], after[same])
  if place < WIDTH - 1:
    assert jnp.abs(before[place] - after[place]).max() > 1e-4


def test_padding_between_segments_changes_nothing():
  batch = packed()
  model = Transformer(CONFIGS["plain"])
  params = model.init(jax.random.key(0))
  order = np.r_[0:4, 13, 4:13]  # the padding behind the first sequence
  moved = batch.replace(
    tokens=batch.tokens[:, order], segment=batch.segment[:, order]
  )
  before, after = (model.hidden(params, b)[0] for b in (batch, moved))
  np.testing.assert_allclose(before[4:12], after[5:13], atol=1e-5)
