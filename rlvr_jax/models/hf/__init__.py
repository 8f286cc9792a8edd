"""Models in the Hugging Face format, in and out."""

from rlvr_jax.models.hf.families import (
  FAMILIES,
  check_positions,
  check_vocabulary,
  read_config,
)
from rlvr_jax.models.hf.model import Model, export, load
from rlvr_jax.models.hf.read import read_params
from rlvr_jax.models.hf.trust import digest

__all__ = [
  "FAMILIES",
  "Model",
  "check_positions",
  "check_vocabulary",
  "digest",
  "export",
  "load",
  "read_config",
  "read_params",
]
