"""Rows 34 and 35: weights of strangers run nothing and damage is named."""

import hashlib
import json
import pathlib
import pickle
import struct
import subprocess

import jax
import numpy as np
import pytest

import folders
import hf_cases
from hf_cases import NORM, damaged, set_config
from rlvr_jax import json_file, tasks
from rlvr_jax.models import hf
from rlvr_jax.models.hf import files, read

pytestmark = pytest.mark.usefixtures("quick_compile")


class Payload:
  """Touches a file when it is unpickled."""

  def __init__(self, canary):
    self._canary = canary

  def __reduce__(self):
    return pathlib.Path.touch, (self._canary,)


@pytest.mark.parametrize(
  "name", ["pytorch_model.bin", "model.pt", "model.npy", "model.npz", "x.pkl"]
)
def test_a_pickle_offered_as_weights_is_refused_and_does_not_run(
  name, tmp_path
):
  folder, canary = damaged(tmp_path), tmp_path / "canary"
  (folder / files.WEIGHTS).unlink()
  if name.endswith(".npy"):
    np.save(folder / name, np.array([Payload(canary)], object))
  else:
    (folder / name).write_bytes(pickle.dumps(Payload(canary)))
  with pytest.raises(ValueError, match=f"{name}.*never opened"):
    hf.load(folder)
  assert not canary.exists()


def test_a_pickle_by_the_name_of_weights_is_damaged_and_does_not_run(tmp_path):
  folder, canary = damaged(tmp_path), tmp_path / "canary"
  (folder / files.WEIGHTS).write_bytes(pickle.dumps(Payload(canary)))
  with pytest.raises(ValueError, match="model.safetensors is damaged"):
    hf.load(folder)
  assert not canary.exists()
  (folder / "x.pkl").write_bytes(pickle.dumps(Payload(canary)))
  pickle.loads((folder / "x.pkl").read_bytes())
  assert canary.exists()  # It would have run.


def header(path, length, text=b""):
  """Replaces the header of a file; the data behind it stay."""
  data = path.read_bytes()
  (old,) = struct.unpack("<Q", data[:8])
  text = text or data[8 : 8 + old]
  path.write_bytes(struct.pack("<Q", length) + text + data[8 + old :])


def edited(path, **fields):
  """Fields of a tensor in the header, set to something else."""
  data = path.read_bytes()
  (length,) = struct.unpack("<Q", data[:8])
  listed = json.loads(data[8 : 8 + length])
  listed[NORM] |= fields
  text = json.dumps(listed).encode()
  header(path, len(text), text)


LYING = {
  "a header of 2^40 bytes": lambda path: header(path, 2**40),
  "a header of 2^63 bytes": lambda path: header(path, 2**63),
  "a header that is no JSON": lambda path: header(path, 8, b"{" * 8),
  "a shape of 2^60": lambda path: edited(path, shape=[2**60]),
  "a negative shape": lambda path: edited(path, shape=[-64]),
  "offsets behind the end": lambda path: edited(
    path, data_offsets=[2**40, 2**40 + 256]
  ),
  "offsets that overlap": lambda path: edited(path, data_offsets=[0, 256]),
  "a type that nobody has": lambda path: edited(path, dtype="F31"),
  "bytes behind the end": lambda path: path.write_bytes(
    path.read_bytes() + b"\x00" * 64
  ),
}


@pytest.mark.parametrize("lie", LYING)
def test_a_file_that_lies_about_itself_is_refused_before_anything_is_allocated(
  lie, tmp_path, monkeypatch
):
  folder = damaged(tmp_path)
  LYING[lie](folder / files.WEIGHTS)
  monkeypatch.delattr(read, "_zeros")  # Makes room for the parameters.
  with pytest.raises(ValueError, match="model.safetensors is damaged"):
    hf.load(folder)


@pytest.mark.parametrize(
  ("values", "told"),
  [
    (dict(num_hidden_layers=10**9), "num_hidden_layers = 1000000000 must lie"),
    (dict(vocab_size=10**12), "vocab_size = 1000000000000 must lie"),
    (dict(vocab_size=10**9), "config.json asks for"),
    (dict(hidden_size=2**30), "config.json asks for|cannot be used"),
    (dict(text_config=dict(num_hidden_layers=10**9)), "must lie"),
    (dict(auto_map={"AutoConfig": "evil.Config"}), "never done"),
    (dict(model_type="../evil"), "is not supported"),
  ],
)
def test_a_config_that_asks_for_too_much_is_refused_before_it_is_allocated(
  values, told, tmp_path, monkeypatch
):
  folder = damaged(tmp_path)
  set_config(folder, **values)
  (folder / "evil.py").write_text("raise SystemExit('was run')")
  monkeypatch.delattr(read, "_zeros")
  with pytest.raises(ValueError, match=told):
    hf.load(folder)


def test_a_json_file_that_is_huge_or_deep_is_refused(tmp_path, monkeypatch):
  path = tmp_path / "config.json"
  path.write_text('{"a":' * 100_000)
  with pytest.raises(ValueError, match="is not JSON"):
    json_file.read_object(path)
  with path.open("wb") as file:
    file.truncate(1 << 40)
  with pytest.raises(ValueError, match="has 1099511627776 bytes"):
    json_file.read_object(path)


@pytest.mark.parametrize("name", ["config.json", files.WEIGHTS])
def test_a_link_that_leads_out_of_the_folder_is_not_followed(name, tmp_path):
  folder = damaged(tmp_path)
  (folder / name).rename(tmp_path / "outside")
  (folder / name).symlink_to(tmp_path / "outside")
  with pytest.raises(ValueError, match=f"{name} is a link to .*outside"):
    hf.load(folder)


def test_the_links_of_a_cache_of_the_hub_are_followed(tmp_path):
  cache = tmp_path / "models--a--b"
  (cache / "blobs").mkdir(parents=True)
  (cache / "snapshots").mkdir()
  folder = damaged(tmp_path).rename(cache / "snapshots" / "abc")
  for number, path in enumerate(sorted(folder.iterdir())):
    path.rename(cache / "blobs" / str(number))
    path.symlink_to(f"../../blobs/{number}")
  assert hf.load(folder).params


def test_a_tokenizer_s_link_out_of_its_folder_is_not_followed(tmp_path):
  folder = folders.chatml(tmp_path / "model")
  (folder / "tokenizer.json").rename(tmp_path / "outside")
  (folder / "tokenizer.json").symlink_to(tmp_path / "outside")
  with pytest.raises(ValueError, match="tokenizer.json is a link"):
    tasks.HFTokenizer(folder)


def test_a_digest_that_is_given_must_be_that_of_the_folder(tmp_path):
  folder = damaged(tmp_path)
  printed = subprocess.run(
    "sha256sum *.json *.jinja *.safetensors 2> /dev/null | sort -k 2",
    cwd=folder,
    shell=True,
    env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
    stdout=subprocess.PIPE,
  ).stdout
  sha256 = hashlib.sha256(printed).hexdigest()
  assert hf.digest(folder) == sha256
  assert hf.load(folder, sha256=sha256.upper()).params
  flipped = bytearray((folder / files.WEIGHTS).read_bytes())
  flipped[-1] ^= 1
  (folder / files.WEIGHTS).write_bytes(flipped)
  with pytest.raises(ValueError, match=f"has the SHA-256 .*, not {sha256}"):
    hf.load(folder, sha256=sha256)


def test_nothing_is_allocated_for_what_is_refused(tmp_path):
  folder = damaged(tmp_path)
  hf_cases.change(folder, lambda tensors: tensors.pop(NORM))
  before = len(jax.live_arrays())
  with pytest.raises(ValueError, match="missing"):
    hf.load(folder)
  assert len(jax.live_arrays()) == before
