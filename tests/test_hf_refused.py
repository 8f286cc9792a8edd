"""Folders, types and ids that are refused; the message names what is wrong."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import hf_cases
from hf_cases import NORM, change, damaged, set_config
from rlvr_jax.models import hf
from rlvr_jax.models.hf import files

pytestmark = pytest.mark.usefixtures("quick_compile")


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
  with pytest.raises(
    ValueError, match="pickles or may hold some, which are never opened"
  ):
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


def test_more_ids_than_rows_and_more_tokens_than_positions_are_refused():
  config = hf.read_config(hf_cases.folder("qwen2"))
  hf.check_vocabulary(320, config, "here")
  with pytest.raises(ValueError, match="in here has 321 ids .* 320 rows"):
    hf.check_vocabulary(321, config, "here")
  hf.check_positions(96, 4000, config)
  with pytest.raises(ValueError, match="97 and responses of 4000 .* 4096"):
    hf.check_positions(97, 4000, config)
