"""Which parameters of a decoder are trained, frozen, or a slow copy."""

from collections.abc import Iterable, Mapping

import jax
import jax.numpy as jnp

from rlvr_jax import stats
from rlvr_jax.models import lora
from rlvr_jax.models.transformer import Transformer
from rlvr_jax.training import precision
from rlvr_jax.training.state import TrainState
from rlvr_jax.types import Need, PyTree


class Weights:
  """The parameter sets of a run.

  `ref`, which the programs take beside the state, are the frozen ones: the
  reference policy, and with adapters also the weights below these.

  Args:
    model: the decoder.
    needs: of the chain; a set that none of them names is not kept.
  """

  def __init__(self, model: Transformer, needs: Iterable[Need]):
    self._model = model
    self._named = frozenset(name for need in needs for name in need.params)
    self.adapted = model.config.lora is not None

  def frozen(self, params: PyTree) -> PyTree | None:
    """`ref`, of the parameters at the beginning; None if nothing reads it."""
    if self.adapted:
      return lora.split(params)[0]
    return params if "ref" in self._named else None

  def trained(self, params: PyTree) -> PyTree:
    """What the state holds of the parameters at the beginning."""
    return lora.split(params)[1] if self.adapted else params

  def whole(self, trained: PyTree, ref: PyTree | None) -> PyTree:
    """All parameters of the decoder, of those that are trained."""
    return lora.join(ref, trained) if self.adapted else trained

  def model(self, ref: PyTree | None) -> stats.Model:
    """The decoder as functions of what is trained."""
    return lora.Adapted(self._model, ref) if self.adapted else self._model

  def sets(
    self, state: TrainState, ref: PyTree | None
  ) -> Mapping[str, PyTree | None]:
    """By the name that needs know them by, for functions of `model`."""
    origin = None if self.adapted else ref
    sets = {"policy": state.params, "ref": origin, "ema": state.ema}
    if state.learned is not None:
      sets["reward"] = state.learned.params
    return sets

  def slow_copy(self, trained: PyTree) -> PyTree | None:
    """The slow copy at the beginning, f32; None if nothing reads it."""
    if "ema" not in self._named:
      return None
    return jax.tree.map(lambda x: x.astype(jnp.float32), trained)

  def followed(
    self, slow: PyTree | None, trained: PyTree, opt: PyTree, decay: float
  ) -> PyTree | None:
    """The slow copy after a step: decay of itself, the rest of the new.

    It follows the optimizer's own copies where it has some, since the weights
    of the model are these, rounded.
    """
    if slow is None:
      return None
    new = precision.exact(trained, opt)
    return jax.tree.map(lambda s, x: decay * s + (1 - decay) * x, slow, new)
