"""The functions of the contenders in PyTorch.

Each takes hidden states [T, D], weights [V, D] and targets [T] and returns the
log-probs f32[T], and the entropies where it knows them. What a rival is made of
is imported when it is made, so that one that is missing concerns itself alone.
With CCE_AUTOTUNE=1 in the environment cut_cross_entropy searches its sizes.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch

_ALONE = "log-prob only, no entropy; "


class Rival(NamedTuple):
  """A contender."""

  fn: Callable[..., tuple[torch.Tensor, ...]]
  outputs: tuple[str, ...]
  note: str  # what to know when its figures are read


def make(name: str) -> Rival:
  """The contender of that name.

  Raises:
    ImportError: it is not installed.
  """
  return _MAKERS[name]()


def _full(hidden, weights, targets):
  logp = torch.log_softmax((hidden @ weights.T).float(), dim=-1)
  chosen = logp.gather(1, targets[:, None])[:, 0]
  return chosen, -(logp.exp() * logp).sum(dim=1)


def _eager() -> Rival:
  return Rival(_full, ("logp", "entropy"), "")


def _compiled() -> Rival:
  fn = torch.compile(_full, dynamic=False)
  return Rival(fn, ("logp", "entropy"), "")


def _cce() -> Rival:
  # The default leaves small terms of the gradient out.
  note = _ALONE + "filter_eps=None, every term of the gradient is computed"
  return _cut_cross_entropy(note, filter_eps=None)


def _cce_filtered() -> Rival:
  note = _ALONE + "its default, small terms of the gradient are left out"
  return _cut_cross_entropy(note)


def _cut_cross_entropy(note, **options) -> Rival:
  from cut_cross_entropy import linear_cross_entropy

  def fn(hidden, weights, targets):
    loss = linear_cross_entropy(
      hidden, weights, targets, reduction="none", **options
    )
    return (-loss,)

  return Rival(fn, ("logp",), note)


def _liger() -> Rival:
  from liger_kernel.transformers import LigerFusedLinearCrossEntropyLoss

  loss = LigerFusedLinearCrossEntropyLoss(reduction="none")
  fn = lambda hidden, weights, targets: (-loss(weights, hidden, targets),)
  note = "its default, the gradient is summed in the type of the weights"
  return Rival(fn, ("logp",), _ALONE + note)


_MAKERS = {
  "torch": _eager,
  "torch_compile": _compiled,
  "cce": _cce,
  "cce_filtered": _cce_filtered,
  "liger": _liger,
}
