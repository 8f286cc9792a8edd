"""Every method of the catalogue against the laws, alone and in pairs."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import compiled
from golden_adapters import common
from rlvr_jax import laws, methods, objective, reduce, stats, testing, transform
from rlvr_jax.methods import CATALOGUE
from rlvr_jax.transform import LossTransform, chain
from rlvr_jax.types import LOGP_KEY, Clock, Need
from rows import FIRST, TABLE

pytestmark = pytest.mark.usefixtures("quick_compile")


def test_every_method_of_the_catalogue_has_a_row():
  missing = sorted(CATALOGUE.keys() - FIRST.keys())
  assert not missing, f"add rows to tests/rows for {missing}"
  gone = sorted(FIRST.keys() - CATALOGUE.keys())
  assert not gone, f"tests/rows has {gone}, which are not in CATALOGUE"


def test_every_method_bears_its_name():
  for name, row in FIRST.items():
    assert methods.make(name, **row.acting).name == name


@pytest.fixture(scope="module")
def subjects():
  """One Subject per row: laws share what they compile by identity."""
  return {row.id: subject_of(row) for row in TABLE}


def subject_of(row):
  neutral = row.neutral
  return laws.Subject(
    methods.make(row.name, **row.acting),
    CATALOGUE[row.name].factory.__doc__,
    None if neutral is None else methods.make(row.name, **neutral),
    row.row_order,
  )


@pytest.fixture(scope="module")
def one_row_at_a_time():
  """May drop what was compiled once another row's turn has come."""
  seen = []

  def begin(row):
    if seen and seen[-1] is not row:
      compiled.drop()
    seen.append(row)

  return begin


def marked(row):
  """The laws of a row share what they compile: they run in one worker.

  The first row of a method is tried with every change, the others by
  `make test-long`.
  """
  marks = [pytest.mark.xdist_group(row.id)]
  if row is not FIRST[row.name]:
    marks.append(pytest.mark.long)
  return pytest.param(row, id=row.id, marks=marks)


@pytest.mark.parametrize("law", laws.LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("row", map(marked, TABLE))
def test_the_method_keeps_the_law(law, row, subjects, one_row_at_a_time):
  one_row_at_a_time(row)
  law(subjects[row.id])


@pytest.fixture(scope="module")
def everything():
  """A rollout with the statistics and notes that any method may need."""
  made = [methods.make(name, **row.acting) for name, row in FIRST.items()]
  needs = tuple(dict.fromkeys(n for method in made for n in method.needs))
  example = testing.tiny(LossTransform("everything", needs=needs))
  return example, example.stats(needs)


def trace_on(method, example, now):
  """Traces prepare and the loss with gradient on a rollout that is at hand."""
  clock = Clock(0, 0, jax.random.key(0))

  def step(batch, now):
    before = method.init(batch)
    prepare = objective.prepare(method, example.draws)
    batch, state = prepare(batch, before, clock)
    more = len(batch.mask) - len(example.batch.mask)  # replayed rows
    now = {k: jnp.pad(v, [(0, more), (0, 0)]) for k, v in now.items()}
    loss_fn = objective.loss(method, draws=example.draws)
    loss = lambda now: loss_fn(now, batch, state, clock)
    (total, (after, _)), gradient = jax.value_and_grad(loss, has_aux=True)(now)
    return total, gradient[LOGP_KEY], after, before

  return jax.eval_shape(step, example.batch, now)


def notes_of(method, example):
  """What a method notes of the rows in its prepare, under its name."""
  prepare = objective.prepare(method, example.draws)
  state = chain(method).init(example.batch)
  clock = Clock(0, 0, jax.random.key(0))
  batch, _ = jax.eval_shape(prepare, example.batch, state, clock)
  return batch.notes.keys() - example.batch.notes.keys()


def trace(method):
  """Traces one step with gradient, without compiling or computing."""
  method = chain(method)

  def step():
    example = testing.tiny(method)
    state = method.init(example.batch)
    clock = Clock(0, 0, jax.random.key(0))
    outcome = testing.traceable_step(method, example, state, clock)
    return outcome.loss, outcome.gradient, outcome.state, state

  return jax.eval_shape(step)


@pytest.mark.parametrize(
  "part",
  [0, *(pytest.param(n, marks=pytest.mark.long) for n in range(1, 8))],
)
@pytest.mark.parametrize("first", sorted(FIRST))
def test_all_pairs_trace_with_gradient_or_name_both_owners(
  first, part, everything
):
  """A quarter of the pairs at a time, in one order and then in the other."""
  built = {name: methods.make(name, **FIRST[name].acting) for name in FIRST}
  names = sorted(FIRST)
  for place, second in enumerate(names):
    if first == second:
      continue
    # Which comes first is different for neighbours.
    both = names.index(first) + place
    turned = (first < second) == (both % 2 == 1)
    if 4 * turned + both // 2 % 4 != part:
      continue
    a, b = built[first], built[second]
    if set(a.owns) & set(b.owns):
      with pytest.raises(ValueError) as refusal:
        chain(a, b)
      assert repr(first) in str(refusal.value), refusal.value
      assert repr(second) in str(refusal.value), refusal.value
      continue
    plans = any(m.plan is not transform.keep_plan for m in (a, b))
    pair = chain(a, b)
    if second == "spear" and not plans and notes_of(a, everything[0]):
      with pytest.raises(ValueError, match=rf"'{first}'.* before 'spear'"):
        trace_on(pair, *everything)
      continue
    traced = trace(pair) if plans else trace_on(pair, *everything)
    loss, gradient, after, before = traced
    assert loss.shape == () and gradient.ndim == 2, (first, second)
    assert after == before, (first, second)


def test_all_methods_that_do_not_collide_trace_in_one_chain():
  members, taken = [], set()
  for name, row in FIRST.items():
    method = methods.make(name, **row.acting)
    if taken.isdisjoint(method.owns):
      members.append(method)
      taken.update(method.owns)
  # Advantages first: some methods read them in prepare. What is noted of a row
  # in prepare is not stored for replay, so who does it comes later.
  members.sort(key=lambda m: ("advantages" not in m.owns, m.name != "spear"))
  loss, _, after, before = trace(chain(*members))
  assert loss.shape == () and after == before


def test_make_names_what_is_wrong_and_what_is_near():
  with pytest.raises(ValueError, match="did you mean 'clip_cov'"):
    methods.make("clip_kov")
  with pytest.raises(ValueError, match=r"no parameter 'hihg'.*'high'"):
    methods.make("ppo_clip", hihg=0.28)


@pytest.mark.parametrize(
  ("name", "parameters"),
  [
    ("grpo", {"normalize": "both"}),
    ("grpo", {"epsilon": -1.0}),
    ("dr_grpo", {"singleton": "one"}),
    ("rloo", {"singleton": "one"}),
    ("reinforce_plus_plus", {"gamma": 1.5}),
    ("ppo_clip", {"low": -0.1}),
    ("ppo_clip", {"low": 1.5}),
    ("ppo_clip", {"high": float("nan")}),
    ("ppo_clip", {"dual": 1.0}),
    ("ppo_clip", {"max_log_ratio": 0.0}),
    ("kl_penalty", {"coef": -1.0}),
    ("kl_penalty", {"coef": float("inf")}),
    ("kl_penalty", {"estimator": "k4"}),
    # Their losses would not be finite.
    ("aer", {"target_ratio": float("inf")}),
    ("empg", {"sharpness": float("inf")}),
    ("one_shot_rlvr", {"policy_coef": float("inf")}),
  ],
)
def test_a_value_out_of_range_is_named_with_its_method(name, parameters):
  ((parameter, value),) = parameters.items()
  with pytest.raises(ValueError) as refusal:
    methods.make(name, **parameters)
  assert f"{name}.{parameter} = {value!r} must" in str(refusal.value)


# The laws themselves: each must catch a transform that breaks it.


def weigh(fn, **fields):
  def apply(record, state, context):
    weights = record.weights * fn(record, context)
    return record.replace(weights=weights), state

  return LossTransform("offender", apply=apply, **fields)


@jax.custom_jvp
def wrong_slope(x):
  return x


wrong_slope.defjvp(lambda x, dx: (x[0], 2 * dx[0]))


def counter(example):
  return {"count": jnp.float32(0)}


def count_weakly(batch, state, context):
  return batch, {"count": 0.5}


ENTROPY = Need(stats.Entropy())
OFFENDERS = {
  laws.traces_once: LossTransform("offender", counter, prepare=count_weakly),
  laws.declares_what_it_reads: weigh(lambda r, c: 2.0, needs=(ENTROPY,)),
  laws.declares_what_it_owns: LossTransform(
    "offender",
    apply=lambda r, s, c: (r.replace(weights=jnp.ones_like(r.weights)), s),
  ),
  laws.ignores_padding: weigh(lambda r, c: 1 / len(c.batch.reward)),
  laws.ignores_row_order: weigh(
    lambda r, c: 1.0 + jnp.arange(len(r.mask))[:, None]
  ),
  laws.has_exact_gradient: transform.add(
    "offender", lambda r, c: wrong_slope(c.logp), coef=1.0
  ),
  laws.is_nothing_when_neutral: weigh(lambda r, c: 1.0 + 1e-6),
  laws.survives_extremes: weigh(
    lambda r, c: 1 / reduce.masked_var(c.batch.reward, c.batch.group >= 0)
  ),
}


@pytest.mark.parametrize("law", OFFENDERS, ids=lambda law: law.__name__)
def test_the_law_catches_an_offender_and_names_itself(law):
  offender = OFFENDERS[law]
  subject = laws.Subject(offender, neutral=offender)
  with pytest.raises(AssertionError) as refusal:
    law(subject)
  assert f"'offender' breaks the law '{law.__name__}'" in str(refusal.value)


def documented(edits="objective.weights (×)", metrics="none", needs="nothing"):
  method = weigh(lambda r, c: 0.5)
  doc = f"""Halves.

  Edits:   {edits}
  Needs:   {needs}
  State:   none
  Scope:   token
  Neutral: none

  Returns:
    A LossTransform named "offender".

  Metrics:
    {metrics}

  Source:
    Nobody. Differs from that code: no difference.
  """
  return laws.Subject(method, doc)


def test_the_docstring_law_reads_every_heading():
  laws.documents_itself(documented())
  for wrong, message in (
    ({"edits": "objective.added (+)"}, r"'Edits:' lacks"),
    ({"edits": "objective.weights (own)"}, "which is not owned"),
    ({"metrics": "offender/x: nothing."}, r"'Metrics:' says"),
    ({"needs": "entropy"}, "'Needs: entropy'"),
  ):
    with pytest.raises(AssertionError, match=message):
      laws.documents_itself(documented(**wrong))
  bare = documented()
  bare = dataclasses.replace(bare, doc=bare.doc.replace("Scope:", "Reach:"))
  with pytest.raises(AssertionError, match=r"lacks the headings \['Scope'\]"):
    laws.documents_itself(bare)


def test_check_takes_a_factory_and_lists_all_broken_laws():
  def halves():
    """No headings."""
    return weigh(lambda r, c: 0.5 + 0 * jnp.arange(len(r.mask))[:, None])

  with pytest.raises(AssertionError, match="documents_itself"):
    laws.check(halves)
  laws.check(weigh(lambda r, c: 0.5))


# Closed forms of the baselines.

GROUP = [0, 0, 0, 0, 0, 0, 0, 0, 1]
REWARD = [1, 1, 1, 0, 0, 0, 0, 0, 1]
TOKENS = np.array([[1, 1, 0]] * 8 + [[1, 1, 1]])


def advantages(name, **parameters):
  """Of the first token of each row, after checking that all are alike."""
  batch = common.batch(0 * TOKENS, None, TOKENS, reward=REWARD, group=GROUP)
  found = np.asarray(
    common.prepared(methods.make(name, **parameters), batch).advantages
  )
  assert not found[TOKENS == 0].any()
  if parameters.get("gamma", 1) == 1:
    np.testing.assert_array_equal(found, found[:, :1] * TOKENS)
  return found[:, 0]


def test_grpo_of_three_right_in_eight_has_its_known_values():
  found = advantages("grpo", epsilon=0.0)
  # +-sqrt((1 - p) / p * (G - 1) / G) with p = 3 / 8; a group of one keeps R.
  np.testing.assert_allclose(found[0], 1.2076148, rtol=1e-6)
  np.testing.assert_allclose(found[3], -0.7245688, rtol=1e-6)
  assert found[8] == 1.0


def test_rloo_is_dr_grpo_times_n_over_n_minus_one():
  centred, left_out = advantages("dr_grpo"), advantages("rloo")
  np.testing.assert_allclose(centred[[0, 3]], [5 / 8, -3 / 8], rtol=1e-6)
  np.testing.assert_allclose(left_out[:8], centred[:8] * 8 / 7, rtol=1e-6)
  np.testing.assert_allclose(left_out[:8].sum(), 0.0, atol=1e-6)


@pytest.mark.parametrize("name", ["dr_grpo", "rloo"])
def test_a_group_of_one_keeps_its_reward_or_gets_zero(name):
  assert advantages(name)[8] == 1.0
  assert advantages(name, singleton="zero")[8] == 0.0


def test_reinforce_plus_plus_whitens_over_tokens():
  found = advantages("reinforce_plus_plus")
  # 19 counted tokens, 9 of them with return 1: mean 9/19, variance
  # 9 * 10 / (19 * 18).
  deviation = np.sqrt(90 / 342)
  np.testing.assert_allclose(found[0], (10 / 19) / deviation, rtol=1e-6)
  np.testing.assert_allclose(found[3], (-9 / 19) / deviation, rtol=1e-6)


def test_reinforce_plus_plus_does_not_see_replayed_rows():
  given = advantages("reinforce_plus_plus")
  batch = common.batch(
    np.zeros((10, 3)),
    np.full((10, 3), 5.0),
    np.vstack([TOKENS, TOKENS[-1:]]),
    reward=[*REWARD, 100.0],
    group=[*GROUP, 2],
  )
  batch = batch.replace(group=batch.group.at[9].set(-1))
  found = common.prepared(methods.make("reinforce_plus_plus"), batch).advantages
  np.testing.assert_array_equal(found[:9, 0], given)
  np.testing.assert_array_equal(found[9], [5.0, 5.0, 5.0])


def test_a_wide_ppo_clip_is_the_plain_policy_gradient():
  batch = common.batch([[0.0, 0.0]], [[1.0, -1.0]], [[1, 1]])
  wide = methods.make("ppo_clip", low=1.0, high=float("inf"))
  loss, gradient, metrics = common.loss_and_grad(wide, batch, [[1.0, 1.0]])
  # The ratio is e at both tokens, and the advantages cancel.
  np.testing.assert_allclose(loss, 0.0, atol=1e-6)
  want = [[-np.e / 2, np.e / 2]]
  np.testing.assert_allclose(gradient, want, rtol=1e-6)
  assert metrics["loss/clipped_fraction"] == 0.0


def test_the_divergence_without_a_clamp_is_the_plain_estimator():
  def penalty(clamp):
    method = methods.make("kl_penalty", coef=2.0, clamp=clamp)
    ref = {method.needs[0].key: np.array([[-1.0, -1.0, 3.0]])}
    batch = common.batch([[-1.0, -2.0, -1.0]], None, [[1, 1, 1]], stats=ref)
    return common.loss_and_grad(method, batch, [[-1.0, -2.0, -1.0]])[2]

  k3 = [0.0, np.exp(1) - 2, np.exp(4) - 5]  # exp(-x) - 1 + x
  found = penalty(clamp=False)
  np.testing.assert_allclose(found["kl_penalty/kl"], np.mean(k3), rtol=1e-6)
  np.testing.assert_allclose(found["loss/added"], 2 * np.mean(k3), rtol=1e-6)
  k3[2] = 10.0
  found = penalty(clamp=True)
  np.testing.assert_allclose(found["kl_penalty/kl"], np.mean(k3), rtol=1e-6)
