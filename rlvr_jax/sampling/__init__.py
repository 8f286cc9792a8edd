"""Rollouts: jitted sampling of draws from a policy."""

from rlvr_jax.sampling.sampler import rollout

__all__ = ["rollout"]
