"""Kills small runs again and again and compares how they end.

python -m experiments.kill_runs --workdir=runs/kills --kills=100

Of every method one run is left in peace and others are killed with SIGKILL, at
a random moment inside sampling, an update, a save or a deletion, and started
again. All must end with the same state and the same metrics, bit for bit.
"""

import pathlib
import random
from collections.abc import Iterator, Sequence

import tabulate
import tqdm
from absl import flags

from experiments.kills import outcome, process
from rlvr_jax import methods
from rlvr_jax.training import command

_KILLS = flags.DEFINE_integer("kills", 100, "of all runs together", 1)
_METHODS = flags.DEFINE_list("methods", None, "else those that keep a state")
_STEPS = flags.DEFINE_integer("steps", 30, "of every run", 4)
_SEED = flags.DEFINE_integer("seed", 0, "of the moments")
_WORKDIR = flags.DEFINE_string("workdir", None, "folder of the runs")
_OUTPUT = flags.DEFINE_string("output", None, "Markdown file to write")

# Beside those whose transform has a state: models and controllers are one too.
_ALSO = ("prime", "entropy_bonus")
_LATEST = 4  # A run is killed when a moment came this often, at the latest.
_DELAY = 0.05  # seconds after it, at most


class Victim:
  """The runs of one method.

  Args:
    method: name of it.
    folder: of its runs.
    dice: that decide when they are killed.
  """

  def __init__(self, method: str, folder: pathlib.Path, dice: random.Random):
    self._method, self._folder, self._dice = method, folder, dice
    self._programs = folder.parent / "programs"
    self.kills = dict.fromkeys(process.MOMENTS, 0)
    self.different: list[str] = []

  def suffer(self, kills: int) -> Iterator[None]:
    """Runs in peace and is killed so often; yields after every kill."""
    peace = self._folder / "peace"
    process.finish(self._flags(peace), self._programs)
    number = 0
    while kills:
      war, number = self._folder / f"war{number}", number + 1
      while kills and self._killed(war):
        kills -= 1
        yield
      process.finish(self._flags(war), self._programs)
      self.different += outcome.differences(peace, war, _STEPS.value)

  def _killed(self, workdir: pathlib.Path) -> bool:
    """Whether a run could be killed before it came to its end."""
    moment = self._dice.choice(list(process.MOMENTS))
    count = self._dice.randint(1, _LATEST)
    delay = self._dice.random() * _DELAY
    flags = self._flags(workdir)
    killed = process.kill(flags, moment, count, delay, self._programs)
    self.kills[moment] += killed
    return killed

  def _flags(self, workdir: pathlib.Path) -> list[str]:
    data = self._folder.parent / "data"
    return process.tiny(self._method, workdir, data, _STEPS.value)


def _names() -> Sequence[str]:
  stateful = [line.name for line in methods.table() if line.state]
  return _METHODS.value or [*stateful, *_ALSO]


def main() -> None:
  """Prints the table, and writes it where --output says."""
  folder, names = pathlib.Path(_WORKDIR.value).absolute(), _names()
  dice, rows = random.Random(_SEED.value), []
  bar = tqdm.tqdm(total=_KILLS.value)
  for index, name in enumerate(names):
    # The first ones take what does not divide.
    share = (_KILLS.value + len(names) - 1 - index) // len(names)
    victim = Victim(name, folder / name, dice)
    for _ in victim.suffer(share):
      bar.update()
    same = "yes" if not victim.different else ", ".join(victim.different)
    rows.append([name, *victim.kills.values(), same])
    tqdm.tqdm.write(str(rows[-1]))
  heads = ["method", *process.MOMENTS, "same bits"]
  text = tabulate.tabulate(rows, heads, "github")
  print(text)
  if _OUTPUT.value:
    pathlib.Path(_OUTPUT.value).write_text(text + "\n")


if __name__ == "__main__":
  flags.mark_flags_as_required(["workdir"])
  command.run(main)
