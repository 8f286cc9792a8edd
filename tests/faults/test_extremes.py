"""Log-probs far apart: what is clipped is counted right, and no more."""

import numpy as np
import pytest

from golden_adapters import common
from rlvr_jax import methods

MASK = [[1, 1, 1, 1, 0]]
ADVANTAGES = [[1.0, -1.0, 1.0, -1.0, np.nan]]


@pytest.mark.parametrize("gap", [50.0, 1e4])
def test_ratios_beyond_all_bounds_are_clipped_where_the_rule_says(gap):
  old = [[-gap, -gap, 0.0, 0.0, np.nan]]
  new = [[0.0, 0.0, -gap, -gap, np.nan]]
  batch = common.batch(old, ADVANTAGES, MASK)
  clip = methods.make("ppo_clip", low=0.2, high=0.3)
  loss, gradient, metrics = common.loss_and_grad(clip, batch, np.array(new))
  # Up with A > 0 and down with A < 0 are clipped, the others are bounded.
  each = [-1.3, np.exp(20.0), -np.exp(-20.0), 0.8]
  np.testing.assert_allclose(loss, np.mean(each), rtol=1e-6)
  assert metrics["loss/clipped_high_fraction"] == 1 / 4
  assert metrics["loss/clipped_low_fraction"] == 1 / 4
  assert metrics["loss/clipped_fraction"] == 1 / 2
  np.testing.assert_allclose(metrics["loss/ratio_max"], np.exp(20), rtol=1e-6)
  assert np.isfinite(gradient).all()
  assert not gradient[0, [0, 3, 4]].any()
