"""Decoder-only transformers and where their arrays live on a mesh."""

from rlvr_jax.models.decoder import Decoder, DecoderConfig, Transformer

__all__ = ["Decoder", "DecoderConfig", "Transformer"]
