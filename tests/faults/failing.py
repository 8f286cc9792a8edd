"""`experiments.train`, in which process 1 fails in its third step."""

import jax
from absl import flags

from experiments import train
from rlvr_jax.training import command, host

_graded = host.graded
_calls = []


def graded(*args):
  _calls.append(args)
  if jax.process_index() == 1 and len(_calls) == 3:
    raise ArithmeticError("the verifier broke")
  return _graded(*args)


if __name__ == "__main__":
  host.graded = graded
  flags.mark_flags_as_required(["config", "workdir"])
  command.run(train.main, trains=True, together=True)
