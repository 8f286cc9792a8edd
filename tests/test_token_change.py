"""True entropy changes of tokens, and those who foresee them."""

import numpy as np
import pytest
from scipy import stats

from rlvr_jax import testing
from rlvr_jax.analysis import entropy_dynamics, token_change
from rlvr_jax.training import policy_step

pytestmark = pytest.mark.usefixtures("quick_compile")

POLICY = np.array([0.7, 0.2, 0.1])
ENTROPY = 0.80181855


def entropy_of(p):
  return -(p * np.log(p)).sum(axis=-1)


def softmax(z):
  p = np.exp(z - z.max(axis=-1, keepdims=True))
  return p / p.sum(axis=-1, keepdims=True)


def table(seed=0, states=40, vocabulary=6, tokens=120):
  """Logits, and tokens sampled from them with advantages of either sign."""
  dice = np.random.default_rng(seed)
  logits = 1.5 * dice.normal(size=(states, vocabulary))
  at = np.resize(np.arange(states), tokens)
  chosen = np.array([dice.choice(vocabulary, p=softmax(logits[s])) for s in at])
  gain = dice.normal(size=tokens)
  return logits, at, chosen, gain, np.ones(tokens, bool)


def stepped(learning_rate=1.0, **sizes):
  return token_change.tabular(*table(**sizes), learning_rate)


def test_the_full_estimate_is_exact_to_first_order():
  logits, at, chosen, gain, mask = table()

  def error(rate):
    step = token_change.tabular(logits, at, chosen, gain, mask, rate)
    exact = token_change.estimates(step)["exact"]
    change = np.zeros(len(logits))
    change[at] = step.change
    return change - token_change.by_state(exact, at, step)

  large, small = error(4.0), error(2.0)
  assert np.abs(small).max() > 1e-5  # far above rounding
  ratio = np.linalg.norm(large) / np.linalg.norm(small)
  assert ratio == pytest.approx(4, rel=0.05)


@pytest.mark.parametrize(
  "name, moved", [("theorem", lambda p: 1 - p), ("discriminator", lambda p: 1)]
)
def test_the_others_are_exact_where_one_logit_moves(name, moved):
  logits, at, chosen, gain, mask = table(states=30, tokens=30)

  def error(rate):
    step = token_change.tabular(logits, at, chosen, gain, mask, rate)
    after = logits.copy()
    p = softmax(logits)[at, chosen]
    after[at, chosen] += step.step_size * gain * moved(p)
    true = entropy_of(softmax(after)) - entropy_of(softmax(logits))
    return true - token_change.estimates(step)[name]

  large, small = error(1.0), error(0.5)
  ratio = np.linalg.norm(large) / np.linalg.norm(small)
  assert ratio == pytest.approx(4, rel=0.05)


def test_the_full_estimate_is_that_of_the_entropy_dynamics():
  step = stepped()
  theirs = entropy_dynamics.entropy_change(*step[:4], step.step_size)
  ours = token_change.estimates(step)["exact"]
  np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_the_released_form_lacks_the_probability_of_the_theorem():
  step = stepped()
  found = token_change.estimates(step)
  theorem = found["released"] * np.exp(step.logp)
  np.testing.assert_allclose(theorem, found["theorem"], rtol=1e-5, atol=1e-12)


def test_with_two_tokens_the_full_estimate_is_twice_the_theorem():
  found = token_change.estimates(stepped(vocabulary=2))
  np.testing.assert_allclose(found["exact"], 2 * found["theorem"], atol=1e-8)


def test_the_estimates_of_three_tokens_are_the_published_numbers():
  once, state = np.ones(3), np.zeros(3, int)
  logits, tokens = np.log(POLICY)[None], np.arange(3)
  step = token_change.tabular(logits, state, tokens, once, once > 0, 3.0)
  assert step.step_size == 1
  np.testing.assert_allclose(step.entropy, ENTROPY)
  found = token_change.estimates(step)
  theorem = [-0.09348016, 0.1292191, 0.13506899]
  np.testing.assert_allclose(found["theorem"], theorem, rtol=1e-6)
  s = np.array([0.31160053, -0.16152387, -0.15007665])
  np.testing.assert_allclose(found["exact"], 0.17080793 - s, rtol=1e-6)


def test_the_product_of_clip_cov_averages_to_the_covariance():
  step = stepped()
  found = token_change.estimates(step)["covariance"] / step.step_size
  expected = -np.cov(step.advantages, step.logp, ddof=0)[0, 1]
  assert found.mean() == pytest.approx(expected, rel=1e-4)
  moved = step._replace(advantages=step.advantages + 3, logp=step.logp - 1)
  again = token_change.estimates(moved)["covariance"] / step.step_size
  np.testing.assert_allclose(again, found, atol=1e-5)


def test_each_quadrant_moves_the_entropy_its_own_way():
  step = stepped(states=3000, tokens=3000)
  found = token_change.estimates(step)
  for name in ("released", "theorem", "exact", "discriminator"):
    split = token_change.quadrants(step, found[name])
    signs = {
      k: (np.sign(q.change), np.sign(q.estimate)) for k, q in split.items()
    }
    assert signs == {
      "positive_probable": (-1, -1),
      "positive_rare": (1, 1),
      "negative_probable": (1, 1),
      "negative_rare": (-1, -1),
    }, name
  assert sum(q.share for q in split.values()) == pytest.approx(1)
  # Token by token for the theorem, whose sign is that of -A (log p + H).
  expected = -np.sign(step.advantages * (step.logp + step.entropy))
  np.testing.assert_array_equal(np.sign(found["theorem"]), expected)


def test_tokens_on_a_boundary_are_in_no_quadrant():
  step = stepped(states=4, tokens=4)
  step = step._replace(
    logp=-step.entropy + np.array([0, 0, 1, -1]),
    advantages=np.array([1.0, -1.0, 0.0, 2.0]),
  )
  split = token_change.quadrants(step, np.full(4, 7.0))
  assert {k: q.share for k, q in split.items() if q.share} == {
    "positive_rare": 0.25
  }
  assert split["positive_rare"].estimate == 7
  assert split["negative_rare"] == (0, 0, 0)


@pytest.mark.parametrize("entropy", [0.3, 1.0, 2.0])
def test_the_magnitude_vanishes_at_both_ends_and_on_the_boundary(entropy):
  at = lambda *p: token_change.magnitude(np.array(p), entropy)
  np.testing.assert_allclose(at(1e-7, np.exp(-entropy), 1 - 1e-6), 0, atol=3e-6)
  p = np.linspace(0.02, 0.98, 49)
  expected = p * (1 - p) * np.abs(np.log(p) + entropy)
  np.testing.assert_allclose(at(*p), expected, rtol=1e-4, atol=1e-7)


def shuffled(step, order):
  return token_change.Step(*(x[order] for x in step[:6]), step.step_size)


def padded(step):
  junk = lambda x: np.append(x, [np.nan, 1e9])
  arrays = {k: junk(getattr(step, k)) for k in step._fields[:6] if k != "mask"}
  return step._replace(**arrays, mask=np.append(step.mask, [False, False]))


@pytest.mark.parametrize(
  "changed",
  [lambda s: shuffled(s, np.random.default_rng(1).permutation(120)), padded],
)
def test_neither_the_order_of_tokens_nor_padding_changes_a_figure(changed):
  step = stepped()
  other = changed(step)
  for name, found in token_change.scores(other).items():
    expected = token_change.scores(step)[name]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
  split = lambda s: token_change.quadrants(
    s, token_change.estimates(s)["exact"]
  )
  for a, b in zip(split(step).values(), split(other).values()):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-12)


def test_the_scores_are_those_of_scipy():
  dice = np.random.default_rng(0)
  x = dice.normal(size=50).round(1)  # with ties
  y = x + dice.normal(size=50)
  mask = np.arange(50) < 40
  found = token_change.score(x, y, mask)
  assert found.mse == pytest.approx(np.mean((x - y)[mask] ** 2))
  assert found.pearson == pytest.approx(stats.pearsonr(x[mask], y[mask])[0])
  assert found.spearman == pytest.approx(stats.spearmanr(x[mask], y[mask])[0])
  constant = token_change.score(x, np.ones(50), mask)
  assert np.isnan(constant.pearson) and np.isnan(constant.spearman)
  with pytest.raises(ValueError, match="1 tokens count"):
    token_change.score(x, y, np.arange(50) < 1)


@pytest.fixture(scope="module")
def bigram():
  """A step of a bigram table, which is a tabular policy, in two slices."""
  example = testing.tiny(prompts=2, per_prompt=2, length=5, vocabulary=7)
  gain = np.random.default_rng(0).normal(size=example.batch.mask.shape)
  gain = np.where(example.batch.mask, gain, np.nan).astype(np.float32)
  batch = example.batch.replace(advantages=gain)
  measure = policy_step.measure(example.model, slices=2)
  params = example.params["policy"]
  return batch, params, lambda rate: measure(params, batch, rate)


def test_a_model_that_is_a_table_changes_as_the_table_does(bigram):
  batch, params, measure = bigram
  before = np.array(params)
  step = measure(3.0)
  states = np.asarray(batch.tokens)[:, batch.prompt_mask.shape[1] - 1 : -1]
  expected = token_change.tabular(
    np.array(params, np.float64), states, np.asarray(batch.response),
    batch.advantages, batch.mask, 3.0,
  )  # fmt: skip
  assert np.abs(expected.change[step.mask]).max() > 0.01
  for name in step._fields[:6]:
    found, wanted = (getattr(s, name)[step.mask] for s in (step, expected))
    np.testing.assert_allclose(found, wanted, atol=3e-6, err_msg=name)
  assert step.step_size == pytest.approx(expected.step_size)
  np.testing.assert_array_equal(params, before)


def test_half_the_learning_rate_makes_half_the_change(bigram):
  _, _, measure = bigram
  whole, half = measure(0.02), measure(0.01)
  np.testing.assert_allclose(whole.change, 2 * half.change, atol=2e-6)
  assert np.abs(whole.change).max() > 1e-4


def test_the_table_of_a_model_has_one_state_for_each_prefix(bigram):
  batch, params, _ = bigram
  # Rows 0 and 2 begin alike; row 2 has junk before its prompt.
  tokens = np.asarray(batch.tokens).copy()
  prompt_mask = np.asarray(batch.prompt_mask).copy()
  prompt_mask[[0, 2], 0] = False
  tokens[2, 1:5], tokens[2, 0] = tokens[0, 1:5], 1 + tokens[0, 0]
  tokens[2, 5] = (tokens[0, 5] + 1) % 7
  mask = np.ones(batch.mask.shape, bool)
  batch = batch.replace(
    tokens=tokens, prompt_mask=prompt_mask, mask=mask,
    advantages=np.where(mask, 1.0, 0.0).astype(np.float32),
  )  # fmt: skip
  model = testing.Bigram()
  step = policy_step.tabulated(model, params, batch, 2.0)
  # In the first three positions the two rows are in the same states.
  np.testing.assert_array_equal(step.change[0, :3], step.change[2, :3])
  # A state met once: the step on its token alone.
  alone = token_change.tabular(
    np.array(params)[tokens[1, 5]][None], np.zeros(1, int), tokens[1, 6:7],
    np.ones(1), np.ones(1, bool), step.step_size,
  )  # fmt: skip
  np.testing.assert_allclose(step.change[1, 3], alone.change[0], rtol=1e-5)
