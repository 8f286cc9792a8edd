"""Published models in and out, against logits that transformers stored."""

import contextlib
import json
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

import decoding
import hf_cases
from hf_cases import NORM, change, damaged, set_config
from rlvr_jax import stats
from rlvr_jax.models import hf, make_mesh
from rlvr_jax.models.config import Lora
from rlvr_jax.models.hf import files, small
from rlvr_jax.sampling import sampler
from rlvr_jax.types import Draw

pytestmark = pytest.mark.usefixtures("quick_compile")
FAMILIES = list(small.SMALL)
TOLERANCE = 1e-4  # of float32 logits of unit scale through four layers


@pytest.fixture(scope="module")
def stored():
  return np.load(hf_cases.STORED)


def decoded(model, rows, valid, following):
  """Logits f[B, N, V] of the cached decode of given tokens."""
  own = model.transformer, model.params
  return np.asarray(decoding.logits(*own, rows, valid, following))


@pytest.mark.parametrize("name", FAMILIES)
def test_logits_are_those_of_transformers_padding_and_cache_included(
  name, stored
):
  model = hf.load(hf_cases.folder(name))
  rows = hf_cases.tokens(model.transformer.config.vocabulary)
  whole = np.asarray(model(rows, hf_cases.VALID))[..., hf_cases.KEPT]
  gap = np.abs(whole - stored[f"{name}/whole"])[hf_cases.VALID]
  assert gap.max() < TOLERANCE
  following = jnp.asarray(stored[f"{name}/tokens"])
  stepped = decoded(model, rows, jnp.asarray(hf_cases.VALID), following)
  gap = np.abs(stepped[..., hf_cases.KEPT] - stored[f"{name}/stepped"])
  assert gap.max() < TOLERANCE


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_written_is_bit_for_bit_what_was_read(name, tmp_path):
  source, copy = hf_cases.folder(name), tmp_path / "copy"
  hf.export(hf.load(source), copy)
  a, b = (load_file(f / files.WEIGHTS) for f in (source, copy))
  assert a.keys() == b.keys()
  for key in a:
    np.testing.assert_array_equal(a[key], b[key])
  assert {p.name for p in source.iterdir()} == {p.name for p in copy.iterdir()}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("kept", ["float32", "bfloat16"])
def test_half_files_come_back_bit_for_bit_in_any_wide_enough_type(
  dtype, kept, tmp_path
):
  if (dtype, kept) == ("float16", "bfloat16"):
    pytest.skip("bfloat16 has fewer bits than float16")
  model = hf.load(hf_cases.folder("qwen2"))
  hf.export(model, tmp_path / "half", dtype=dtype)
  again = hf.load(tmp_path / "half", param_dtype=kept)
  assert {x.dtype.name for x in jax.tree.leaves(again.params)} == {kept}
  hf.export(again, tmp_path / "back")
  a, b = (load_file(tmp_path / f / files.WEIGHTS) for f in ("half", "back"))
  assert all((a[k].view(np.uint16) == b[k].view(np.uint16)).all() for k in a)


ARCHITECTURES = {
  "qwen2": "Qwen2ForCausalLM",
  "qwen3": "Qwen3ForCausalLM",
  "llama": "LlamaForCausalLM",
  "mistral": "MistralForCausalLM",
  "gemma2": "Gemma2ForCausalLM",
  "gemma3_text": "Gemma3ForCausalLM",
}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_config_tells_a_server_all_that_it_asks_for(name):
  folder = hf_cases.folder(name)
  found = json.loads((folder / "config.json").read_text())
  sizes = hf.read_config(folder)
  told = dict(
    architectures=[ARCHITECTURES[found["model_type"]]],
    model_type=small.SMALL[name][0],
    dtype="float32",
    torch_dtype="float32",
    vocab_size=sizes.vocabulary,
    hidden_size=sizes.width,
    intermediate_size=sizes.hidden,
    num_hidden_layers=sizes.layers,
    num_attention_heads=sizes.heads,
    num_key_value_heads=sizes.kv_heads,
    max_position_embeddings=sizes.positions,
    rms_norm_eps=sizes.norm_epsilon,
    tie_word_embeddings=sizes.tied,
    # Of generation_config.json, which not every server reads.
    eos_token_id=json.loads((folder / "generation_config.json").read_text())[
      "eos_token_id"
    ],
  )
  assert {key: found[key] for key in told} == told
  # Where it is not told, it is the width over the heads.
  head_dim = found.get("head_dim") or sizes.width // sizes.heads
  assert head_dim == sizes.head_dim
  activation = "hidden_act" if "hidden_act" in found else "hidden_activation"
  assert found[activation] in ("silu", "gelu_pytorch_tanh")
  assert found["rope_parameters"] and "quantization_config" not in found
  assert any(sizes.windowed) == (found.get("sliding_window") is not None)


@pytest.mark.parametrize("held", [None, []])
def test_an_export_names_the_architecture_where_the_source_does_not(
  held, tmp_path
):
  folder = damaged(tmp_path, "gemma3")
  set_config(folder, architectures=held)
  hf.export(hf.load(folder), tmp_path / "copy")
  found = json.loads((tmp_path / "copy" / "config.json").read_text())
  assert found["architectures"] == ["Gemma3ForCausalLM"]


def test_an_export_keeps_the_architecture_that_the_source_names(tmp_path):
  folder = damaged(tmp_path)
  set_config(folder, architectures=["Qwen2ForOthers"])
  hf.export(hf.load(folder), tmp_path / "copy")
  found = json.loads((tmp_path / "copy" / "config.json").read_text())
  assert found["architectures"] == ["Qwen2ForOthers"]


def test_more_chat_templates_go_along_and_other_folders_do_not(tmp_path):
  folder = damaged(tmp_path)
  (folder / "tokenizer_parts").mkdir()
  (folder / "additional_chat_templates").mkdir()
  template = folder / "additional_chat_templates" / "tools.jinja"
  template.write_text("{{ tools }}")
  hf.export(hf.load(folder), tmp_path / "copy")
  copy = tmp_path / "copy" / "additional_chat_templates" / "tools.jinja"
  assert copy.read_text() == "{{ tools }}"
  assert not (tmp_path / "copy" / "tokenizer_parts").exists()


def test_many_files_and_their_index_hold_the_same_model(tmp_path):
  source = hf_cases.folder("gemma2")
  hf.export(hf.load(source), tmp_path / "cut", shard_bytes=100_000)
  index = json.loads((tmp_path / "cut" / files.INDEX).read_text())
  assert len(set(index["weight_map"].values())) > 3
  a, b = hf.load(source).params, hf.load(tmp_path / "cut").params
  jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.mark.parametrize(
  "shape",
  [
    (1, 2, 4),
    *(
      pytest.param(s, marks=pytest.mark.long)
      for s in [(2, 4, 1), (1, 1, 8), (4, 1, 2)]
    ),
  ],
)
def test_weights_land_split_on_a_mesh_and_are_the_same(shape, tmp_path):
  source = hf_cases.folder("qwen2_untied")
  split = hf.load(source, mesh=make_mesh(*shape))
  whole = hf.load(source)
  jax.tree.map(np.testing.assert_array_equal, whole.params, split.params)
  up = split.params["blocks"]["up"]
  part = up.addressable_shards[0].data.size
  assert part * shape[1] * shape[2] == up.size
  hf.export(split, tmp_path / "copy")
  a, b = (load_file(f / files.WEIGHTS) for f in (source, tmp_path / "copy"))
  assert all((a[k] == b[k]).all() for k in a)


class Watched:
  """A file that notes what is read of it and how much of that is alive."""

  def __init__(self, file, notes):
    self.file, self.notes = file, notes

  def get_slice(self, name):
    part, notes = self.file.get_slice(name), self.notes

    class Part:
      get_shape, get_dtype = part.get_shape, part.get_dtype

      def __getitem__(self, index):
        found = part[index]
        notes["reads"].append((found.size, np.prod(part.get_shape())))
        notes["alive"] += found.nbytes
        notes["peak"] = max(notes["peak"], notes["alive"])
        weakref.finalize(found, self.freed, found.nbytes)
        return found

      def freed(self, size):
        notes["alive"] -= size

    return Part()

  def keys(self):
    return self.file.keys()


@pytest.mark.parametrize("shape", [(1, 8, 1), (8, 1, 1)])
def test_the_host_holds_one_tensor_at_a_time_read_once(monkeypatch, shape):
  notes, opened = dict(reads=[], alive=0, peak=0), files.opened

  @contextlib.contextmanager
  def watched(path):
    with opened(path) as file:
      yield Watched(file, notes)

  source = hf_cases.folder("qwen2_untied")
  monkeypatch.setattr(files, "opened", watched)
  hf.load(source, mesh=make_mesh(*shape))
  tensors = load_file(source / files.WEIGHTS).values()
  assert sum(size for size, _ in notes["reads"]) == sum(x.size for x in tensors)
  assert notes["peak"] == max(x.nbytes for x in tensors)
  # Every device asks for its own part of a matrix.
  parts = [size * shape[1] == whole for size, whole in notes["reads"]
           if whole > 1000]  # fmt: skip
  assert all(parts) and len(parts) == shape[1] * (2 + 4 * 7)


def test_adapters_begin_at_the_model_and_merge_into_what_they_computed(
  tmp_path,
):
  source = hf_cases.folder("qwen2")
  plain = hf.load(source)
  model = hf.load(source, lora=Lora(rank=3, alpha=6.0))
  rows = hf_cases.tokens(320)
  np.testing.assert_array_equal(plain(rows), model(rows))
  moved = jax.tree_util.tree_map_with_path(
    lambda path, x: x + 0.05 if "lora_b" in str(path[-1]) else x, model.params
  )
  model = hf.Model(model.transformer, moved, model.folder)
  assert np.abs(model(rows) - plain(rows)).max() > 0.1
  hf.export(model, tmp_path / "merged")
  merged = hf.load(tmp_path / "merged")
  np.testing.assert_allclose(merged(rows), model(rows), atol=1e-4)


@pytest.mark.parametrize(
  "name",
  [
    "gemma2",
    *(pytest.param(n, marks=pytest.mark.long) for n in ("mistral", "gemma3")),
  ],
)
def test_windows_and_caps_hold_in_sampling_and_in_scoring(name):
  model = hf.load(hf_cases.folder(name))
  rows = hf_cases.tokens(model.transformer.config.vocabulary)
  run = jax.jit(
    lambda params, key: sampler.rollout(
      params,
      rows,
      jnp.asarray(hf_cases.VALID),
      (Draw("main", 2),),
      key,
      model=model.transformer,
      length=12,
      ends=sampler.Ends((0,), 0),
      block=5,
    )
  )
  batch = run(model.params, jax.random.key(0))
  bare = batch.replace(stats={})
  found = stats.score(
    (stats.LOGP,),
    {"policy": model.params},
    bare,
    model=model.transformer,
  )
  mask = np.asarray(batch.mask)
  assert mask.sum() > 40
  gap = np.abs(found[stats.LOGP.key] - batch.old_logp)[mask]
  assert gap.max() < 1e-4


def test_every_tensor_keeps_the_type_it_had(tmp_path):
  folder = damaged(tmp_path)
  change(folder, lambda t: t.update({NORM: t[NORM].astype(np.float16)}))
  set_config(folder, dtype="bfloat16")  # which no tensor has
  hf.export(hf.load(folder), tmp_path / "copy")
  kinds = files.dtypes(tmp_path / "copy")
  assert kinds == files.dtypes(folder)
  assert set(kinds.values()) == {"float16", "float32"}


def test_a_model_may_be_called_under_a_trace():
  model = hf.load(hf_cases.folder("qwen2"))
  rows = hf_cases.tokens(320)
  np.testing.assert_allclose(jax.jit(model)(rows), model(rows), atol=1e-5)
