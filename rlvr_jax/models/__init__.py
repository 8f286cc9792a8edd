"""Decoder-only transformers and where their arrays live on a mesh."""

from rlvr_jax.models.config import DecoderConfig, Lora, Rope
from rlvr_jax.models.mesh import make_mesh
from rlvr_jax.models.transformer import Transformer

__all__ = ["DecoderConfig", "Lora", "Rope", "Transformer", "make_mesh"]
