"""Rules of the chain of a configuration and the sub-dicts of its methods."""

from collections.abc import Container, Iterator, Sequence

from rlvr_jax import methods
from rlvr_jax.training import fields, hyper
from rlvr_jax.transform import LossTransform, keep, keep_plan

# The bounds of configs/default.py; a method with its own would ignore others.
CLIP = 0.2
# Surrogates without a ratio: all others are of a policy that sampled.
CROSS_ENTROPY = ("reinforce", "entropy_sft")
# What reduces along a row, so that it matters what else stands there.
BY_ROW = ("tea_rl", "tecrl", "epo", "aer")
# Of the family "sampling", those that look at rewards.
READERS = ("group_filter", "t1", "dr_bot", "spear")


def problems(config: dict, wrong: Container[str]) -> Iterator[str]:
  """One line for everything that is wrong with the chain.

  Args:
    config: as a plain dict.
    wrong: names of fields that are missing or wrong by themselves.
  """
  if "chain" not in wrong:
    yield from _methods(config, wrong)
    yield from _unused(config, wrong)


def _methods(config: dict, wrong: Container[str]) -> Iterator[str]:
  sound = []
  for name in config["chain"]:
    if name in wrong:
      continue
    told = list(_method(name, config.get(name, {})))
    yield from told
    if not told:
      sound.append(name)
  if sound:
    yield from _composed(config, sound, wrong)


def _method(name: str, values: dict) -> Iterator[str]:
  if "," in name:
    parts = [p.strip() for p in name.split(",")]
    yield (
      f"config.chain holds the one name {name!r}, no method is called that; "
      f'write --config.chain="({", ".join(map(repr, parts))})".'
    )
  else:
    yield from hyper.problems(name, values)


def _unused(config: dict, wrong: Container[str]) -> Iterator[str]:
  """Hyper-parameters that somebody set for a method outside the chain."""
  names = config["chain"]
  for name in methods.CATALOGUE:
    if name in names or name in wrong:
      continue
    values = hyper.changed(name, config.get(name, {}))
    if values:
      yield (
        f"config.{name} sets {values}, but {name!r} is not in config.chain = "
        f"{names}; add it to the chain or remove the sub-dict."
      )


def _composed(
  config: dict, names: Sequence[str], wrong: Container[str]
) -> Iterator[str]:
  """What the methods of a chain say together."""
  try:
    transform = hyper.chain_of(config, names)
  except ValueError as error:
    yield f"config.chain: {error}"
    return
  yield from _ema(config, transform, wrong)
  if fields.is_supervised(config):
    packs = "data.pack" not in wrong and config["data"]["pack"]
    yield from _supervised(transform, packs)
  else:
    yield from _bounds(config, transform, wrong)
    yield from _labels(config, transform, wrong)


def _ema(
  config: dict, transform: LossTransform, wrong: Container[str]
) -> Iterator[str]:
  needs_ema = any("ema" in need.params for need in transform.needs)
  read = "train.ema_decay", "train.ema_every"
  if not needs_ema or any(name in wrong for name in read):
    return
  u = config["train"]
  if not u["ema_decay"] and u["ema_every"] == 1:
    yield (
      "config.train.ema_decay = 0 and config.train.ema_every = 1, but the "
      "chain needs the slow copy 'ema', which would be the policy itself; set "
      "a decay in (0, 1), or copy the policy every so many updates."
    )


def _supervised(transform: LossTransform, packs: bool) -> Iterator[str]:
  """What demonstrations cannot give a method."""
  names = [part.name for part in transform.parts]
  if "surrogate" not in transform.owns:
    yield (
      f"config.chain = {names}: none of them sets the surrogate, and the "
      "clipped ratio of PPO means nothing for demonstrations, which nobody "
      "sampled; add 'reinforce', which is cross-entropy here, or 'entropy_sft'."
    )
  for part in transform.parts:
    for what, wanted in _lacks(part).items():
      if wanted:
        yield (
          f"config.chain: {part.name!r} is for rollouts, it makes or reads "
          f"{what}; leave it out in supervised training."
        )
    if packs and part.name in BY_ROW:
      yield (
        f"config.chain: {part.name!r} takes a row for one response, but a "
        "packed row holds several; set config.data.pack = False."
      )


def _lacks(part: LossTransform) -> dict[str, bool]:
  """What a method might want that demonstrations do not have."""
  known = methods.CATALOGUE.get(part.name)
  family = known.family if known else ""
  another = family == "surrogate" and part.name not in CROSS_ENTROPY
  return {
    "advantages": "advantages" in part.owns or family == "advantage",
    "rewards": family == "reward",
    "the ratio to a policy that sampled": another or family == "clip",
    "the log-probs of a sampler": part.name == "rollout_correction",
    "groups of responses": family == "sampling",
    "further samples": part.plan is not keep_plan,
    "the text of responses": any(need.is_note for need in part.needs),
  }


def _bounds(
  config: dict, transform: LossTransform, wrong: Container[str]
) -> Iterator[str]:
  for field in ("clip_low", "clip_high"):
    owner = next((p.name for p in transform.parts if field in p.owns), None)
    if owner is None or f"loss.{field}" in wrong:
      continue
    value = config["loss"][field]
    if value != CLIP:
      yield (
        f"config.loss.{field} = {value} has no effect, because {owner!r} sets "
        f"the bounds; set config.{owner} instead and leave this at {CLIP}."
      )


def _labels(
  config: dict, transform: LossTransform, wrong: Container[str]
) -> Iterator[str]:
  """Who would read a reward that nobody knows."""
  if "task.labelled" in wrong or config["task"]["labelled"]:
    return
  makers = [i for i, p in enumerate(transform.parts) if "reward" in p.owns]
  for place, part in enumerate(transform.parts):
    known = methods.CATALOGUE.get(part.name)
    reads = "advantages" in part.owns or part.name in READERS
    reads |= known is not None and known.family == "reward"
    # In front of what makes rewards, an edit of them would be lost, too.
    reads |= bool(makers) and place < makers[0] and part.prepare is not keep
    if part.learner is not None or (reads and not _made(makers, place)):
      yield (
        f"config.task.labelled = False, but {part.name!r} reads the rewards of "
        "the verifier; leave it out, or let a method before it in "
        "config.chain make the rewards, such as 'ttrl' or 'empo'."
      )


def _made(makers: Sequence[int], place: int) -> bool:
  """Whether rewards are made at a place of the chain or before it."""
  return bool(makers) and makers[0] <= place
