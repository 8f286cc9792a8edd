"""Published models in and out, against logits that transformers stored."""

import contextlib
import json
import shutil
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import hf_cases
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
  transformer, params = model.transformer, model.params
  state, prompt = transformer.prefill(params, rows, valid)
  count = following.shape[1]
  own = transformer.empty_cache(len(rows), 1, count)
  found = [transformer.logits(params, state)]
  step = jax.jit(transformer.step)
  for n in range(count - 1):
    at = valid.sum(1, keepdims=True) + n
    state, (k, v) = step(params, following[:, n, None], at, prompt, own)
    own = own._replace(
      keys=own.keys.at[..., n, :].set(k),
      values=own.values.at[..., n, :].set(v),
      valid=own.valid.at[n].set(True),
    )
    found.append(transformer.logits(params, state[:, 0]))
  return np.stack(found, 1)


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


@pytest.mark.parametrize("name", ["mistral", "gemma2", "gemma3"])
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
      window=5,
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


# Everything below is refused, and the message names what is wrong.


def damaged(tmp_path, name="qwen2"):
  path = tmp_path / "damaged"
  shutil.copytree(hf_cases.folder(name), path)
  return path


def change(folder, edit):
  """Rewrites the weights after `edit(tensors)`."""
  tensors = load_file(folder / files.WEIGHTS)
  edit(tensors)
  save_file(tensors, folder / files.WEIGHTS)


def set_config(folder, **values):
  path = folder / "config.json"
  path.write_text(json.dumps(json.loads(path.read_text()) | values))


NORM = "model.layers.2.input_layernorm.weight"


def missing(tensors):
  del tensors[NORM]


def extra(tensors):
  tensors["model.layers.2.extra.weight"] = np.zeros(3, np.float32)


def reshaped(tensors):
  tensors[NORM] = np.zeros(63, np.float32)


def integers(tensors):
  tensors[NORM] = np.zeros(64, np.int8)


def poisoned(tensors):
  tensors[NORM] = np.full(64, np.nan, np.float32)


@pytest.mark.parametrize(
  ("edit", "told"),
  [
    (missing, rf"missing \['{NORM}'\]"),
    (extra, r"not known \['model.layers.2.extra.weight'\]"),
    (reshaped, rf"'{NORM}' .* shape \(63,\), config.json asks for \(64,\)"),
    (integers, rf"'{NORM}' .* of type I8; allowed"),
    (poisoned, rf"'{NORM}' .* NaN or infinity"),
  ],
)
def test_a_wrong_tensor_is_refused_by_name(edit, told, tmp_path):
  folder = damaged(tmp_path)
  change(folder, edit)
  with pytest.raises(ValueError, match=told):
    hf.load(folder)


@pytest.mark.parametrize(
  ("values", "told"),
  [
    (dict(hidden_size=32), "config.json asks for"),
    (dict(num_hidden_layers=5, layer_types=["full_attention"] * 5),
     "missing .*layers.4"),
    (dict(model_type="mamba"), "model_type = 'mamba' is not supported"),
    (dict(auto_map={"AutoModel": "evil.Model"}), "never done"),
    (dict(hidden_act="relu"), "activation 'relu'"),
    (dict(rope_parameters=dict(rope_type="yarn", rope_theta=1e4, factor=4.0)),
     "rope_type = 'yarn' is not supported"),
    (dict(num_attention_heads="many"), "config.json cannot be used"),
  ],
)  # fmt: skip
def test_a_config_that_does_not_fit_is_refused(values, told, tmp_path):
  folder = damaged(tmp_path)
  set_config(folder, **values)
  with pytest.raises(ValueError, match=told):
    hf.load(folder)


def test_a_tied_model_with_another_head_is_refused(tmp_path):
  folder = damaged(tmp_path)
  change(
    folder, lambda t: t.update({"lm_head.weight": np.ones((320, 64), "f")})
  )
  with pytest.raises(ValueError, match="tie_word_embeddings"):
    hf.load(folder)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_a_truncated_file_is_refused(share, tmp_path):
  path = damaged(tmp_path) / files.WEIGHTS
  data = path.read_bytes()
  path.write_bytes(data[: int(share * len(data))])
  with pytest.raises(ValueError, match="model.safetensors is damaged"):
    hf.load(path.parent)


def test_a_pickle_is_never_opened(tmp_path):
  folder = damaged(tmp_path)
  (folder / files.WEIGHTS).rename(folder / "pytorch_model.bin")
  with pytest.raises(ValueError, match="pickles, which are never opened"):
    hf.load(folder)


@pytest.mark.parametrize(
  "place",
  ["../model.safetensors", "/etc/model.safetensors", "a/b.safetensors",
   "..\\x.safetensors", "model.bin", 3],
)  # fmt: skip
def test_an_index_cannot_point_outside_the_folder(place, tmp_path):
  folder = damaged(tmp_path)
  index = {"weight_map": {NORM: place}}
  (folder / files.INDEX).write_text(json.dumps(index))
  with pytest.raises(ValueError, match=f"tensor '{NORM}' lies in"):
    hf.load(folder)


def test_a_missing_shard_is_named(tmp_path):
  hf.export(hf.load(hf_cases.folder("qwen2")), tmp_path / "cut",
            shard_bytes=100_000)  # fmt: skip
  shard = sorted((tmp_path / "cut").glob("*.safetensors"))[1]
  shard.unlink()
  with pytest.raises(ValueError, match=f"{shard.name} does not exist"):
    hf.load(tmp_path / "cut")


def test_an_export_never_overwrites(tmp_path):
  model = hf.load(hf_cases.folder("qwen2"))
  with pytest.raises(ValueError, match="exists; give a folder"):
    hf.export(model, tmp_path)


def test_a_shard_with_a_tensor_that_no_index_lists_is_refused(tmp_path):
  source = hf.load(hf_cases.folder("qwen2"))
  hf.export(source, tmp_path / "cut", shard_bytes=100_000)
  shard = sorted((tmp_path / "cut").glob("*.safetensors"))[0]
  save_file(load_file(shard) | {"evil.weight": np.ones(2, "f")}, shard)
  with pytest.raises(ValueError, match=r"does not list \['evil.weight'\]"):
    hf.load(tmp_path / "cut")


def test_a_type_too_narrow_for_the_weights_is_not_written(tmp_path):
  model = hf.load(hf_cases.folder("qwen2"))
  params = model.params | {"final_norm": model.params["final_norm"] * 1e6}
  model = hf.Model(model.transformer, params, model.folder)
  with pytest.raises(ValueError, match="'model.norm.weight' is not finite"):
    hf.export(model, tmp_path / "half", dtype="float16")
  assert not list(tmp_path.iterdir())


def test_every_tensor_keeps_the_type_it_had(tmp_path):
  folder = damaged(tmp_path)
  change(folder, lambda t: t.update({NORM: t[NORM].astype(np.float16)}))
  set_config(folder, dtype="bfloat16")  # which no tensor has
  hf.export(hf.load(folder), tmp_path / "copy")
  kinds = files.dtypes(tmp_path / "copy")
  assert kinds == files.dtypes(folder)
  assert set(kinds.values()) == {"float16", "float32"}


@pytest.mark.parametrize("field", ["dtype", "param_dtype"])
def test_a_type_that_no_decoder_has_is_refused_without_blaming_the_file(field):
  told = f"^{field} = 'bf16' is not supported; give one of .*'bfloat16'"
  with pytest.raises(ValueError, match=told):
    hf.load(hf_cases.folder("qwen2"), **{field: "bf16"})


@pytest.mark.parametrize("wrong", [-1, 320, 2**40])
def test_an_id_out_of_range_is_refused_unless_it_is_padding(wrong):
  model = hf.load(hf_cases.folder("qwen2"))
  told = f"token id {wrong} is not in .* vocabulary of 320 ids, 0 to 319"
  with pytest.raises(ValueError, match=told):
    model([[1, 2, wrong]])
  rows, valid = np.array([[wrong, 1, 319]]), np.array([[False, True, True]])
  np.testing.assert_array_equal(
    model(rows, valid)[0, 1:], model(rows * valid, valid)[0, 1:]
  )
  with pytest.raises(ValueError, match=told):
    model(rows)


def test_a_model_may_be_called_under_a_trace():
  model = hf.load(hf_cases.folder("qwen2"))
  rows = hf_cases.tokens(320)
  np.testing.assert_allclose(jax.jit(model)(rows), model(rows), atol=1e-5)


def test_more_ids_than_rows_and_more_tokens_than_positions_are_refused():
  config = hf.read_config(hf_cases.folder("qwen2"))
  hf.check_vocabulary(320, config, "here")
  with pytest.raises(ValueError, match="in here has 321 ids .* 320 rows"):
    hf.check_vocabulary(321, config, "here")
  hf.check_positions(96, 4000, config)
  with pytest.raises(ValueError, match="97 and responses of 4000 .* 4096"):
    hf.check_positions(97, 4000, config)
