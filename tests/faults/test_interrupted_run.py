"""A run that is killed or stopped ends with the bits of one left in peace."""

import pathlib
import random
import signal

import pytest

from experiments.kills import outcome, process
from rlvr_jax.training.checkpoint import Checkpoints

STEPS = 12


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
  """What all runs share: a data set, and programs once compiled."""
  return tmp_path_factory.mktemp("shared")


class Runs:
  """One run left in peace, and one that is not."""

  def __init__(self, method: str, folder: pathlib.Path, shared: pathlib.Path):
    self.peace, self.war = folder / "peace", folder / "war"
    self._shared, self._method = shared, method
    process.finish(self.flags(self.peace), self.programs)

  @property
  def programs(self):
    return self._shared / "programs"

  def flags(self, workdir):
    return process.tiny(self._method, workdir, self._shared / "data", STEPS)

  def kill(self, moment, count):
    """Kills the run at the moment that comes for the count-th time."""
    assert process.kill(self.flags(self.war), moment, count, 0, self.programs)

  def stop(self, moment, count):
    """Asks the run to stop, and asks again while it saves."""
    flags = [*self.flags(self.war), "--verbosity=0"]
    run = process.Process(flags, programs=self.programs)
    assert run.wait_for(process.MOMENTS[moment], count)
    run.send(signal.SIGTERM)
    assert run.wait_for("SIGTERM: saving"), run.tail()
    run.send(signal.SIGINT)
    run.send(signal.SIGTERM)
    assert run.wait() == 0, run.tail()
    assert any("which is saved; the same command goes on" in x for x in run.log)

  def lines(self):
    path = self.war / "metrics.jsonl"
    return len(path.read_text().splitlines()) if path.exists() else 0

  def damage(self, step):
    """Flips one bit in the arrays of a checkpoint."""
    folder = self.war / "checkpoints" / str(step)
    files = (folder / "run").rglob("d/*")
    path = max(files, key=lambda file: file.stat().st_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

  def saved(self):
    checkpoints = Checkpoints(self.war / "checkpoints")
    steps = checkpoints.steps()
    checkpoints.close()
    return steps

  def assert_same(self):
    """Finishes the run and compares."""
    process.finish(self.flags(self.war), self.programs)
    assert len(outcome.lines(self.war / "metrics.jsonl")) == STEPS
    assert not outcome.differences(self.peace, self.war, STEPS)


def test_killed_then_stopped_by_sigterm_then_damaged_a_run_ends_the_same(
  tmp_path, shared
):
  pair = Runs("entropy_bonus", tmp_path, shared)
  pair.kill("save", 3)  # The first is that of the warm start.
  assert pair.saved() == [3]
  pair.stop("update", 2)
  # The step under way was finished, and saved at once.
  begun = pair.saved()[0]
  assert begun % 3 and pair.lines() == begun
  pair.damage(begun)
  pair.assert_same()
  assert (pair.war / "checkpoints" / f"{begun}.corrupt").is_dir()


@pytest.mark.long
def test_stopped_in_sampling_a_step_is_dropped_and_made_again(tmp_path, shared):
  pair = Runs("aepo", tmp_path, shared)
  pair.stop("sampling", 5)
  assert pair.saved()[0] == pair.lines() == 4
  pair.assert_same()


@pytest.mark.long
@pytest.mark.parametrize("method", ["aepo", "siren", "epo", "aer", "prime"])
def test_killed_at_every_kind_of_moment_a_run_ends_the_same(
  tmp_path, shared, method
):
  pair, dice = Runs(method, tmp_path, shared), random.Random(0)
  for moment in process.MOMENTS:
    pair.kill(moment, dice.randint(1, 3))
    if moment == "deletion":
      assert len(pair.saved()) >= 1
  pair.assert_same()
