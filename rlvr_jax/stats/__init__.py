"""The statistics a method may ask for, and `score`, which computes them.

Between the model and the loss stand a few f32[B, T] arrays.
"""

from rlvr_jax.stats.distribution import Distribution as Distribution
from rlvr_jax.stats.distribution import Head as Head
from rlvr_jax.stats.named import LOGP as LOGP
from rlvr_jax.stats.named import CovProbLogp as CovProbLogp
from rlvr_jax.stats.named import Energy as Energy
from rlvr_jax.stats.named import Entropy as Entropy
from rlvr_jax.stats.named import Features as Features
from rlvr_jax.stats.named import FromDistributions as FromDistributions
from rlvr_jax.stats.named import FromMoments as FromMoments
from rlvr_jax.stats.named import FullKL as FullKL
from rlvr_jax.stats.named import Logp as Logp
from rlvr_jax.stats.score import Model as Model
from rlvr_jax.stats.score import from_logits as from_logits
from rlvr_jax.stats.score import of_tokens as of_tokens
from rlvr_jax.stats.score import score as score
from rlvr_jax.stats.score import width as width
from rlvr_jax.stats.truncated import REMOVED as REMOVED
from rlvr_jax.stats.truncated import ClampedEntropy as ClampedEntropy
from rlvr_jax.stats.truncated import NucleusEntropy as NucleusEntropy
from rlvr_jax.stats.truncated import ProxyKL as ProxyKL
from rlvr_jax.stats.truncated import ProxyLogp as ProxyLogp
