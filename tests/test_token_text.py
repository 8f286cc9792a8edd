"""What tokens say one by one, and that a rollout may branch by it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import folders
from rlvr_jax import tasks
from rlvr_jax.models import DecoderConfig, Transformer
from rlvr_jax.sampling import sampler
from rlvr_jax.types import Draw, TokenText

pytestmark = pytest.mark.usefixtures("quick_compile")

MODEL = Transformer(
  DecoderConfig(
    vocabulary=8, width=8, layers=1, heads=1, kv_heads=1, head_dim=8, hidden=8
  )
)  # fmt: skip
LENGTH, BRANCHES = 6, 2
PROMPTS = jnp.array([[2, 3], [4, 5]])
VALID = jnp.array([[True, True], [False, True]])


def test_of_a_character_its_text_is_told_and_of_special_tokens_none():
  found = tasks.token_text(tasks.CharTokenizer("ab \n."), 9)
  # pad, eos, a, b, blank, line break, full stop, two without a token.
  np.testing.assert_array_equal(found.length, [0, 0, 1, 1, 0, 0, 1, 0, 0])
  assert np.flatnonzero(found.ends_line).tolist() == [5]


@pytest.mark.parametrize("name", ["chatml", "gemma"])
def test_tokens_of_a_pretrained_model_read_as_they_are_decoded(name, tmp_path):
  tokenizer = tasks.HFTokenizer(getattr(folders, name)(tmp_path))
  found = tasks.token_text(tokenizer, tokenizer.vocab_size + 3)
  assert found.length.shape == found.ends_line.shape
  assert not found.length[-3:].any() and not found.ends_line[-3:].any()
  assert not found.length[[*tokenizer.stop_ids, tokenizer.pad_id]].any()
  for text in (" the", "\n", "=", "12"):
    for token in tokenizer.encode(text):
      said = tokenizer.decode([token])
      assert found.length[token] == len(said.strip())
      assert found.ends_line[token] == ("\n" in said)


def test_a_token_that_is_half_a_character_reads_as_one(tmp_path):
  tokenizer = tasks.HFTokenizer(folders.chatml(tmp_path))
  parts = tokenizer.encode("\N{GRINNING FACE}")
  assert len(parts) > 1
  found = tasks.token_text(tokenizer, tokenizer.vocab_size)
  np.testing.assert_array_equal(found.length[parts], 1)


def behind_a_line(parent, n):
  """The places behind tokens that end a line; 0 where there are too few."""
  behind = jnp.roll(parent.text.ends_line, 1).at[0].set(False)
  return jnp.nonzero(behind & parent.mask, size=n)[0]


def known(parent, n):
  """The tokens of the prompt, and the size of the vocabulary, as places."""
  return jnp.array([parent.prompt, parent.vocabulary // 4])[:n]


def sample(params, text):
  draws = (
    Draw("main", 3),
    Draw("line", 3 * BRANCHES, parent="main", cut=behind_a_line),
    Draw("known", 3 * BRANCHES, parent="main", cut=known),
  )
  return sampler.rollout(
    params, PROMPTS, VALID, draws, jax.random.key(0), model=MODEL,
    length=LENGTH, ends=sampler.Ends((1,), 0), text=text,
  )  # fmt: skip


@pytest.fixture(scope="module")
def run():
  params = MODEL.init(jax.random.key(0))
  return functools.partial(jax.jit(sample), params)


def told(*ends):
  ends = np.isin(np.arange(8), ends)
  return TokenText(jnp.zeros(8, jnp.int32), jnp.asarray(ends))


def test_branches_part_where_the_text_says_so_and_one_program_reads_any(run):
  seen = 0
  for ends in ([3, 4, 5, 6], [2, 7]):
    batch = jax.tree.map(np.asarray, run(told(*ends)))
    for row in np.flatnonzero(batch.source == 1):
      copied, parent = batch.copied[row], batch.parent[row]
      if copied:
        assert batch.response[parent, copied - 1] in ends
        seen += 1
  assert seen > 5 and run.func._cache_size() == 1


def test_whoever_cuts_knows_the_prompt_and_the_vocabulary(run):
  batch = jax.tree.map(np.asarray, run(told(2)))
  rows = np.flatnonzero(batch.source == 2).reshape(-1, BRANCHES)
  last = batch.mask[batch.parent[rows]].sum(axis=-1) - 1
  prompt = batch.prompt_mask[rows[:, 0]].sum(axis=1)
  want = np.stack([prompt, np.full(len(rows), 2)], axis=1)
  np.testing.assert_array_equal(batch.copied[rows], np.minimum(want, last))
  assert set(prompt) == {1, 2} and (last >= 2).any()


def test_without_the_text_it_is_told_what_to_give():
  shapes = jax.eval_shape(MODEL.init, jax.random.key(0))
  with pytest.raises(ValueError, match=r"text = tasks\.token_text"):
    jax.eval_shape(sample, shapes, None)
