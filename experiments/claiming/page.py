"""The page of all claims: one row each, then what each was measured on."""

from collections.abc import Mapping, Sequence

import tabulate

from experiments.claiming import outcome, rule
from experiments.claiming.outcome import Outcome
from experiments.claiming.record import Claim

COMMAND = "python -m experiments.claims.{} --workdir=runs/claims"
HEAD = """# Claims of papers, tried small

Each row is a claim of a paper and a small experiment that could show it or show
the contrary: a decoder of two layers on arithmetic, 100 steps, several arms
that share data and warm start, several seeds. It says nothing about language
models of billions of weights; it says which effects are there already in the
smallest setting, and how large. A claim that is not shown is not refuted.

```
python -m experiments.claims.NAME --workdir=runs/claims
```

trains what is missing, measures and draws; the folder is one for all claims,
which share runs in it. `python -m experiments.claims.table
--workdir=runs/claims` takes over its outcomes and writes this page.

**The rule.** A part of a claim says that a figure, mostly the difference
between two arms of one seed, lies above or below a bound. It is *shown* if the
95 % interval over seeds (Student's t) lies wholly on that side of the bound,
*contrary* if it lies wholly beyond the bound's size on the other side, else
*not shown*. A claim is shown if all its parts are, contrary if one of them is.
Bounds were set before the runs. "Late" is the mean over the last third of the
steps.

"""


def text(claims: Sequence[Claim], outcomes: Mapping[str, Outcome]) -> str:
  """The page as Markdown.

  Args:
    claims: all there are.
    outcomes: by name, of those that were run.
  """
  run = [claim for claim in claims if claim.name in outcomes]
  rows = [_row(claim, outcomes[claim.name]) for claim in run]
  heads = ("claim", "what came out: mean (95 % interval)", "seeds", "verdict")
  table = tabulate.tabulate(rows, heads, "github", disable_numparse=True)
  sections = [_section(claim, outcomes[claim.name]) for claim in run]
  rest = [claim for claim in claims if claim.name not in outcomes]
  return "\n".join([HEAD + table + "\n", *_not_run(rest), *sections])


def told(found: rule.Interval) -> str:
  """An interval as text, of three decimals."""
  return f"{found.mean:.3f} ({found.low:.3f} to {found.high:.3f})"


def _row(claim: Claim, found: Outcome) -> list[str]:
  judged = outcome.judged(claim, found)
  verdict = rule.together([verdict for *_, verdict in judged])
  came_out = "<br>".join(
    f"{part.says}: {told(i)}, {verdict}" for part, i, verdict in judged
  )
  link = f"[{claim.paper}](https://arxiv.org/abs/{claim.paper})"
  says = f"[{claim.name}](#{claim.name}) {link}: {claim.says}"
  return [says, came_out, str(len(found.seeds)), f"**{verdict}**"]


def _not_run(claims: Sequence[Claim]) -> list[str]:
  names = ", ".join(f"`{claim.name}`" for claim in claims)
  return [f"Written and not run yet: {names}.\n"] if names else []


def _section(claim: Claim, found: Outcome) -> str:
  """Setting, figure and all figures of a claim."""
  rows = [
    [part.says, f"{part.side} {part.bound:g}", told(interval), verdict]
    for part, interval, verdict in outcome.judged(claim, found)
  ]
  judged = {part.figure for part in claim.parts}
  rest = [
    [name.replace("_", " "), "", told(rule.interval(values)), ""]
    for name, values in found.figures.items()
    if name not in judged
  ]
  heads = ("figure", "claimed", "mean (95 % interval)", "verdict")
  table = tabulate.tabulate(rows + rest, heads, "github", disable_numparse=True)
  parts = [
    f"## {claim.name}",
    claim.says,
    f"Here: {claim.here}",
    f"![{claim.name}](claims/{claim.name}.png)",
    table,
    claim.remark,
    f"Command: `{COMMAND.format(claim.name)}`",
  ]
  return "\n\n".join(part for part in parts if part) + "\n"
