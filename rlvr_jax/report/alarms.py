"""Signs that a run has gone wrong, each with what to try next."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from rlvr_jax.report import curves
from rlvr_jax.report.runs import NO_POINTS, Run, is_labelled, target_entropy

COLLAPSED_NATS = 0.02
RISE_NATS = 2.0
TARGET_MISS = 0.1  # relative
REWARD_JUMP = 0.1
ACCURACY_FLAT = 0.01
RECENT = 0.1  # share of the run that "lately" means


class Alarm(NamedTuple):
  """One finding about one run."""

  label: str
  name: str  # folder of the run
  text: str


class _Limit(NamedTuple):
  """A metric whose recent mean must stay below a limit."""

  key: str
  limit: float
  text: str


_LIMITS = (
  _Limit(
    "rollout/truncated_fraction",
    0.5,
    "of the responses reach the length limit; raise it or shape the length.",
  ),
  _Limit(
    "reward/zero_std_fraction",
    0.8,
    "of the groups have one reward for all samples and teach nothing; choose "
    "problems of medium difficulty or sample more per problem.",
  ),
  _Limit(
    "guard/skipped_fraction",
    0.1,
    "of the updates were refused, not finite or a spike; lower the "
    "learning rate.",
  ),
  # Our choice: no source states a limit for this estimator.
  _Limit(
    "mismatch/k3",
    0.01,
    "nats lie between sampler and trainer with the same parameters; check "
    "precision and temperature of both.",
  ),
)
_MUST_BE_FINITE = (
  "update/gradient_norm",
  "policy/entropy",
  "reward/mean",
  "loss/kl",
)


def alarms(runs: Sequence[Run]) -> list[Alarm]:
  """Returns what is wrong with the runs, in their order; empty if nothing."""
  checks: tuple[Callable[[Run], list[str]], ...] = (
    _not_finite,
    _entropy,
    _off_target,
    _beyond_limits,
    _hollow_reward,
  )
  return [
    Alarm(run.label, run.name, text)
    for run in runs
    for check in checks
    for text in check(run)
  ]


def _not_finite(run: Run) -> list[str]:
  found = []
  for key in _MUST_BE_FINITE:
    steps, values = run.metrics.get(key, NO_POINTS)
    bad = steps[~np.isfinite(values)]
    if len(bad) and (key != "reward/mean" or is_labelled(run)):
      found.append(
        f"{key} is not finite at {len(bad)} of {len(steps)} steps, first at "
        f"step {bad[0]}; lower the learning rate or clip the gradient."
      )
  return found


def _entropy(run: Run) -> list[str]:
  _, values = run.metrics.get("policy/entropy", NO_POINTS)
  values = values[np.isfinite(values)]
  if not values.size:
    return []
  found, last = [], curves.tail_mean(run, "policy/entropy", RECENT)
  if last < COLLAPSED_NATS:
    found.append(
      f"entropy is {last:.2g} nats, below {COLLAPSED_NATS:g}: the policy has "
      "collapsed and explores no more."
    )
  if values.max() - values[0] > RISE_NATS:
    found.append(
      f"entropy rose by {values.max() - values[0]:.2g} nats, more than "
      f"{RISE_NATS:g}: the policy drifts to noise; lower the entropy reward."
    )
  return found


def _off_target(run: Run) -> list[str]:
  target = target_entropy(run)
  held = curves.tail_mean(run, "policy/entropy", 1 / 3)
  if not target or held is None or abs(held / target - 1) <= TARGET_MISS:
    return []
  return [
    f"entropy held at {held:.3g} nats over the last third, {held / target:.0%} "
    f"of its target {target:.3g}."
  ]


def _beyond_limits(run: Run) -> list[str]:
  found = []
  for key, limit, text in _LIMITS:
    value = curves.tail_mean(run, key, RECENT)
    if value is not None and value > limit:
      found.append(f"{key} = {value:.3g} (limit {limit:g}) {text}")
  return found


def _hollow_reward(run: Run) -> list[str]:
  _, reward = run.metrics.get("reward/mean", NO_POINTS)
  _, solved = run.metrics.get("eval/pass@1", NO_POINTS)
  reward, solved = reward[np.isfinite(reward)], solved[np.isfinite(solved)]
  if len(reward) < 2 or len(solved) < 2:
    return []
  few = max(1, round(RECENT * len(reward)))
  gain = reward[-few:].mean() - reward[:few].mean()
  progress = solved[-1] - solved[0]
  if gain <= REWARD_JUMP or progress >= ACCURACY_FLAT:
    return []
  return [
    f"reward rose by {gain:.2f} while pass@1 moved by {progress:+.3f}: look "
    "for a reward hack or for overfitting in the samples."
  ]
