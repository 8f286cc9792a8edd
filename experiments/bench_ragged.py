r"""Times updates and scoring of ragged responses at one width and at several.

python -m experiments.bench_ragged --widths=8 --rounds=7

Lengths are exponential with a quarter of the maximum as their mean, cut off
there. Both take turns, so that a slow moment of the machine falls on both; the
ratio is the median of the rounds' ratios.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tabulate
from absl import flags

from configs import default
from rlvr_jax.models import DecoderConfig
from rlvr_jax.models import mesh as mesh_lib
from rlvr_jax.planning import given
from rlvr_jax.sampling import sampler
from rlvr_jax.training import build, command
from rlvr_jax.training.programs import Programs
from rlvr_jax.types import PyTree, TokenBatch

_WIDTHS = flags.DEFINE_integer("widths", 8, "that slices may run at", 2)
_SLICES = flags.DEFINE_integer("slices", 8, "of an update", 2)
_ROUNDS = flags.DEFINE_integer("rounds", 7, "of both", 1)
_LENGTH = flags.DEFINE_integer("length", 256, "tokens of a response", 8)
_PROMPT = flags.DEFINE_integer("prompt", 32, "tokens of a prompt", 1)
_WIDTH = flags.DEFINE_integer("width", 256, "hidden size of the decoder", 8)


class Side(NamedTuple):
  """A run, and a rollout whose responses end early."""

  programs: Programs
  state: PyTree
  batch: TokenBatch

  def update(self) -> float:
    """Seconds of an update."""
    state = jax.tree.map(jnp.copy, self.state)  # It is consumed.
    return _seconds(lambda: self.programs.update(state, None, self.batch, 0))

  def score(self) -> float:
    """Seconds of a scoring pass over all rows."""
    run = self.programs.rescored
    return _seconds(lambda: run(self.state, None, self.batch))


def side(widths: int) -> Side:
  """What is timed, on random weights, tokens and advantages."""
  config = default.get_config()
  config.rollout.update(dict(prompts=16, per_prompt=8))
  config.train.update(dict(updates=1, slices=_SLICES.value, widths=widths))
  d = _WIDTH.value
  sizes = DecoderConfig(4096, d, 4, 4, 2, d // 4, 3 * d, remat="full")
  lengths = _PROMPT.value, _LENGTH.value
  ends, mesh = sampler.Ends((1,), 0), mesh_lib.make_mesh()
  p = build.assemble(config, sizes, ends, *lengths, mesh)
  params = p.model.init(jax.random.key(0))
  state = jax.jit(p.init_state)(jax.random.key(0), params)
  traced = dict(p.ahead(*given.of(p)))["prepare"].out_info[0]
  return Side(p, state, jax.device_put(_batch(traced), traced.mask.sharding))


def _batch(shapes: TokenBatch) -> TokenBatch:
  """Random rows of the shapes, ragged."""
  dice = np.random.default_rng(0)
  zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
  rows, length = shapes.mask.shape
  ends = np.clip(dice.exponential(length / 4, rows), 1, length).astype(int)
  return zeros.replace(
    tokens=dice.integers(2, 4096, shapes.tokens.shape).astype(np.int32),
    prompt_mask=np.ones(shapes.prompt_mask.shape, bool),
    mask=np.arange(length) < ends[:, None],
    old_logp=np.full(shapes.mask.shape, -8.0, np.float32),
    advantages=dice.normal(size=shapes.mask.shape).astype(np.float32),
    score_temperature=np.ones(rows, np.float32),
    group=np.arange(rows, dtype=np.int32) // 8,
  )


def _seconds(run: Callable[[], PyTree]) -> float:
  began = time.perf_counter()
  jax.block_until_ready(run())
  return time.perf_counter() - began


def main() -> None:
  """Prints medians and ratios."""
  padded, ragged = side(1), side(_WIDTHS.value)
  rows = []
  for name in ("score", "update"):
    pairs = [
      (getattr(padded, name)(), getattr(ragged, name)())
      for _ in range(_ROUNDS.value + 1)
    ][1:]  # The first ones compile.
    a, b = np.transpose(pairs)
    rows.append([name, np.median(a), np.median(b), np.median(a / b)])
  headers = ["", "one width (s)", f"{_WIDTHS.value} widths (s)", "times faster"]
  print(tabulate.tabulate(rows, headers, "github", floatfmt=".3f"))


if __name__ == "__main__":
  command.run(main)
