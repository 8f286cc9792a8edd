"""Figures that follow from the seconds of all contenders, and their table."""

from collections.abc import Mapping

import numpy as np
import tabulate

from experiments.kernel_bench.problem import Shape

# Those that compute what they promise: `cce_filtered` leaves terms out.
_EXACT_RIVALS = ("full", "torch", "torch_compile", "cce", "liger")
_PRODUCTS = {"forward": 1, "forward_backward": 3}
_HEADS = {
  "median_seconds": ".4f",
  "ratio_to_full": ".3f",
  "ratio_to_best_rival": ".3f",
  "tokens_per_second": ".0f",
  "share_of_matmul_limit": ".3f",
  "share_of_logits": ".3f",
}


def record(
  shape: Shape,
  mode: str,
  told: Mapping[str, dict],
  seconds: Mapping[str, list[float]],
) -> dict:
  """Figures of one problem and mode.

  Args:
    shape: of the problem.
    mode: what was timed.
    told: what is known of each contender, `peak_extra_bytes` among it.
    seconds: of each contender, a number per round.

  Returns:
    `best_rival`, the fastest one whose gradient is exact, be it of log-probs
    alone, and `contenders`. Ratios are medians of those of each round; None
    where there is nothing to compare with.
  """
  taken = {name: np.array(given) for name, given in seconds.items()}
  rivals = [name for name in _EXACT_RIVALS if name in taken]
  best = min(rivals, key=lambda name: np.median(taken[name]), default=None)
  of = lambda name: _figures(shape, mode, taken, name, best)
  logits = shape.tokens * shape.vocabulary * 4
  found = {}
  for name in taken:
    peak = told[name]["peak_extra_bytes"]
    share = None if peak is None else peak / logits
    more = dict(share_of_logits=share, seconds=list(seconds[name]))
    found[name] = {**told[name], **of(name), **more}
  return dict(best_rival=best, contenders=found)


def _figures(shape, mode, taken, name, best) -> dict:
  ratio = lambda a, b: float(np.median(taken[a] / taken[b]))
  limit = None
  if "matmul" in taken:
    # The least work: one product forward, two more backward. `matmul` itself
    # runs one in either mode.
    products = 1 if name == "matmul" else _PRODUCTS[mode]
    limit = products * ratio("matmul", name)
  median = float(np.median(taken[name]))
  return dict(
    median_seconds=median,
    ratio_to_full=ratio(name, "full") if "full" in taken else None,
    ratio_to_best_rival=ratio(name, best) if best else None,
    tokens_per_second=shape.tokens / median,
    share_of_matmul_limit=limit,
  )


def table(record: Mapping) -> str:
  """The figures of a record for a reader."""
  keys = "tokens", "width", "vocabulary", "dtype", "mode", "best_rival"
  title = ", ".join(f"{key} {record[key]}" for key in keys)
  rows = [
    [name, *(figures[head] for head in _HEADS)]
    for name, figures in record["contenders"].items()
  ]
  heads = ["contender", *(head.replace("_", " ") for head in _HEADS)]
  form = ("", *_HEADS.values())
  text = tabulate.tabulate(rows, heads, "github", floatfmt=form)
  out = [f"left out: {k}: {x}" for k, x in record["left_out"].items()]
  return "\n".join([title, text, *out])
