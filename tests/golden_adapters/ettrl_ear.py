"""Reference vectors of PRIME-RL/TTRL's vote; ETTRL's own part has no code."""

from collections.abc import Mapping

import jax
import numpy as np

from golden_adapters import common
from golden_adapters.common import assert_close
from rlvr_jax.methods.ttrl import ttrl
from rlvr_jax.notes import ANSWER

# Output of the code to metric; of the trained rows "post_" stands before the
# one and "trained_" before the other.
_METRICS = {
  "reward_accuracy": "reward_accuracy",
  "ground_truth_ratio": "right_fraction",
}


def check_ettrl_ear(vectors: Mapping[str, np.ndarray]) -> None:
  """Asserts every case."""
  for number, case in common.cases(vectors):
    _check(f"case{number}", case)


def _check(where: str, case: common.Case) -> None:
  answers, out = case.inputs["answer_id"], case.out
  votes, train = case.hp["n_votes"], case.hp["n_train"]
  rollout = common.batch(
    np.zeros((votes, 1)),
    None,
    np.ones((votes, 1)),
    reward=answers == case.inputs["truth_id"],
    notes={ANSWER.key: answers},
  )
  methods = ttrl(), ttrl(train=train)
  every, found = jax.jit(
    lambda batch: [common.prepared(method, batch) for method in methods]
  )(rollout)
  metrics, rewards = found.metrics, np.asarray(every.reward)
  np.testing.assert_array_equal(rewards, out["rewards"], err_msg=where)
  trained = np.asarray(found.group) >= 0
  np.testing.assert_array_equal(trained, np.arange(votes) < train)
  np.testing.assert_array_equal(trained, np.asarray(found.mask)[:, 0])
  got = {
    "train_rewards": found.reward[trained],
    "majority_id": np.unique(answers[rewards > 0]).item(),
    "label_accuracy": metrics["ttrl/label_accuracy"],
    "majority_ratio": metrics["ttrl/majority_fraction"],
    "majority_voting_reward": rewards.mean(),
    f"pass_at_{votes}": metrics["ttrl/solved_fraction"],
    f"post_pass_at_{train}": metrics["ttrl/trained_solved_fraction"],
  }
  for theirs, ours in _METRICS.items():
    got[theirs] = metrics[f"ttrl/{ours}"]
    got[f"post_{theirs}"] = metrics[f"ttrl/trained_{ours}"]
  for name, value in got.items():
    assert_close(f"{where}: {name}", value, out[name])
  common.assert_covered(where, case, {*got, "rewards"}, ())
