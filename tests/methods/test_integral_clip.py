"""The upper clip bound that an integral controller of the entropy moves."""

import jax
import numpy as np
import pytest

import rlvr_jax
from golden_adapters import common
from rlvr_jax.methods.integral_clip import ROLLOUT_ENTROPY, integral_clip
from rlvr_jax.stats import LOGP
from rlvr_jax.types import Clock

pytestmark = pytest.mark.usefixtures("quick_compile")

CLOCK = Clock(0, 0, jax.random.key(0))


def rollout(entropy, **fields):
  nats = np.asarray(entropy, np.float32)
  stats = {ROLLOUT_ENTROPY.key: nats}
  ones = np.ones(nats.shape)
  return common.batch(0 * nats, ones, ones, stats=stats, **fields)


def widths(entropies, **parameters):
  """The width after each rollout of one token."""
  method = integral_clip(**parameters)
  prepare = jax.jit(rlvr_jax.prepare(method))
  state, found = rlvr_jax.chain(method).init(None), []
  for entropy in entropies:
    state = prepare(rollout([[entropy]]), state, CLOCK)[1]
    found.append(float(state["integral_clip"].width))
  return found


def test_the_bound_opens_below_the_target_and_closes_above_it():
  # Exact in binary: a rate of 1/4, errors 1/2, 1/2, -1/2.
  range_ = dict(low=0.25, high=0.5, initial=0.25)
  found = widths([0.5, 0.5, 1.5], target_entropy=1.0, rate=0.25, **range_)
  assert found == [0.375, 0.5, 0.375]


def test_the_bound_stays_in_its_range():
  range_ = dict(low=0.25, high=0.5, initial=0.375)
  entropies = [0.0, 0.0, 9.0, 9.0, 0.0]
  found = widths(entropies, target_entropy=1.0, rate=1.0, **range_)
  assert found == [0.5, 0.5, 0.25, 0.25, 0.5]


def test_only_the_main_draw_is_measured():
  batch = rollout([[0.5, 1.5], [7.0, 7.0]], source=np.array([0, 1]))
  metrics = common.prepared(integral_clip(), batch).metrics
  assert metrics["integral_clip/measured"] == 1.0


def test_a_ratio_inside_the_moved_bound_keeps_its_gradient():
  batch = rollout([[0.0]])
  logp = np.log(np.float32([[1.4]]))

  def slope(entropy):
    method = rlvr_jax.chain(
      integral_clip(target_entropy=1.0, rate=0.3, initial=0.2)
    )
    moved = rollout([[entropy]])
    state = rlvr_jax.prepare(method)(moved, method.init(moved), CLOCK)[1]
    loss = rlvr_jax.loss(method)
    total = lambda logp: loss({LOGP.key: logp}, batch, state, CLOCK)[0]
    return float(jax.grad(total)(logp)[0, 0])

  # Width 0.5 lets the ratio 1.4 pass, width 0.2 does not.
  assert slope(0.0) == pytest.approx(-1.4)
  assert slope(1.0) == 0.0


@pytest.mark.parametrize(
  "wrong",
  [
    {"target_entropy": -1.0},
    {"rate": -1.0},
    {"low": 0.6},
    {"initial": 0.1},
  ],
)
def test_a_parameter_out_of_range_is_named(wrong):
  (name,) = wrong
  with pytest.raises(ValueError, match=rf"integral_clip\.{name} = "):
    integral_clip(**wrong)
