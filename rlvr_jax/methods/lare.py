"""LaRe: the tokens share the reward of a response as a decoder has learnt."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rlvr_jax import latent_reward, novelty, reduce
from rlvr_jax.transform import LossTransform
from rlvr_jax.types import Array

CHOICES = {
  "loss": ("rd", "rrd", "rrd_unbiased"),
  "target": ("mean", "sum"),
  "centre": ("group", "none"),
  "granularity": ("token", "step"),
  "standardise": ("running", "none"),
  "baseline": ("return", "to_go"),
}


class Episodes(NamedTuple):
  """What the decoder learns from."""

  latent: Array  # f32[..., B, T, D], not standardised
  mask: Array  # bool[..., B, T] tokens, or last tokens of steps
  returns: Array  # f32[..., B]


class LareState(NamedTuple):
  """What is remembered; () where it is not asked for."""

  decoder: latent_reward.Learnt
  moments: novelty.Moments | tuple  # f32[D] each, of every feature
  past: Episodes | tuple  # of the last steps, the latest first


def lare(
  lam: float = 0.5,
  loss: str = "rd",
  subset: int = 64,
  target: str = "mean",
  centre: str = "group",
  variance_coef: float = 0.0,
  granularity: str = "token",
  features: str = latent_reward.DEFAULT,
  step: str = "\n",
  tag: str = "</think>",
  size: int = 32,
  standardise: str = "running",
  layers: int = 3,
  width: int = 256,
  rate: float = 3e-4,
  weight_decay: float = 0.0,
  learn_steps: int = 4,
  buffer: int = 0,
  baseline: str = "return",
  whiten: bool = False,
) -> LossTransform:
  """Moves the reward of a response to the tokens that a decoder credits.

  A decoder f makes one number f_t of what is known of token t, its features.
  It learns from the responses of every step, before it is read:
    rd            (R / T - mean of f over the T tokens)^2
    rrd           the same over K random ones of them
    rrd_unbiased  less v (1 - K / T) / K, v the variance of f over the K
  or T^2 times that with target = "sum". Then, with b the mean reward of the
  other responses of the group,
    c_t = f_t + (R - sum of f) / T            so that they sum to R
    r_t = lam c_t + (1 - lam) R [t is last]
    A_t = r_t + ... + r_T - b
  With baseline = "to_go" the lam b of b falls evenly, to lam b / T at the last
  token. With granularity = "step" it is steps that have features, the mean over
  their tokens, and earn, at their last token; T is their number.

  Edits:   batch.advantages (own)
  Needs:   nothing if lam = 0; else what the features read, at rollout: entropy
           of the policy, notes of what stands at a token, log-prob of the ref
           policy if ref_gap, hidden state of the policy if raw
  State:   decoder of width (D + width (layers - 2)) weights for D features and
           two moments of each, 3 D running moments, buffer B T D features, each
           if it is used; whole on every device, set at prepare
  Scope:   group; the decoder is of the run
  Neutral: none; lam = 0 is rloo, learns nothing and keeps no state

  Args:
    lam: share of the reward that is redistributed, in [0, 1].
    loss: "rd", "rrd" or "rrd_unbiased".
    subset: K, tokens drawn of each response, >= 1, >= 2 if unbiased; 64. With
      repetition where a response has fewer.
    target: "mean" (MuJoCo in the paper) or "sum" (MPE).
    centre: what the decoder learns is R less its mean over the "group", or R as
      it is ("none").
    variance_coef: weight of the variance of f along a response, >= 0; 0. Read
      with rd.
    granularity: "token" or "step".
    features: names joined by commas: logp, entropy, entropy_change, digit,
      operator, step, answer, position, repeat, format, arithmetic, which are
      the default, ref_gap, raw; see `latent_reward.Latent`.
    step: text that ends a step, not empty.
    tag: text that ends the thinking, not empty.
    size: numbers of the state, and of the token, in raw, >= 1.
    standardise: "running", by the mean and deviation of each feature over all
      training so far, at most 10 deviations; or "none".
    layers: of the decoder, >= 1; 3, 5 for MPE. 1 is linear.
    width: of its hidden layers, >= 1; 256, 64 for MPE.
    rate: learning rate of its Adam, > 0; 3e-4, 5e-4 for MPE.
    weight_decay: of its weights, added to their gradient, >= 0; 0, 1e-5 for
      MPE.
    learn_steps: steps of Adam per training step, each on all responses, >= 1.
    buffer: earlier training steps whose responses it learns from too, >= 0.
    baseline: "return" or "to_go".
    whiten: shift and scale the advantages to mean 0 and deviation 1.

  Returns:
    A LossTransform named "lare".

  Raises:
    ValueError: an unknown choice or feature, or a number out of range; at
      prepare, a rollout of another shape than the buffer.

  Metrics:
    lare/loss: loss of the decoder before its last step, unless lam = 0.
    lare/explained: share of the squared targets of this step that the sums of f
      explain after learning; below 0 worse than 0 for all; unless lam = 0.
    lare/spread: mean deviation of c_t along a response, unless lam = 0.

  Source:
    Qu et al., Latent Reward: LLM-Empowered Credit Assignment in Episodic
    Reinforcement Learning, arXiv 2412.11120; RRD, arXiv 2111.13485. Code:
    thu-rllab/LaRe.
    Differs from that code: features are written by hand, not by a language
    model; a token is a step, and everything from the standardisation to the
    redistribution is ours. The last layer begins at 0, so that the first
    redistribution is even.
  """
  names = tuple(name.strip() for name in features.split(","))
  least = 2 if loss == "rrd_unbiased" else 1
  _check(
    names,
    dict(
      loss=loss,
      target=target,
      centre=centre,
      granularity=granularity,
      standardise=standardise,
      baseline=baseline,
    ),
    lam=(0 <= lam <= 1, lam, "lie in [0, 1]"),
    subset=(subset >= least, subset, f"be >= {least}"),
    variance_coef=(
      variance_coef == 0 or (variance_coef > 0 and loss == "rd"),
      variance_coef,
      "be 0, or > 0 with loss = 'rd'",
    ),
    step=(step != "", step, "be a text, not empty"),
    tag=(tag != "", tag, "be a text, not empty"),
    size=(size >= 1, size, "be >= 1"),
    layers=(layers >= 1, layers, "be >= 1"),
    width=(width >= 1, width, "be >= 1"),
    rate=(rate > 0, rate, "be > 0"),
    weight_decay=(weight_decay >= 0, weight_decay, "be >= 0"),
    learn_steps=(learn_steps >= 1, learn_steps, "be >= 1"),
    buffer=(buffer >= 0, buffer, "be >= 0"),
  )
  latent = latent_reward.Latent(names, step, tag, size)
  decoder = latent_reward.Decoder(
    latent.width, width, layers, rate, weight_decay
  )
  running, stepwise = standardise == "running", granularity == "step"

  def init(example):
    if not lam:
      return ()
    shape = (buffer, *example.mask.shape)
    past = Episodes(
      jnp.zeros((*shape, latent.width), jnp.float32),
      jnp.zeros(shape, bool),
      jnp.zeros(shape[:-1], jnp.float32),
    )
    return LareState(
      decoder.init(),
      latent_reward.start(latent.width) if running else (),
      past if buffer else (),
    )

  def episodes(batch, context):
    """The responses of this step that have a group and tokens."""
    mask = batch.mask & (batch.group >= 0)[:, None]
    known = latent.of(batch, context)
    if stepwise:
      last = latent_reward.ends(context.stat(latent.mark("step")) > 0, mask)
      mask, known = last, latent_reward.means(known, mask, last)
    mean = reduce.group_mean(batch.reward, batch.group)
    returns = batch.reward - (mean if centre == "group" else 0)
    returns = jnp.where(mask.any(axis=1), returns, 0)
    return Episodes(known, mask, returns.astype(jnp.float32))

  def standard(known, state):
    if not running:
      return known
    return latent_reward.standard(known, state.moments)

  def remembered(state, now):
    """The episodes to learn from, N rows, and the state that holds them."""
    if not buffer:
      return now, state
    if state.past.mask.shape[1:] != now.mask.shape:
      raise ValueError(
        f"lare.buffer = {buffer} holds rollouts of {state.past.mask.shape[1:]} "
        f"rows and tokens, this one has {now.mask.shape}; put lare in front of "
        "what changes the rows, or set buffer = 0."
      )
    whole = jax.tree.map(
      lambda x, y: jnp.concatenate([x[None], y]), now, state.past
    )
    state = state._replace(past=jax.tree.map(lambda x: x[:-1], whole))
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), whole), state

  def learnt(state, seen, context):
    """The decoder after its steps, and its last loss."""
    known, mask, returns = seen
    known = standard(known, state)
    length = reduce.row_length(mask)

    def error(weights, number):
      if loss == "rd":
        rewards = latent_reward.rewards(weights, known)
        return latent_reward.rd(rewards, mask, returns, target, variance_coef)
      key = jax.random.fold_in(context.key, number)
      places = latent_reward.draw(key, mask, subset)[..., None]
      drawn = jnp.take_along_axis(known, places, axis=1)
      rewards = latent_reward.rewards(weights, drawn)
      unbiased = loss == "rrd_unbiased"
      return latent_reward.rrd(rewards, length, returns, target, unbiased)

    found, losses = decoder.learn(state.decoder, error, learn_steps)
    some = mask.any()
    keep = lambda new, old: jnp.where(some, new, old)
    found = jax.tree.map(keep, found, state.decoder)
    return state._replace(decoder=found), losses[-1]

  def measured(rewards, now, last):
    total = jnp.where(now.mask, rewards, 0).sum(axis=1)
    square, left = (now.returns**2).sum(), ((now.returns - total) ** 2).sum()
    explained = 1 - left / jnp.where(square > 0, square, 1)
    apart = rewards - reduce.row_mean(rewards, now.mask)[:, None]
    spread = jnp.sqrt(reduce.row_mean(apart**2, now.mask))
    return {
      "lare/loss": last,
      "lare/explained": jnp.where(square > 0, explained, 0),
      "lare/spread": reduce.masked_mean(spread, now.mask.any(axis=1)),
    }

  def credited(batch, state, context):
    """f32[B, T] that sum to the reward, who earns it, state and metrics."""
    now = episodes(batch, context)
    if running:
      after = latent_reward.after(state.moments, now.latent, now.mask)
      state = state._replace(moments=after)
    seen, state = remembered(state, now)
    state, last = learnt(state, seen, context)
    known = standard(now.latent, state)
    rewards = latent_reward.rewards(state.decoder.weights, known)
    credit = latent_reward.redistributed(rewards, now.mask, batch.reward)
    return credit, now.mask, state, measured(rewards, now, last)

  def prepare(batch, state, context):
    reward, group, own = batch.reward, batch.group, (batch.group >= 0)[:, None]
    count = reduce.group_count(group)
    centred = reward - reduce.group_mean(reward, group)
    peers = centred * count / jnp.maximum(count - 1, 1)
    above = jnp.where(count == 1, reward, peers)
    advantages, metrics = above[:, None], {}
    if lam:
      credit, earns, state, metrics = credited(batch, state, context)
      # What is to go is the reward less what the tokens before were given.
      gone = _before(credit)
      if baseline == "to_go":
        even = (reward - above) / jnp.maximum(reduce.row_length(earns), 1)
        gone -= even[:, None] * _before(earns.astype(jnp.float32))
      advantages = advantages - lam * gone
    if whiten:
      advantages = reduce.whiten(
        jnp.broadcast_to(advantages, batch.mask.shape), batch.mask & own
      )
    advantages = jnp.where(own, advantages * batch.mask, batch.advantages)
    return batch.replace(
      advantages=advantages, metrics=batch.metrics | metrics
    ), state

  marks = (latent.mark("step"),) if stepwise else ()
  needs = tuple(dict.fromkeys((*latent.needs, *marks))) if lam else ()
  return LossTransform(
    "lare", init, prepare=prepare, needs=needs, owns=("advantages",)
  )


def _before(x: Array) -> Array:
  """f32[B, T]: the sum of all entries of the row before each one."""
  return jnp.pad(jnp.cumsum(x, axis=1), [(0, 0), (1, 0)])[:, :-1]


def _check(
  names: tuple[str, ...],
  choices: dict[str, str],
  **values: tuple[bool, object, str],
) -> None:
  """Refuses what `lare` says it refuses.

  Args:
    names: of features.
    choices: what is chosen, by name.
    **values: whether a value is allowed, the value, and what it must.

  Raises:
    ValueError: the first that is wrong.
  """
  wrong = lambda name, value, must: ValueError(
    f"lare.{name} = {value!r} must {must}."
  )
  known = set(names) <= set(latent_reward.NAMES)
  if not known or len(set(names)) < len(names):
    must = f"be different names of {latent_reward.NAMES}, joined by commas"
    raise wrong("features", ",".join(names), must)
  for name, value in choices.items():
    if value not in CHOICES[name]:
      raise wrong(name, value, f"be in {CHOICES[name]}")
  for name, (holds, value, must) in values.items():
    if not holds:
      raise wrong(name, value, must)
