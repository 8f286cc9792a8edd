"""The laws of `chain`, of the records and of the one-line constructors."""

import ast
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rlvr_jax
from golden_adapters import common
from rlvr_jax import objective, reduce, rng, stats, testing, transform
from rlvr_jax.transform import (
  CONSTANT,
  DIFFERENTIABLE,
  Learner,
  LossTransform,
  chain,
)
from rlvr_jax.types import LOGP_KEY, Clock, Context, Draw, Need

pytestmark = pytest.mark.usefixtures("quick_compile")

LOGP = jnp.array([[-1.0, -2.0, -0.5], [-0.3, -1.5, -4.0]])
OLD = jnp.array([[-1.1, -1.8, -0.7], [-0.2, -1.5, -3.0]])
MASK = np.array([[1, 1, 1], [1, 1, 0]])
ADVANTAGES = jnp.array([[1.0, 1.0, 1.0], [-2.0, -2.0, 0.0]])
BATCH = common.batch(OLD, ADVANTAGES, MASK, reward=[1.0, 0.0])
CONTEXT = Context(
  jnp.int32(3), jnp.int32(0), jax.random.key(0), BATCH, {LOGP_KEY: LOGP}
)
IDENTITY = LossTransform("identity")


def record():
  return objective.initial(CONTEXT.stats, BATCH)


def edit(method):
  """The objective and the state after one `apply` of a chain."""
  return method.apply(record(), method.init(BATCH), CONTEXT)


def assert_same(first, second):
  assert jax.tree.structure(first) == jax.tree.structure(second)
  for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second)):
    np.testing.assert_array_equal(a, b)


def counting(name, factor):
  """Multiplies the weights by random numbers and counts its steps."""

  def init(example):
    del example
    return {"steps": jnp.int32(0)}

  def apply(objective, state, context):
    dice = jax.random.uniform(context.key, objective.mask.shape)
    weights = objective.weights * factor * dice
    metrics = objective.metrics | {f"{name}/dice": dice.mean()}
    edited = objective.replace(weights=weights, metrics=metrics)
    return edited, {"steps": state["steps"] + 1}

  return LossTransform(name, init, apply)


A, B, C = (counting(name, k + 1.0) for k, name in enumerate("abc"))


def test_chains_nest_without_a_trace_in_values_state_and_metrics():
  flat = edit(chain(A, B, C))
  assert_same(edit(chain(A, chain(B, C))), flat)
  assert_same(edit(chain(chain(A, B), C)), flat)
  assert sorted(flat[1]) == ["a", "b", "c"]
  assert chain(A, chain(B, C)).parts == (A, B, C)


def test_the_identity_changes_nothing_on_either_side():
  alone, _ = edit(chain(A))
  assert_same(edit(chain(IDENTITY, A))[0], alone)
  assert_same(edit(chain(A, IDENTITY))[0], alone)


def test_the_dice_of_a_transform_do_not_depend_on_its_neighbours():
  alone = edit(chain(B))[0].metrics["b/dice"]
  among = edit(chain(A, B, C))[0].metrics["b/dice"]
  assert alone == among
  assert among != edit(chain(A, B, C))[0].metrics["a/dice"]
  named = rng.named(CONTEXT.key, "b")
  assert alone == jax.random.uniform(named, MASK.shape).mean()


def test_transforms_that_touch_different_fields_commute():
  heavier = transform.reweight("heavier", lambda o, c: 2.0 * o.mask)
  shifted = transform.add("shifted", lambda o, c: c.logp, coef=0.5)
  assert_same(
    edit(chain(heavier, shifted))[0], edit(chain(shifted, heavier))[0]
  )


def test_two_owners_of_a_field_are_refused_by_name():
  first = LossTransform("first", owns=("clip_low", "clip_high"))
  second = LossTransform("second", owns=("clip_high",))
  message = "'first' and 'second' both set 'clip_high'.*drop"
  with pytest.raises(ValueError, match=message):
    chain(first, chain(IDENTITY, second))
  assert chain(first, IDENTITY).owns == ("clip_low", "clip_high")


def test_equal_names_are_refused():
  with pytest.raises(ValueError, match=r"\['a'\] more than once"):
    chain(A, chain(B, A))


def test_an_empty_chain_is_refused():
  with pytest.raises(ValueError, match="at least one transform"):
    chain()


@pytest.mark.parametrize("hook", ["apply", "prepare"])
def test_a_metric_under_a_foreign_name_is_refused(hook):
  def write(record, state, context):
    return record.replace(metrics={"other/x": jnp.float32(0)}), state

  method = chain(LossTransform("mine", **{hook: write}))
  given = record() if hook == "apply" else BATCH
  message = r"'mine' writes the metrics \['other/x'\].*begin with 'mine/'"
  with pytest.raises(ValueError, match=message):
    getattr(method, hook)(given, method.init(BATCH), CONTEXT)


def test_a_need_that_is_not_declared_is_refused_by_name():
  entropy = Need(stats.Entropy())
  reads = transform.reweight("curious", lambda o, c: c.stat(entropy))
  with pytest.raises(KeyError, match="'curious' reads 'Entropy.*needs="):
    edit(chain(reads))


@pytest.mark.parametrize("when", ["rollout", "update"])
def test_a_declared_need_that_nobody_computed_is_named(when):
  need = Need(stats.Entropy(), when=when)
  reads = transform.reweight("curious", lambda o, c: c.stat(need), (need,))
  with pytest.raises(KeyError, match="'curious' needs.*stats.score"):
    edit(chain(reads))


def test_declared_needs_are_found_where_they_were_computed():
  now, then = Need(stats.Entropy()), Need(stats.Entropy(), when="rollout")
  reads = transform.reweight(
    "curious", lambda o, c: c.stat(now) - c.stat(then), (now, then)
  )
  batch = BATCH.replace(stats={then.key: jnp.full(MASK.shape, 0.25)})
  found = {LOGP_KEY: LOGP, now.key: jnp.full(MASK.shape, 1.5)}
  context = CONTEXT._replace(batch=batch, stats=found)
  method = chain(reads)
  assert method.needs == (now, then)
  edited, _ = method.apply(record(), method.init(BATCH), context)
  np.testing.assert_array_equal(edited.weights, jnp.full(MASK.shape, 1.25))


def test_equal_needs_of_a_chain_are_merged():
  need = Need(stats.Entropy())
  two = [LossTransform(name, needs=(need,)) for name in "ab"]
  assert chain(*two).needs == (need,)


def test_only_the_differentiable_fields_carry_gradient_out_of_a_chain():
  def everywhere(objective, state, context):
    fields = {f: context.logp for f in (*CONSTANT, "log_ratio", "added")}
    return objective.replace(extra=context.logp.sum(), **fields), state

  method = chain(LossTransform("everywhere", apply=everywhere))

  def edited(logp):
    context = CONTEXT._replace(stats={LOGP_KEY: logp})
    out, _ = method.apply(record(), method.init(BATCH), context)
    return {f: getattr(out, f).sum() for f in (*CONSTANT, *DIFFERENTIABLE)}

  slopes = jax.jacrev(edited)(LOGP)
  for field in CONSTANT:
    assert not slopes[field].any(), field
  for field in DIFFERENTIABLE:
    assert (slopes[field] == 1).all(), field


NOW = Need(stats.Logp(), params=("reward",))
THEN = Need(stats.Logp(), params=("ref",), when="rollout")


def learning(name, metric="x", needs=(THEN,)):
  """Pulls the reward model towards the reference, and writes one metric."""

  def loss(context):
    gap = context.stat(NOW) - context.stat(THEN)
    return (gap**2).sum(), {f"{name}/{metric}": context.batch.reward.sum()}

  return LossTransform(name, needs=needs, learner=Learner((NOW,), loss, 0.1))


def lesson(method, junk=0.0):
  """The loss of the learner on log-probs of 1 above a reference of 2."""
  fill = lambda x: jnp.where(MASK > 0, x, junk)
  batch = BATCH.replace(stats={THEN.key: fill(2.0)})
  loss_fn = objective.learner_loss(chain(method).learner)
  clock = Clock(0, 0, jax.random.key(0))
  value, (_, metrics) = loss_fn({NOW.key: fill(3.0)}, batch, (), clock)
  return float(value), metrics


def test_a_chain_hands_on_its_only_learner():
  learner = learning("teacher")
  assert chain(A, B).learner is None
  for method in (learner, chain(A, learner), chain(chain(A, learner), B)):
    assert lesson(method) == (MASK.sum(), {"teacher/x": 1.0})
  assert chain(A, learner).learner.needs == (NOW,)
  assert chain(A, learner).needs == (THEN,)


def test_two_learners_are_refused_by_name():
  message = "'first' and 'second' both train a model of rewards"
  with pytest.raises(ValueError, match=message):
    chain(learning("first"), chain(A, learning("second")))


def test_a_learner_sees_no_padding_and_only_what_is_declared():
  assert lesson(learning("teacher"), junk=np.nan)[0] == MASK.sum()
  with pytest.raises(KeyError, match="'teacher' reads 'Logp.*ref.*needs="):
    lesson(learning("teacher", needs=()))
  with pytest.raises(ValueError, match=r"'a' writes the metrics \['b/x'\]"):
    named = learning("b")
    lesson(named._replace(name="a"))


def test_reweight_multiplies_and_add_accumulates():
  twice = chain(
    transform.reweight("x", lambda o, c: 3.0 * o.mask),
    transform.reweight("y", lambda o, c: 2.0),
    transform.add("u", lambda o, c: c.logp, coef=0.5),
    transform.add("v", lambda o, c: c.logp, coef=1.5),
  )
  edited, _ = edit(twice)
  np.testing.assert_array_equal(edited.weights, 6.0 * MASK)
  np.testing.assert_allclose(edited.added, 2 * LOGP, rtol=1e-6)


def test_reshape_replaces_the_advantages_and_monitor_only_writes():
  method = chain(
    transform.reshape("flip", lambda o, c: -o.advantages),
    transform.monitor("eye", lambda o, c: {"best": o.advantages.max()}),
  )
  edited, _ = edit(method)
  np.testing.assert_array_equal(edited.advantages, -ADVANTAGES)
  assert edited.metrics == {"eye/best": 2.0}


def test_estimate_sets_counted_tokens_and_spares_rows_without_a_group():
  given = jnp.full(MASK.shape, 7.0)
  batch = BATCH.replace(group=jnp.array([0, -1]), advantages=given)
  method = transform.estimate("reward", lambda b, c: b.reward + 1.0)
  assert method.owns == ("advantages",)
  out, _ = rlvr_jax.prepare(method)(
    batch, {"reward": ()}, Clock(0, 0, jax.random.key(0))
  )
  # Row 0 gets 1 + 1; row 1 keeps what it came with, its padding is cleaned.
  np.testing.assert_array_equal(out.advantages, [[2, 2, 2], [7, 7, 0]])


def test_prepare_hooks_run_from_left_to_right():
  first = transform.estimate("first", lambda b, c: b.reward + 1.0)

  def double(batch, state, context):
    assert context.batch is batch
    return batch.replace(advantages=2 * batch.advantages), state

  both = chain(first, LossTransform("second", prepare=double))
  out, _ = rlvr_jax.prepare(both)(
    BATCH, both.init(BATCH), Clock(0, 0, jax.random.key(0))
  )
  np.testing.assert_array_equal(out.advantages[:, 0], [4.0, 2.0])


def unbounded():
  """Edits every field, and the absent upper bound by a present one."""

  def apply(objective, state, context):
    del context
    return objective.replace(
      clip_high=jnp.full_like(objective.clip_high, 1.5),
      weights=objective.weights * 0.3,
      added=objective.added + 0.7,
      extra=objective.extra + 0.1,
    ), state

  return LossTransform("edit", apply=apply)


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_a_schedule_is_exact_at_both_ends(strength):
  scheduled = transform.scheduled(unbounded(), lambda step: strength)
  open_top = record().replace(clip_high=jnp.full(MASK.shape, jnp.inf))
  got, _ = scheduled.apply(open_top, (), CONTEXT)
  full, _ = unbounded().apply(open_top, (), CONTEXT)
  assert_same(got, full if strength else open_top)


def test_a_schedule_blends_by_the_step():
  scheduled = transform.scheduled(unbounded(), lambda step: step / 12)
  got, _ = scheduled.apply(record(), (), CONTEXT)  # step 3: a quarter
  # 1 + (0.3 - 1) / 4, 0.7 / 4, 1.2 + (1.5 - 1.2) / 4
  np.testing.assert_allclose(got.weights, 0.825, rtol=1e-6)
  np.testing.assert_allclose(got.added, 0.175, rtol=1e-6)
  np.testing.assert_allclose(got.clip_high, 1.275, rtol=1e-6)


def test_a_schedule_keeps_absent_clip_bounds_absent():
  idle = transform.reweight("idle", lambda objective, context: 1.0)
  open_top = record().replace(clip_high=jnp.full(MASK.shape, jnp.inf))
  got, _ = transform.scheduled(idle, lambda step: 0.5).apply(
    open_top, (), CONTEXT
  )
  assert jnp.isposinf(got.clip_high).all()


def test_a_schedule_keeps_the_slope_of_a_term_that_is_zero():
  pull = transform.add("pull", lambda objective, context: context.logp, 1.0)
  half = transform.scheduled(pull, lambda step: 0.5)

  def total(logp):
    context = CONTEXT._replace(stats={LOGP_KEY: logp})
    return half.apply(record(), (), context)[0].added.sum()

  slope = jax.grad(total)(jnp.zeros(MASK.shape))
  np.testing.assert_allclose(slope, 0.5)


def test_a_share_of_the_prompts_is_rounded_up_but_not_by_rounding_errors():
  for share, prompts, want in [(0.07, 100, 7), (0.28, 25, 7), (0.5, 3, 2)]:
    assert Draw("d", 1, prompt_fraction=share).prompts(prompts) == want


def test_a_schedule_refuses_chains_and_owners_of_the_surrogate():
  with pytest.raises(ValueError, match=r"the chain \['a', 'b'\]"):
    transform.scheduled(chain(A, B), lambda step: 1.0)
  owner = LossTransform("owner", owns=("surrogate",))
  with pytest.raises(ValueError, match="'owner' swaps the surrogate"):
    transform.scheduled(owner, lambda step: 1.0)


def test_plans_pass_through_the_chain_and_their_rows_are_found():
  def plan(draws, state):
    del state
    return (*draws, Draw(f"extra{len(draws)}", 2, prompt_fraction=0.5))

  method = chain(LossTransform("p", plan=plan), LossTransform("q", plan=plan))
  draws = method.plan((Draw("main", 4),), method.init(BATCH))
  assert [d.name for d in draws] == ["main", "extra1", "extra2"]
  # Half of 3 prompts is rounded up to 2, of 2 rows each.
  assert [testing.draw_rows(d, 3) for d in draws] == [12, 4, 4]
  context = CONTEXT._replace(name="p", draws=(("main", 12), ("extra1", 4)))
  assert context.draw("extra1") == (1, 4)
  with pytest.raises(KeyError, match="'p' planned the draw 'extra2'"):
    context.draw("extra2")


def test_keys_differ_by_purpose_step_and_update_and_repeat_exactly():
  base = jax.random.key(1)
  moments = [
    (purpose, step, update)
    for purpose in (rng.Purpose.PREPARE, rng.Purpose.UPDATE)
    for step in (0, 1)
    for update in (0, 1)
  ]
  data = {m: tuple(jax.random.key_data(rng.key(base, *m))) for m in moments}
  assert len({tuple(map(int, d)) for d in data.values()}) == len(moments)
  again = jax.random.key_data(rng.key(base, *moments[3]))
  assert_same(tuple(again), data[moments[3]])


def test_the_key_of_the_log_prob_is_spelled_alike_everywhere():
  assert LOGP_KEY == stats.LOGP.key == Need(stats.Logp()).key
  assert CONTEXT.logp is CONTEXT.stats[LOGP_KEY]


ALLOWED = {
  f"rlvr_jax.{room}"
  for room in (
    "types",
    "transform",
    "objective",
    "notes",
    "stats",
    "reduce",
    "controllers",
    "contrast",
    "branching",
    "forking",
    "novelty",
    "latent_reward",
    "implicit_reward",
    "replayed",
  )
}


def test_methods_import_only_the_rooms_to_their_left():
  folder = pathlib.Path(rlvr_jax.__file__).parent / "methods"
  tables = ("__init__.py", "catalogue.py")
  files = [f for f in folder.glob("*.py") if f.name not in tables]
  assert files
  for file in files:
    for node in ast.walk(ast.parse(file.read_text())):
      if isinstance(node, ast.ImportFrom):
        assert not node.level, f"{file.name}: a relative import"
        if node.module == "rlvr_jax":
          names = {f"rlvr_jax.{alias.name}" for alias in node.names}
        else:
          names = {node.module}
      elif isinstance(node, ast.Import):
        names = {alias.name for alias in node.names}
      else:
        continue
      ours = {name for name in names if name.startswith("rlvr_jax")}
      assert ours <= ALLOWED, f"{file.name} imports {sorted(ours - ALLOWED)}"


def test_a_sum_over_counted_rows_is_the_sum_of_the_batch():
  # A reduction inside a hook sees the whole minibatch.
  seen = transform.monitor(
    "sum", lambda o, c: {"tokens": reduce.row_length(o.mask).sum()}
  )
  assert edit(chain(seen))[0].metrics["sum/tokens"] == MASK.sum()
