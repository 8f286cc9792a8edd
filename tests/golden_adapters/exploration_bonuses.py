"""Reference vectors of E3B's code: ellipsoids, counts and NovelD."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from golden_adapters import common
from golden_adapters.common import assert_close
from rlvr_jax import novelty
from rlvr_jax.methods.exploration_bonuses import exploration_bonuses
from rlvr_jax.notes import Hashed
from rlvr_jax.stats import Features
from rlvr_jax.types import Need

PLAIN = dict(coef=1.0, order="sequential", norm="none", gate="all")
SLOTS = 64
# The code inverts C in float32: case 1 of it is 2.3e-6 from what float64 gives,
# which `_exact` holds this library to.
INVERTED = 3e-6


def check_exploration_bonuses(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case found in `vectors`."""
  kinds = {"counts": _counts, "noveld": _noveld}
  for number, case in common.cases(vectors):
    where = f"case{number}"
    got = kinds.get(case.hp["kind"], _ellipsoid)(case)
    # What the code was given, where the method has to find it.
    wanted = case.inputs | case.out
    for name, value in got.items():
      atol = INVERTED if name == "bonus_inverse" else 1e-6
      assert_close(f"{where}: {name}", value, wanted[name], atol=atol)
    if "bonus_inverse" in got:
      assert_close(f"{where}: exact", got["bonus_inverse"], _exact(case))
    common.assert_covered(where, case, got, ())


def _ellipsoid(case: common.Case) -> dict[str, object]:
  """Each state is a response of one token, the episode a group."""
  features, ridge = case.inputs["features"], case.hp["ridge"]
  steps, size = features.shape
  stats = {Need(Features(size), when="rollout").key: features[:, None]}
  flat = np.zeros((steps, 1))

  def bonus(covariance):
    method = exploration_bonuses(
      global_bonus="none",
      ridge=ridge,
      size=size,
      scaling="raw",
      covariance=covariance,
      **PLAIN,
    )
    batch = common.batch(flat, None, flat + 1, stats=stats)
    return common.prepared(method, batch).reward

  return {
    "bonus_rank1": bonus("before"),
    "bonus_inverse": bonus("including"),
    "cov_inverse_final": novelty.sequence(jnp.asarray(features), ridge).inverse,
  }


def _exact(case: common.Case) -> np.ndarray:
  """The bonus with the state itself in C, in float64."""
  x, ridge = case.inputs["features"].astype(np.float64), case.hp["ridge"]
  before = lambda t: x[: t + 1].T @ x[: t + 1] + ridge * np.eye(x.shape[1])
  found = [x[t] @ np.linalg.solve(before(t), x[t]) for t in range(len(x))]
  return np.array([0.0, *found[1:]])


def _counts(case: common.Case) -> dict[str, object]:
  """Each state is a response; the code counts one environment after another."""
  keys, done = case.inputs["keys"].T, case.inputs["done"].T
  # An episode ends with the state that is marked.
  begins = np.pad(done[:, :-1], [(0, 0), (1, 0)], constant_values=True)
  group = np.cumsum(begins)
  flat = np.zeros((keys.size, 1))
  notes = {Need(Hashed(size=SLOTS), when="rollout").key: keys.reshape(-1)}
  batch = common.batch(flat, None, flat + 1, group=group, notes=notes)

  def bonus(episodic_bonus, global_bonus):
    method = exploration_bonuses(
      episodic_bonus=episodic_bonus,
      global_bonus=global_bonus,
      key="answer",
      slots=SLOTS,
      **PLAIN,
    )
    reward = common.prepared(method, batch).reward
    return np.asarray(reward).reshape(keys.shape).T

  # The code pays for the state that a step leads to.
  return {
    "episode_state_count": bonus("count", "none"),
    "global_state_count": bonus("none", "count"),
    "intrinsic_e": bonus("indicator", "none")[1:],
    "intrinsic_g": bonus("none", "count")[1:],
    "intrinsic_eg": bonus("indicator", "count")[1:],
  }


def _noveld(case: common.Case) -> dict[str, object]:
  inputs, hp = case.inputs, case.hp
  before = novelty.error(inputs["pred"], inputs["target"])
  following = novelty.error(inputs["pred_next"], inputs["target_next"])
  noveld = novelty.noveld(following, before, hp["scale_fac"])
  combined = novelty.combined(
    inputs["episodic_bonus"],
    noveld,
    {"mult": "multiply", "add": "add"}[hp["bonus_combine"]],
    hp["global_bonus_coeff"],
  )
  everything, steps = np.ones(combined.shape, bool), len(combined)
  first = novelty.Moments.start()._replace(count=hp["reward_count0"])
  once = first.after(combined, everything, steps)
  twice = once.after(2 * combined, everything, steps)
  return {
    "noveld": noveld,
    "combined": combined,
    "rnd_loss": following.mean(),
    "running_std_after1": once.std,
    "running_std_after2": twice.std,
  }
