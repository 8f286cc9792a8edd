"""Random rollouts, hyper-parameters and configurations: fine, or told so.

The search for texts and files that break readers is `experiments.fuzz`.
"""

import functools
import math
import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import compiled
import runs
from configs import quickstart
from rlvr_jax import methods
from rlvr_jax.laws import rollouts, steps
from rlvr_jax.training import build, fields, hyper
from rlvr_jax.training import config as config_lib
from rows import FIRST, TABLE

# One that moves bounds by a search, one with state, one that ranks tokens.
FEW = ("bapo", "aer", "clip_cov")
EXTREME = st.sampled_from([0.0, 1e-6, 0.5, 1.0, 20.0, 1e3])
# Ratios beyond have no float32, and methods whose authors leave them unbounded
# are not finite there: such an update is the guard's to refuse.
NATS = 50.0


@st.composite
def disorder(draw):
  """What to do to a rollout, as numbers for `disordered`."""
  return dict(
    seed=draw(st.integers(0, 2**31)),
    kept=draw(st.sampled_from([0.0, 0.1, 0.5, 1.0])),
    grouped=draw(st.sampled_from([0.0, 0.5, 1.0])),
    reward=draw(EXTREME),
    logp=draw(st.sampled_from([0.0, 1e-6, 1.0, NATS])),
    stats=draw(EXTREME),
    apart=draw(st.booleans()),
  )


def disordered(batch, *, seed, kept, grouped, reward, logp, stats, apart):
  """A rollout with holes, rows without groups and numbers of any size."""
  rng = np.random.default_rng(seed)
  rows, length = batch.mask.shape
  inside = rng.random(rows) < grouped
  only = lambda x: np.where(inside, x, -1).astype(np.int32)
  minus = lambda: -(logp * rng.random((rows, length))).astype(np.float32)
  then = minus()
  scaled = lambda key, x: (
    then if rollouts.is_logp(key) else (stats * np.abs(x)).astype(np.float32)
  )
  return batch.replace(
    mask=np.asarray(batch.mask) & (rng.random((rows, length)) < kept),
    group=only(batch.group),
    prompt=only(batch.prompt),
    reward=(reward * rng.random(rows)).round(2).astype(np.float32),
    old_logp=then,
    sample_logp=minus() if apart else then,
    score_temperature=rng.uniform(0.1, 2.0, rows).astype(np.float32),
    stats={k: scaled(k, v) for k, v in batch.stats.items()},
  )


def assert_finite(found, told):
  for path, leaf in jax.tree_util.tree_leaves_with_path(found):
    if jnp.issubdtype(leaf.dtype, jnp.floating):
      assert np.isfinite(leaf).all(), (jax.tree_util.keystr(path), told)


def marked(row):
  few = row.name in FEW and row is FIRST[row.name]
  marks = [] if few else [pytest.mark.long]
  return pytest.param(row, id=row.id, marks=marks)


@pytest.mark.parametrize("row", map(marked, TABLE))
def test_any_rollout_has_a_finite_loss_gradient_and_state(row, quick_compile):
  chain, rollout = rollouts.trial(methods.make(row.name, **row.acting))

  @settings(max_examples=25)
  @given(disorder(), st.sampled_from([math.nan, -1e-3, -1.0, -NATS]))
  def holds(how, logp):
    batch = jax.tree.map(jnp.asarray, disordered(rollout.batch, **how))
    found = steps.run(chain, rollout._replace(batch=batch), logp=logp)
    assert_finite((found.loss, found.gradient, found.state), (how, logp))

  holds()
  compiled.drop()


NUMBERS = {
  bool: st.booleans(),
  int: st.sampled_from([-3, -1, 0, 1, 2, 3, 5, 8, 64, 2**31]),
  float: st.sampled_from(
    [-1.0, 0.0, 1e-9, 0.2, 0.5, 0.999, 1.0, 1.5, 3.0, 50.0, math.inf, math.nan]
  ),
  type(None): st.none(),
}


def spelled(name):
  """Texts that the rows of the table give a method, and one that none has."""
  rows = [row.acting | (row.neutral or {}) for row in TABLE if row.name == name]
  said = {v for row in rows for v in row.values() if isinstance(v, str)}
  return st.sampled_from([*sorted(said), "no such choice"])


def hyper_parameters(name):
  """Some of the hyper-parameters of a method, of their types."""
  kinds = lambda field: [k for k in field.kinds if k in (*NUMBERS, str)]
  values = lambda kind: spelled(name) if kind is str else NUMBERS[kind]
  choices = {
    key: st.one_of([values(kind) for kind in kinds(field)])
    for key, field in hyper.of(name).items()
    if kinds(field)
  }
  required = {k: v for k, v in choices.items() if hyper.of(name)[k].required}
  optional = {k: v for k, v in choices.items() if k not in required}
  return st.fixed_dictionaries(required, optional=optional)


@pytest.mark.parametrize("name", methods.CATALOGUE)
def test_any_hyper_parameters_make_a_method_or_are_refused_by_name(name):
  @settings(max_examples=25)
  @given(hyper_parameters(name))
  def holds(values):
    try:
      made = methods.make(name, **values)
    except ValueError as error:
      assert any(key in str(error) for key in values), (values, error)
    else:
      assert made.name == name

  holds()


@pytest.mark.parametrize(
  ("name", "values", "told"),
  [
    ("bapo", dict(low_max=0.0), "low_start = 0.6 must .* low_max = 0.0"),
    (
      "gradient_preserving_clip",
      dict(high_intercept=0.0),
      "high_slope = .* high_intercept = 0.0",
    ),
  ],
)
def test_a_default_that_another_value_rules_out_is_told_with_that_value(
  name, values, told
):
  with pytest.raises(ValueError, match=told):
    methods.make(name, **values)


@pytest.mark.long
@pytest.mark.parametrize("name", methods.CATALOGUE)
def test_whatever_hyper_parameters_are_taken_any_rollout_has_a_finite_loss(
  name, quick_compile
):
  @settings(max_examples=12)
  @given(hyper_parameters(name), disorder())
  def holds(values, how):
    if any(v == 2**31 for v in values.values()):
      return  # Windows and queues of that size are no error, but do not fit.
    try:
      method = methods.make(name, **(FIRST[name].acting | values))
    except ValueError:
      return
    chain, rollout = rollouts.trial(method)
    batch = jax.tree.map(jnp.asarray, disordered(rollout.batch, **how))
    found = steps.run(chain, rollout._replace(batch=batch))
    assert_finite((found.loss, found.gradient, found.state), (values, how))

  holds()
  compiled.drop()


VALUES = (
  *(None, True, False, -1, 0, 1, 3, 7, 64, 10**6, -0.5, 0.0, 0.5, 1.0, 2.5),
  *(math.nan, math.inf, -math.inf, 1e30, "", "x", "grpo", "\x00", (), (1,)),
  *(("grpo", "grpo"), ("steer",), [1], {}, {"x": 1}, {"a": {"b": 2}}, print),
)


@functools.cache
def places():
  """Where a configuration of each kind may be edited, by its dotted name."""
  return sorted(fields.flatten(quickstart.get_config("").to_dict()))


def edit(seed):
  """A real configuration with one or two fields that hold something else."""
  choose = random.Random(seed)
  chain = choose.sample([*methods.CATALOGUE], choose.randint(0, 2))
  config = runs.config(chain=runs.composed(chain) or ("grpo",))
  for name in set(config.chain) & FIRST.keys():
    given = FIRST[name].acting
    required = [k for k, field in hyper.of(name).items() if field.required]
    config[name].update({k: given[k] for k in required})
  names = choose.sample(places(), choose.randint(1, 2))
  for name in names:
    section, _, field = name.rpartition(".")
    place = functools.reduce(
      lambda c, k: c[k], filter(None, section.split(".")), config
    )
    with place.ignore_type():
      place[field] = choose.choice(VALUES)
  return config, names


def assert_told_or_fine(seed, built):
  """A wrong field is named by `check` or by what is built; the rest builds."""
  config, names = edit(seed)
  try:
    config_lib.check(config)
    if built and not reads_files(config):
      with config_lib.building():
        build.build(config)
  except config_lib.ConfigError as error:
    leaves = [name.rpartition(".")[2] for name in names]
    assert any(leaf in str(error) for leaf in leaves), (seed, names, error)
  except Exception as error:
    raise AssertionError(f"edit {seed} of {names}: {error!r}") from error


def reads_files(config):
  """A folder of data would be made, or a package of the machine is asked."""
  return config.task.data_dir or str(config.task.name).startswith("gym:")


@pytest.mark.parametrize("part", range(4))
def test_an_edited_configuration_is_right_or_names_the_field(part):
  for seed in range(part * 40, part * 40 + 40):
    assert_told_or_fine(seed, built=False)


@pytest.mark.long
@pytest.mark.parametrize("part", range(10))
def test_a_thousand_edited_configurations_build_or_name_the_field(part):
  for seed in range(part * 100, part * 100 + 100):
    assert_told_or_fine(seed, built=True)
