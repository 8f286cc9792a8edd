"""Open-set adaptation: whose confidence fell, and what becomes of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rlvr_jax
from golden_adapters import common
from rlvr_jax import transform
from rlvr_jax.methods.dr_grpo import dr_grpo
from rlvr_jax.methods.open_set_tta import (
  ANSWER,
  ENTROPY,
  KEEP,
  PROMPT,
  REF_LOGP,
  WRITES,
  AnswerTokens,
  open_set_tta,
)
from rlvr_jax.methods.ttrl import ttrl
from rlvr_jax.notes import ANSWER as NOTE
from rlvr_jax.types import Clock, Responses

pytestmark = pytest.mark.usefixtures("quick_compile")

A, B, C = 11, 22, 33


def batch_of(answers, prompt=7, group=None, reward=None, logp=None, ref=None):
  """One response per answer; -1 is none."""
  rows = len(answers)
  logp = np.zeros((rows, 1)) if logp is None else np.asarray(logp)
  notes = {
    PROMPT.key: np.broadcast_to(np.int32(prompt), rows),
    ANSWER.key: np.array(answers, np.int32),
    WRITES.key: np.ones(logp.shape, np.int32),
  }
  batch = common.batch(
    logp,
    None,
    np.ones(logp.shape),
    reward=np.ones(rows) if reward is None else reward,
    group=group,
    notes=notes,
    stats={REF_LOGP.key: logp if ref is None else np.asarray(ref)},
  )
  if group is not None:
    batch = batch.replace(group=jnp.asarray(group, jnp.int32))
  return batch


def run(batches, **parameters):
  """The batches after the method, and its state."""
  method = open_set_tta(**parameters)
  prepare = jax.jit(rlvr_jax.prepare(method))
  state, found = rlvr_jax.chain(method).init(None), []
  for step, batch in enumerate(batches):
    batch, state = prepare(batch, state, Clock(step, 0, jax.random.key(0)))
    found.append(batch)
  return found, state[method.name]


def kept(*batches, **parameters):
  """Whether the rows of the last batch still count."""
  found, _ = run(batches, **dict(slack=0.0) | parameters)
  return found[-1].mask[:, 0].tolist()


def test_the_first_time_everything_is_kept_and_remembered():
  ((found,), state) = run([batch_of([A, A, A, B])], slots=4)
  assert found.mask.all()
  assert found.metrics["open_set_tta/judged_fraction"] == 0
  slot = 7 % 4
  assert (state.prompt[slot], state.answer[slot]) == (7, A)
  assert (state.confidence[slot], state.votes[slot]) == (0.75, 4)


def test_an_unchanged_policy_keeps_every_prompt():
  votes = batch_of([A, A, B, C, -1, A])
  assert all(kept(votes, votes))
  found, _ = run([votes, votes], slack=0.0)
  assert found[-1].metrics["open_set_tta/judged_fraction"] == 1
  assert found[-1].metrics["open_set_tta/confidence"] == 0.5


def test_a_prompt_is_dropped_when_its_first_answer_loses_votes():
  first = batch_of([A, A, A, B])
  assert not any(kept(first, batch_of([A, A, B, B])))
  assert all(kept(first, batch_of([A, A, A, A])))
  # Another majority since then is no confidence in the first one.
  assert not any(kept(first, batch_of([B, B, B, B])))


def test_what_is_remembered_is_the_first_visit_not_the_last():
  first, between = batch_of([A, A, B, B, A]), batch_of([A] * 5)
  assert all(kept(first, between, batch_of([A, A, A, B, B])))


def test_the_slack_is_in_standard_errors_of_both_shares():
  first = batch_of([A] * 6 + [B] * 2)
  # s = sqrt(0.75 x 0.25 x (1 / 8 + 1 / 4)) = 0.265, and the share falls 0.25.
  later = batch_of([A, A, B, B])
  assert all(kept(first, later, slack=1.0))
  assert not any(kept(first, later, slack=0.9))
  assert all(kept(first, later, slack=0.9, margin=0.02))


def test_of_noise_alone_slack_keeps_more_than_the_literal_rule():
  dice = np.random.default_rng(0)
  rows, prompts = 8, 200
  poll = lambda: np.where(dice.random(rows * prompts) < 0.9, A, B)
  prompt = np.repeat(np.arange(prompts), rows)
  group = prompt * rows
  first, later = (batch_of(poll(), prompt, group) for _ in range(2))
  share = lambda slack: np.mean(kept(first, later, slack=slack))
  literal, slack = share(0.0), share(1.0)
  assert 0.5 < literal < 0.8
  assert slack > literal


def test_each_prompt_has_its_own_memory():
  first = batch_of([A, A, B, B, B, A], [1, 1, 1, 2, 2, 2], [0, 0, 0, 1, 1, 1])
  later = batch_of([A, A, A, A, A, B], [1, 1, 1, 2, 2, 2], [0, 0, 0, 1, 1, 1])
  assert kept(first, later) == [True] * 3 + [False] * 3


def test_a_prompt_whose_slot_is_taken_is_never_judged():
  first, other = batch_of([A, A], 1), batch_of([B, C], 5)
  (*_, last), state = run([first, other, other], slots=4, slack=0.0)
  assert last.mask.all()
  assert last.metrics["open_set_tta/judged_fraction"] == 0
  assert state.prompt.tolist() == [-1, 1, -1, -1]


def test_of_two_new_prompts_in_a_slot_one_is_remembered_as_a_whole():
  votes = batch_of([A, A, B, C], [1, 1, 5, 5], [0, 0, 1, 1])
  _, state = run([votes], slots=4)
  assert state.prompt[1] == 5 and state.confidence[1] == 0.5
  assert state.answer[1] == C


def test_a_prompt_that_nobody_answers_is_not_remembered():
  _, state = run([batch_of([-1, -1])])
  assert (state.prompt < 0).all()


def test_responses_of_a_further_draw_do_not_vote_but_are_judged():
  first = batch_of([A, A, A, B])
  later = batch_of([A, A, A, A, B, B, B, B]).replace(
    source=jnp.array([0] * 4 + [1] * 4)
  )
  assert all(kept(first, later))


def test_rows_without_a_group_vote_and_are_kept():
  group = [0, 0, 0, -1]
  first = batch_of([A, A, B, A], group=group)
  assert all(kept(first, batch_of([A, B, A, A], group=group)))
  assert kept(first, batch_of([A, A, B, B], group=group)) == [False] * 3 + [
    True
  ]


def test_padding_does_not_vote():
  padding = jnp.array([0, 0, 0, -1])
  pad = lambda batch: batch.replace(prompt=padding, group=padding)
  _, state = run([pad(batch_of([A, A, B, B]))], slots=4)
  assert state.votes[7 % 4] == 3


def test_rows_that_only_vote_for_ttrl_vote_here_too():
  answers, voted = [B, B, A, A, A, A], {NOTE.key: np.array([0, 0, 2, 2, 2, 2])}
  batch = batch_of(answers)
  batch = batch.replace(notes=batch.notes | voted)
  method = transform.chain(ttrl(train=2), open_set_tta(slots=4))
  prepare = jax.jit(rlvr_jax.prepare(method))
  clock = Clock(0, 0, jax.random.key(0))
  found, state = prepare(batch, method.init(None), clock)
  assert found.mask[:, 0].tolist() == [True] * 2 + [False] * 4
  state = state["open_set_tta"]
  assert (state.answer[3], state.votes[3]) == (A, 6)
  np.testing.assert_allclose(state.confidence[3], 4 / 6, rtol=1e-6)


@pytest.mark.parametrize("answers", [[A, A, B, B], [B, A, B, A]])
def test_of_equally_frequent_answers_the_largest_hash_is_the_majority(answers):
  _, state = run([batch_of(answers)], slots=4)
  assert state.answer[3] == B


def test_what_is_dropped_moves_no_mean_of_its_group():
  logp, ref = np.log([[0.5], [0.5], [0.2]]), np.log([[0.4]] * 3)
  batch = batch_of([A] * 3, reward=[1.0, 0.0, 1.0], logp=logp, ref=ref)
  method = transform.chain(open_set_tta("likelihood"), dr_grpo())
  found = jax.jit(lambda b: common.prepared(method, b))(batch)
  assert found.group.tolist() == [0, 0, -1]
  np.testing.assert_allclose(found.advantages[:2, 0], [0.5, -0.5])


def test_until_votes_are_collected_nothing_trains():
  votes = batch_of([A, A])
  found, state = run([votes] * 3, collect=2)
  assert [bool(b.mask.any()) for b in found] == [False, False, True]
  assert state.confidence.max() == 1


def test_a_response_is_judged_by_the_likelihood_of_its_answer():
  batch = batch_of(
    [A, A, A], logp=np.log([[0.5], [0.2], [0.3]]), ref=np.log([[0.4]] * 3)
  )
  how = dict(rule="likelihood")
  assert kept(batch, **how) == [True, False, False]
  assert kept(batch, **how, margin=0.15) == [True, False, True]
  same = batch_of([A] * 2, logp=[[-1.0], [-2.0]])
  assert all(kept(same, **how))


def test_a_response_without_its_answer_in_it_is_kept():
  batch = batch_of([A, A], logp=[[-3.0], [-3.0]], ref=[[-1.0], [-1.0]])
  notes = batch.notes | {WRITES.key: jnp.array([[0], [1]])}
  assert kept(batch.replace(notes=notes), rule="likelihood") == [True, False]


def test_the_tokens_of_an_answer_are_where_it_stands_last():
  pieces = [list("7 or 17"), ["so ", "1", "7."], ["no"], ["17"]]
  given = Responses([""] * 4, [], pieces, ["17", "17", "17", None], [], 8)
  found = AnswerTokens().annotate(given)
  want = [[0, 0, 0, 0, 0, 1, 1, 0], [0, 1, 1] + [0] * 5, [0] * 8, [0] * 8]
  np.testing.assert_array_equal(found, want)


def test_the_entropy_of_the_answers_may_be_bounded():
  group = [0, 0, 1, 1, 2, 2, 2, 2]
  votes = batch_of([A, A, A, B, A, B, C, -1], group, group)
  # H is 0, ln 2 and ln 4.
  how = dict(rule="all", entropy_low=0.0, entropy_high=1.0)
  assert kept(votes, **how) == [False] * 2 + [True] * 2 + [False] * 4
  ((found,), _) = run([votes], **how)
  want = (2 * np.log(2) + 4 * np.log(4)) / 8
  entropy = found.metrics["open_set_tta/answer_entropy"]
  np.testing.assert_allclose(entropy, want, rtol=1e-6)


def test_a_dropped_prompt_may_get_reward_zero_and_still_count():
  pair = batch_of([A, A]), batch_of([A, B], reward=[1.0, -2.0])
  (_, found), _ = run(pair, slack=0.0, on_drop="reward_zero")
  assert found.mask.all() and not np.asarray(found.reward).any()


def loss_of(keep, **parameters):
  """Loss and its gradient by log-probs; H is 2 and 3 nats."""
  method = open_set_tta(rule="all", **parameters)
  batch = common.batch([[0.0], [0.0]], [[1.0], [1.0]], [[1], [1]])
  batch = batch.replace(notes={KEEP: jnp.float32(keep)})
  stats = {ENTROPY.key: np.float32([[2], [3]])}
  return common.loss_and_grad(method, batch, [[0.0], [0.0]], stats=stats)


def test_tent_lowers_the_entropy_of_what_is_kept_alone():
  loss, _, metrics = loss_of([1, 0], entropy_coef=0.5)
  np.testing.assert_allclose(loss, -1 + 0.5 * 2 / 2)
  assert metrics["open_set_tta/entropy"] == 2


def test_a_dropped_prompt_may_gain_entropy_and_lose_its_policy_loss():
  loss, slope, _ = loss_of([1, 0], on_drop="maximise_entropy", drop_coef=0.1)
  np.testing.assert_allclose(loss, -1 / 2 - 0.1 * 3 / 2, rtol=1e-6)
  np.testing.assert_array_equal(slope, [[-0.5], [0]])


@pytest.mark.parametrize(
  "wrong",
  [
    {"rule": "majority"},
    {"on_drop": "skip"},
    {"slack": -1.0},
    {"margin": -0.1},
    {"drop_coef": -1.0},
    {"entropy_coef": -1.0},
    {"collect": -1},
    {"collect": 2, "rule": "all", "entropy_coef": 0.1},
    {"collect": 2, "rule": "likelihood"},
    {"slots": 0},
  ],
)
def test_a_parameter_out_of_range_is_named(wrong):
  name = next(iter(wrong))
  with pytest.raises(ValueError, match=rf"open_set_tta\.{name} = "):
    open_set_tta(**wrong)
