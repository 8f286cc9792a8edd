"""Masked and grouped reductions over a whole minibatch, all padding-safe.

Under `jax.jit` on a mesh each sum is the sum over all devices, so a result
here does not depend on how rows are sharded. Empty sets give 0, never NaN.
"""

from rlvr_jax.reduce.covariance import covariance_window as covariance_window
from rlvr_jax.reduce.entries import ROUNDING as ROUNDING
from rlvr_jax.reduce.entries import absolute as absolute
from rlvr_jax.reduce.entries import clamp as clamp
from rlvr_jax.reduce.entries import k3 as k3
from rlvr_jax.reduce.entries import verdict as verdict
from rlvr_jax.reduce.groups import group_count as group_count
from rlvr_jax.reduce.groups import group_is_mixed as group_is_mixed
from rlvr_jax.reduce.groups import group_logsumexp as group_logsumexp
from rlvr_jax.reduce.groups import group_max as group_max
from rlvr_jax.reduce.groups import group_mean as group_mean
from rlvr_jax.reduce.groups import group_rank as group_rank
from rlvr_jax.reduce.groups import group_softmax as group_softmax
from rlvr_jax.reduce.groups import group_std as group_std
from rlvr_jax.reduce.groups import group_sum as group_sum
from rlvr_jax.reduce.groups import group_total as group_total
from rlvr_jax.reduce.groups import renumbered as renumbered
from rlvr_jax.reduce.groups import subgroup as subgroup
from rlvr_jax.reduce.masked import centred_product as centred_product
from rlvr_jax.reduce.masked import count_of as count_of
from rlvr_jax.reduce.masked import in_blocks as in_blocks
from rlvr_jax.reduce.masked import masked_max as masked_max
from rlvr_jax.reduce.masked import masked_mean as masked_mean
from rlvr_jax.reduce.masked import masked_min as masked_min
from rlvr_jax.reduce.masked import masked_quantile as masked_quantile
from rlvr_jax.reduce.masked import masked_var as masked_var
from rlvr_jax.reduce.masked import top_mask as top_mask
from rlvr_jax.reduce.masked import whiten as whiten
from rlvr_jax.reduce.ngrams import repetition as repetition
from rlvr_jax.reduce.rows import gae as gae
from rlvr_jax.reduce.rows import last_token as last_token
from rlvr_jax.reduce.rows import returns_to_go as returns_to_go
from rlvr_jax.reduce.rows import row_length as row_length
from rlvr_jax.reduce.rows import row_mean as row_mean
from rlvr_jax.reduce.rows import row_softmax as row_softmax
from rlvr_jax.reduce.rows import row_turns as row_turns
