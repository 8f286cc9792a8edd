"""Supervised training: an epoch, a resumed run, meshes, and what is refused."""

import json

import jax
import numpy as np
import optax
import pytest

import runs
from configs import laptop
from configs import sft as sft_config
from rlvr_jax.models import hf
from rlvr_jax.training import config as config_lib
from rlvr_jax.training import export, loop, preemption, sft
from toy_files import jsonl

pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
  """Sums, and answers of one to three tokens."""
  path = tmp_path_factory.mktemp("data") / "sums.jsonl"
  sums = [dict(prompt=f"{n}+{n}?", response=str(n * n * n)) for n in range(11)]
  return jsonl(path, sums)


def config(rows, **changes):
  """Small steps on few rows of three or four demonstrations each."""
  c = sft_config.get_config("runlocal")
  c.data.train, c.data.evaluation = (rows,), ()
  c.data.columns.answer = "response"
  c.steps, c.progress, c.data.length = 5, False, 128
  c.model.update(dict(dtype="float32", remat="none"))
  c.train.rows = 2
  c.optimizer.update(dict(learning_rate=3e-3, warmup=0, decay=0))
  c.evaluation.every = c.checkpoint.every = 2
  c.mesh = dict(data=2, fsdp=2, sequence=1, tensor=2)
  for name, value in changes.items():
    section, _, field = name.rpartition("__")
    (c[section] if section else c)[field] = value
  return c


# Eight devices need their rows; one test on the whole mesh is enough.
def alone(monkeypatch):
  """The run sees one device."""
  first = jax.devices()[:1]
  make = sft.mesh_lib.make_mesh
  monkeypatch.setattr(
    sft.mesh_lib, "make_mesh", lambda *a, **k: make(devices=first)
  )


def test_every_answer_token_is_learnt_once_in_an_epoch(rows, monkeypatch):
  alone(monkeypatch)
  run = sft.build(config(rows, data__length=64))
  size = len(run.train)
  assert 2 < size < 11
  epochs = [sft.places(run, cursor) for cursor in range(0, 2 * size, 2)]
  order = np.concatenate(epochs)
  first, second = order[:size], order[size : 2 * size]
  assert sorted(first) == sorted(second) == list(range(size))
  assert list(first) != list(second)
  found = run.train.arrays(first)
  learnt = np.pad(found["mask"], [(0, 0), (1, 0)])
  tokenizer = sft.tasks.HFTokenizer(run.config.model.folder)
  answers = []
  for tokens, mask, segment in zip(found["tokens"], learnt, found["segment"]):
    for number in range(segment.max() + 1):
      answer = tokens[mask & (segment == number)]
      assert answer[-1] == tokenizer.eos_id
      answers.append(tokenizer.decode(answer))
  assert sorted(answers) == sorted(str(n * n * n) for n in range(11))


def test_packed_and_unpacked_rows_make_the_same_step(rows, monkeypatch):
  alone(monkeypatch)
  monkeypatch.setattr(sft.build_lib, "optimizer", lambda config: optax.sgd(0.1))
  found = []
  for pack in (True, False):
    run = sft.build(config(rows, data__pack=pack))
    count = len(run.train)
    run = sft.build(config(rows, data__pack=pack, train__rows=count))
    state = runs.start(run.programs)[0]
    state, line = sft.one_step(run, state, None)
    found.append((count, state.params, line))
  (few, packed, one), (many, apart, other) = found
  assert few < many == 11
  for name in ("supervised/cross_entropy", "update/gradient_norm"):
    np.testing.assert_allclose(one[name], other[name], rtol=1e-4)
  assert one["data/answer_tokens"] == other["data/answer_tokens"]
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), packed, apart
  )


@pytest.mark.long
def test_packed_rows_whose_positions_are_split_make_the_same_step(
  rows, monkeypatch
):
  """An odd number of positions, which no device divides."""
  monkeypatch.setattr(sft.build_lib, "optimizer", lambda config: optax.sgd(0.1))
  found = []
  for shape in (dict(data=8), dict(data=2, sequence=4)):
    c = config(rows, train__rows=8, data__length=64)
    c.mesh.update(dict(fsdp=1, sequence=1, tensor=1) | shape)
    c.train.slices = 8 // c.mesh.data
    run = sft.build(c)
    state = runs.start(run.programs)[0]
    state, line = sft.one_step(run, state, None)
    found.append((jax.device_get(state.params), line))
  (one, few), (other, many) = found
  name = "supervised/cross_entropy"
  np.testing.assert_allclose(few[name], many[name], rtol=1e-5)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), one, other
  )


@pytest.mark.long
def test_a_run_killed_and_then_asked_to_stop_ends_the_same(
  rows, tmp_path, monkeypatch
):
  alone(monkeypatch)
  chosen = dict(chain=("entropy_sft",), data__evaluation=(rows,), data__ngram=0)
  peace, war = tmp_path / "peace", tmp_path / "war"
  sft.train(config(rows, **chosen), peace)
  real, done = sft.one_step, []

  def step(*args):
    if len(done) == 3:
      raise KeyboardInterrupt
    done.append(1)
    return real(*args)

  with monkeypatch.context() as patch:
    patch.setattr(sft, "one_step", step)
    with pytest.raises(KeyboardInterrupt):
      sft.train(config(rows, **chosen), war)
    assert len(runs.lines(war)) == 3
    # From step 2 on, which is saved; two programs are compiled before it.
    asked = iter([False, False, False, True])
    patch.setattr(preemption, "reached", lambda: next(asked))
    patch.setattr(sft, "one_step", real)
    with pytest.raises(preemption.Preempted, match="after step 3, which is s"):
      sft.train(config(rows, **chosen), war)
  assert len(runs.lines(war)) == 3
  sft.train(config(rows, **chosen), war)
  assert runs.lines(peace) == runs.lines(war)
  assert not (war / "accuracy.jsonl").exists()
  assert runs.held(peace, 5) == runs.held(war, 5)
  told = runs.lines(peace)
  assert told[-1]["eval/cross_entropy"] < told[0]["eval/cross_entropy"]
  assert told[0]["entropy_sft/kept_fraction"] <= 0.8
  assert "eval/cross_entropy" not in told[2]


@pytest.mark.long
def test_adapters_in_bfloat16_on_a_mesh_are_trained_and_exported(
  rows, tmp_path
):
  c = config(
    rows,
    chain=("reinforce", "kl_penalty", "entropy_bonus"),
    steps=2,
    train__rows=4,
    model__dtype="bfloat16",
    model__param_dtype="bfloat16",
  )
  c.model.lora.rank = 4
  sft.train(c, tmp_path / "run")
  told = runs.lines(tmp_path / "run")
  assert all(line["guard/skipped_fraction"] == 0 for line in told)
  # The reference is the model below the adapters, which begin as nothing.
  assert told[0]["loss/added"] != told[1]["loss/added"]
  assert export.export(c, tmp_path / "run", tmp_path / "out") == 2
  before = hf.load(c.model.folder).params["blocks"]["up"]
  after = hf.load(tmp_path / "out").params["blocks"]["up"]
  assert before.shape == after.shape and bool((before != after).any())


@pytest.mark.parametrize(
  ("changes", "told"),
  [
    (dict(chain=("entropy_bonus",)), "none of them sets the surrogate"),
    (dict(chain=("grpo", "reinforce")), "'grpo' is for rollouts"),
    (dict(chain=("ttrl", "reinforce")), "'ttrl' is for rollouts"),
    (dict(chain=("reinforce", "aepo")), "'aepo' is for rollouts"),
    (
      dict(chain=("cispo",)),
      "'cispo' is for rollouts, it makes or reads the ra",
    ),
    (
      dict(chain=("drpo",)),
      "'drpo' is for rollouts, it makes or reads the rat",
    ),
    (dict(chain=("gspo", "entropy_sft")), "'gspo' is for rollouts"),
    (dict(chain=("reinforce", "overlong_shaping")), "makes or reads rewards"),
    (dict(chain=("reinforce", "tea_rl")), "'tea_rl' takes a row for one"),
    (dict(loss__aggregation="seq-mean-token-mean"), "config.data.pack"),
    (dict(train__updates=3), "config.train.rows = 2 must be a multiple"),
    (dict(model__folder=""), "needs the tokenizer of a model"),
    (dict(data__train=("no.parquet",)), "There is no file 'no.parquet'"),
    (dict(data__length=1), "config.data.length = 1 must be"),
    (dict(data__answers="none"), "answers = 'none' must be one of"),
  ],
)
def test_what_cannot_be_run_is_told(rows, changes, told):
  c = config(rows, **changes)
  c.aepo.target_entropy = 0.5 if "aepo" in c.chain else None
  assert told in runs.message(c)


def test_fields_of_reinforcement_learning_are_no_fields(rows):
  c = config(rows)
  with c.unlocked():
    c.rollout = dict(prompts=8)
    del c.data.pack
  told = runs.message(c)
  assert "config.rollout.prompts = 8 is not a field" in told
  assert "config.data.pack is missing" in told


def test_a_configuration_of_the_other_program_is_told(rows, tmp_path):
  with pytest.raises(config_lib.ConfigError, match="for experiments.sft, not"):
    loop.train(config(rows), tmp_path)
  with pytest.raises(config_lib.ConfigError, match="for experiments.train, no"):
    sft.train(runs.config(), tmp_path)


def test_a_run_is_not_gone_on_with_on_other_data(rows, tmp_path):
  c = config(rows)
  (tmp_path / "config.json").write_text(json.dumps(config_lib.plain(c)))
  config_lib.check(c, tmp_path)
  c.data.length = 64
  assert "config.data.length = 128" in runs.message(c, tmp_path)


def test_the_configuration_of_the_file_is_sound():
  config_lib.check(sft_config.get_config("runlocal"))
  config_lib.check(sft_config.get_config("runlocal,method=entropy_sft"))
  c = sft_config.get_config()
  c.data.train, c.model.folder = (laptop.problems("train"),), ""
  assert runs.message(c).count("\n") == 1
