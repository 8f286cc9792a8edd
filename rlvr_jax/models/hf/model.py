"""A published model, loaded: callable on tokens, and ready to be written."""

import dataclasses
import functools
import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from rlvr_jax.kernels.sharded import Layout
from rlvr_jax.models import lora
from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.models.hf.families import read_config
from rlvr_jax.models.hf.read import read_params
from rlvr_jax.models.hf.write import write_folder
from rlvr_jax.models.transformer import Transformer
from rlvr_jax.types import Array, PyTree


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
  """A decoder with its weights.

  Attributes:
    transformer: the decoder as functions of its parameters.
    params: the parameters.
    folder: where they came from, with config.json and tokenizer.
  """

  transformer: Transformer
  params: PyTree
  folder: pathlib.Path

  def __call__(self, tokens: Array, valid: Array | None = None) -> Array:
    """Next-token logits of every position.

    Under a trace of jax the ids are not known and not checked; the logits of an
    id that is out of range then mean nothing.

    Args:
      tokens: i32[B, T], in [0, V) where valid.
      valid: bool[B, T], false at padding, which stands on the left; None for
        no padding.

    Returns:
      f32[B, T, V]: for evaluation and study; training never makes them.

    Raises:
      ValueError: an id is out of range.
    """
    self._check_ids(tokens, valid)
    tokens = jnp.asarray(tokens)
    if valid is None:
      valid = jnp.ones(tokens.shape, bool)
    return self._logits(self.params, tokens, jnp.asarray(valid, bool))

  def _check_ids(self, tokens: Array, valid: Array | None) -> None:
    given = jax.tree.leaves((tokens, valid))
    if any(isinstance(x, jax.core.Tracer) for x in given):
      return
    ids = np.asarray(tokens)
    if valid is not None:
      ids = ids[np.asarray(valid, bool)]
    rows = self.transformer.config.vocabulary
    wrong = ids[(ids < 0) | (ids >= rows)]
    if wrong.size:
      raise ValueError(
        f"token id {wrong[0]} is not in the model's vocabulary of {rows} "
        f"ids, 0 to {rows - 1}; use the tokenizer in {self.folder}."
      )

  @functools.cached_property
  def _logits(self):
    def run(params, tokens, valid):
      module = self.transformer.module(params)
      return module.logits(module.full(tokens, valid)[0])

    return jax.jit(run)


def load(
  folder: str | os.PathLike,
  *,
  mesh: jax.sharding.Mesh | None = None,
  sha256: str = "",
  **fields: object,
) -> Model:
  """Loads a model from a folder in the Hugging Face format.

  Qwen 2, 2.5 and 3, Llama 3, Mistral, Gemma 2 and 3 (text). No network, no
  pickles, no code of the model.

  Args:
    folder: with config.json and safetensors files.
    mesh: where the weights shall live; all on one device if None.
    sha256: that the folder must have, see `trust.digest`; "" for any.
    **fields: of `DecoderConfig`: dtype, param_dtype, remat, lora.

  Returns:
    A Model; float32 in weights and computation unless told otherwise.

  Raises:
    ValueError: what `read_config` and `read_params` refuse.
  """
  mesh = mesh or mesh_lib.make_mesh(devices=jax.devices()[:1])
  config = read_config(folder, **fields)
  transformer = Transformer(config, Layout(mesh))
  params = read_params(folder, transformer.without_adapters(), mesh, sha256)
  params = lora.with_new(params, transformer, mesh, jax.random.key(0))
  return Model(transformer, params, pathlib.Path(folder))


def export(
  model: Model,
  folder: str | os.PathLike,
  dtype: str | None = None,
  shard_bytes: int = 4 << 30,
) -> None:
  """Writes a model as transformers and vLLM read it, see `write_folder`.

  Args:
    model: its adapters, if any, are merged.
    folder: to write; must not exist.
    dtype: of the files; None is that of the folder the model came from.
    shard_bytes: most bytes of a file.

  Raises:
    ValueError: what `write_folder` refuses.
  """
  config = model.transformer.config
  source = model.folder
  write_folder(model.params, config, source, folder, dtype, shard_bytes)
