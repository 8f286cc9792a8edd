"""Every method by name: what it acts on and where it was published."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from rlvr_jax.methods.action_redundancy import action_redundancy
from rlvr_jax.methods.aent import aent
from rlvr_jax.methods.aepo import aepo
from rlvr_jax.methods.aer import aer
from rlvr_jax.methods.agentic_aepo import agentic_aepo
from rlvr_jax.methods.arpo import arpo
from rlvr_jax.methods.bapo import bapo
from rlvr_jax.methods.canon import canon
from rlvr_jax.methods.cdpo import cdpo
from rlvr_jax.methods.cispo import cispo
from rlvr_jax.methods.clip_cov import clip_cov
from rlvr_jax.methods.copo import copo
from rlvr_jax.methods.cure import cure
from rlvr_jax.methods.dcpo import dcpo
from rlvr_jax.methods.disco import disco
from rlvr_jax.methods.dr_bot import dr_bot
from rlvr_jax.methods.dr_grpo import dr_grpo
from rlvr_jax.methods.drpo import drpo
from rlvr_jax.methods.empg import empg
from rlvr_jax.methods.empo import empo
from rlvr_jax.methods.entropy_advantage import entropy_advantage
from rlvr_jax.methods.entropy_annealing import entropy_annealing
from rlvr_jax.methods.entropy_bonus import entropy_bonus
from rlvr_jax.methods.entropy_dynamics_rft import entropy_dynamics_rft
from rlvr_jax.methods.entropy_reward import entropy_reward
from rlvr_jax.methods.entropy_sft import entropy_sft
from rlvr_jax.methods.epo import epo
from rlvr_jax.methods.ettrl_ear import ettrl_ear
from rlvr_jax.methods.ettrl_etmr import ettrl_etmr
from rlvr_jax.methods.exploration_bonuses import exploration_bonuses
from rlvr_jax.methods.forking_tokens import forking_tokens
from rlvr_jax.methods.gae import gae
from rlvr_jax.methods.gmpo import gmpo
from rlvr_jax.methods.gpg import gpg
from rlvr_jax.methods.gradient_preserving_clip import gradient_preserving_clip
from rlvr_jax.methods.group_filter import group_filter
from rlvr_jax.methods.grpo import grpo
from rlvr_jax.methods.grpo_passk import grpo_passk
from rlvr_jax.methods.gspo import gspo
from rlvr_jax.methods.hapo import hapo
from rlvr_jax.methods.hicra import hicra
from rlvr_jax.methods.integral_clip import integral_clip
from rlvr_jax.methods.kl_cov import kl_cov
from rlvr_jax.methods.kl_penalty import kl_penalty
from rlvr_jax.methods.kl_reward import kl_reward
from rlvr_jax.methods.lare import lare
from rlvr_jax.methods.length_reward import length_reward
from rlvr_jax.methods.lp_reg import lp_reg
from rlvr_jax.methods.malformed_penalty import malformed_penalty
from rlvr_jax.methods.one_shot_rlvr import one_shot_rlvr
from rlvr_jax.methods.open_set_tta import open_set_tta
from rlvr_jax.methods.opo import opo
from rlvr_jax.methods.optimal_token_baseline import optimal_token_baseline
from rlvr_jax.methods.overlong_shaping import overlong_shaping
from rlvr_jax.methods.passk_training import passk_training
from rlvr_jax.methods.pear import pear
from rlvr_jax.methods.positive_negative_reinforcement import (
  positive_negative_reinforcement,
)
from rlvr_jax.methods.ppo_clip import ppo_clip
from rlvr_jax.methods.prime import prime
from rlvr_jax.methods.reinforce import reinforce
from rlvr_jax.methods.reinforce_plus_plus import reinforce_plus_plus
from rlvr_jax.methods.remax import remax
from rlvr_jax.methods.revisiting_entropy import revisiting_entropy
from rlvr_jax.methods.rloo import rloo
from rlvr_jax.methods.rollout_correction import rollout_correction
from rlvr_jax.methods.sapo import sapo
from rlvr_jax.methods.seed_grpo import seed_grpo
from rlvr_jax.methods.siren import siren
from rlvr_jax.methods.spear import spear
from rlvr_jax.methods.state_entropy_reg import state_entropy_reg
from rlvr_jax.methods.steer import steer
from rlvr_jax.methods.t1 import t1
from rlvr_jax.methods.tea_rl import tea_rl
from rlvr_jax.methods.tecrl import tecrl
from rlvr_jax.methods.tool_reward import tool_reward
from rlvr_jax.methods.ttrl import ttrl
from rlvr_jax.methods.unlikeliness import unlikeliness
from rlvr_jax.transform import LossTransform

FAMILIES = (
  "advantage",
  "reward",
  "clip",
  "surrogate",
  "weight",
  "regularizer",
  "sampling",
)


class Entry(NamedTuple):
  """One row of the catalogue."""

  factory: Callable[..., LossTransform]
  family: str  # what it acts on, one of FAMILIES
  paper: str
  arxiv: str  # identifier, "" if none
  example: Mapping[str, float | int | str] = {}  # of required parameters
  unbounded: tuple[str, ...] = ()  # parameters that may be inf


CATALOGUE: dict[str, Entry] = {
  "grpo": Entry(grpo, "advantage", "DeepSeekMath (GRPO)", "2402.03300"),
  "dr_grpo": Entry(dr_grpo, "advantage", "Dr.GRPO", "2503.20783"),
  "rloo": Entry(rloo, "advantage", "Back to Basics (RLOO)", "2402.14740"),
  "reinforce_plus_plus": Entry(
    reinforce_plus_plus, "advantage", "REINFORCE++", "2501.03262"
  ),
  "remax": Entry(remax, "advantage", "ReMax", "2310.10505"),
  "opo": Entry(opo, "advantage", "Optimal Reward Baseline (OPO)", "2505.23585"),
  "optimal_token_baseline": Entry(
    optimal_token_baseline, "advantage", "Optimal Token Baseline (verl)", ""
  ),
  "gae": Entry(
    gae, "advantage", "Generalized Advantage Estimation", "1506.02438"
  ),
  "grpo_passk": Entry(
    grpo_passk, "advantage", "Optimizing LMs for pass@k", "2503.19595"
  ),
  "passk_training": Entry(
    passk_training, "advantage", "Pass@k Training", "2508.10751"
  ),
  "positive_negative_reinforcement": Entry(
    positive_negative_reinforcement,
    "advantage",
    "The Surprising Effectiveness of Negative Reinforcement",
    "2506.01347",
  ),
  "unlikeliness": Entry(
    unlikeliness, "reward", "Rewarding the Unlikely", "2506.02355"
  ),
  "overlong_shaping": Entry(
    overlong_shaping, "reward", "DAPO (soft overlong punishment)", "2503.14476"
  ),
  "disco": Entry(
    disco,
    "surrogate",
    "Discriminative Constrained Optimization (DisCO)",
    "2505.12366",
  ),
  "drpo": Entry(
    drpo,
    "surrogate",
    "Decoupled Reward Policy Optimization (DRPO)",
    "2510.04474",
    unbounded=("length_scale",),
  ),
  "rollout_correction": Entry(
    rollout_correction, "weight", "Truncated importance sampling (verl)", ""
  ),
  "group_filter": Entry(
    group_filter, "sampling", "DAPO (dynamic sampling)", "2503.14476"
  ),
  "ppo_clip": Entry(
    ppo_clip,
    "clip",
    "PPO; clip-higher (DAPO)",
    "1707.06347",
    unbounded=("high",),
  ),
  "gspo": Entry(
    gspo,
    "surrogate",
    "Group Sequence Policy Optimization",
    "2507.18071",
    unbounded=("high",),
  ),
  "gmpo": Entry(
    gmpo, "surrogate", "Geometric-Mean Policy Optimization", "2507.20673"
  ),
  "cispo": Entry(
    cispo, "surrogate", "MiniMax-M1 (CISPO)", "2506.13585", unbounded=("high",)
  ),
  "sapo": Entry(
    sapo, "surrogate", "Soft Adaptive Policy Optimization", "2511.20347"
  ),
  "gpg": Entry(gpg, "surrogate", "Group Policy Gradient (GPG)", "2504.02546"),
  "reinforce": Entry(reinforce, "surrogate", "REINFORCE (Williams, 1992)", ""),
  "kl_penalty": Entry(
    kl_penalty, "regularizer", "DeepSeekMath (GRPO)", "2402.03300"
  ),
  "entropy_bonus": Entry(
    entropy_bonus,
    "regularizer",
    "Skywork-OR1 (adaptive)",
    "2505.22312",
    unbounded=("coef_max",),
  ),
  "clip_cov": Entry(
    clip_cov, "weight", "The Entropy Mechanism (Clip-Cov)", "2505.22617"
  ),
  "steer": Entry(
    steer, "weight", "Rethinking Entropy Interventions (STEER)", "2510.10150"
  ),
  "forking_tokens": Entry(
    forking_tokens, "weight", "Beyond the 80/20 Rule", "2506.01939"
  ),
  "kl_cov": Entry(
    kl_cov, "regularizer", "The Entropy Mechanism (KL-Cov)", "2505.22617"
  ),
  "siren": Entry(
    siren, "regularizer", "Rethinking Entropy Regularization", "2509.25133"
  ),
  "lp_reg": Entry(
    lp_reg,
    "regularizer",
    "Low-probability Tokens Sustain Exploration (Lp-Reg)",
    "2510.03222",
  ),
  "aer": Entry(
    aer,
    "regularizer",
    "Rediscovering Entropy Regularization (AER)",
    "2510.10959",
  ),
  "epo": Entry(
    epo, "regularizer", "Entropy-regularized Policy Optimization", "2509.22576"
  ),
  "cdpo": Entry(
    cdpo, "regularizer", "Complexity-Driven Policy Optimization", "2509.20509"
  ),
  "aepo": Entry(
    aepo,
    "sampling",
    "Arbitrary Entropy Policy Optimization",
    "2510.08141",
    {"target_entropy": 0.5},
  ),
  "dcpo": Entry(
    dcpo,
    "advantage",
    "DCPO (authors of AEPO)",
    "2601.12730",
    {"target_entropy": 0.5},
  ),
  "bapo": Entry(bapo, "clip", "BAPO: adaptive clipping", "2510.18927"),
  "entropy_advantage": Entry(
    entropy_advantage, "advantage", "Reasoning with Exploration", "2506.14758"
  ),
  "entropy_dynamics_rft": Entry(
    entropy_dynamics_rft,
    "weight",
    "On the Entropy Dynamics in RFT",
    "2602.03392",
    unbounded=("mu",),
  ),
  "integral_clip": Entry(
    integral_clip, "clip", "Integral control of clip-higher", ""
  ),
  "aent": Entry(
    aent, "regularizer", "On Entropy Control in LLM-RL Algorithms", "2509.03493"
  ),
  "canon": Entry(
    canon, "advantage", "Conditional Advantage Estimation (CANON)", "2509.23962"
  ),
  "empg": Entry(
    empg, "advantage", "Harnessing Uncertainty (EMPG)", "2509.09265"
  ),
  "tecrl": Entry(
    tecrl, "regularizer", "Mind Your Entropy (TECRL)", "2511.11592"
  ),
  "revisiting_entropy": Entry(
    revisiting_entropy,
    "weight",
    "Revisiting Entropy (positive reweighting)",
    "2511.05993",
  ),
  "hicra": Entry(
    hicra, "advantage", "Emergent Hierarchical Reasoning (HICRA)", "2509.03646"
  ),
  "entropy_annealing": Entry(
    entropy_annealing,
    "regularizer",
    "Entropy annealing for mirror descent",
    "2405.20250",
  ),
  "seed_grpo": Entry(
    seed_grpo, "advantage", "SEED-GRPO: semantic entropy", "2505.12346"
  ),
  "ettrl_ear": Entry(
    ettrl_ear, "advantage", "ETTRL: advantage reshaping (EAR)", "2508.11356"
  ),
  "ttrl": Entry(ttrl, "reward", "TTRL: majority vote", "2504.16084"),
  "empo": Entry(
    empo, "reward", "EMPO: semantic entropy minimization", "2504.05812"
  ),
  "pear": Entry(
    pear, "reward", "PEAR: phase entropy aware reward", "2510.08026"
  ),
  "state_entropy_reg": Entry(
    state_entropy_reg, "reward", "State Entropy Regularization", "2506.07085"
  ),
  "copo": Entry(copo, "surrogate", "COPO: consistency-aware", "2508.04138"),
  "one_shot_rlvr": Entry(
    one_shot_rlvr, "regularizer", "RL with One Training Example", "2504.20571"
  ),
  "gradient_preserving_clip": Entry(
    gradient_preserving_clip,
    "clip",
    "Flexible Entropy Control in RLVR",
    "2602.09782",
  ),
  "action_redundancy": Entry(
    action_redundancy, "reward", "Action Redundancy in RL", "2102.11329"
  ),
  "hapo": Entry(hapo, "clip", "HAPO: heterogeneous tokens", "2509.16591"),
  "exploration_bonuses": Entry(
    exploration_bonuses,
    "reward",
    "Global and Episodic Bonuses (E3B)",
    "2306.03236",
  ),
  "lare": Entry(
    lare, "advantage", "Latent Reward: credit assignment (LaRe)", "2412.11120"
  ),
  "open_set_tta": Entry(
    open_set_tta, "sampling", "Open-Set Test-Time Adaptation", "2308.06879"
  ),
  "prime": Entry(
    prime, "advantage", "PRIME: implicit process rewards", "2502.01456"
  ),
  "tea_rl": Entry(tea_rl, "regularizer", "Light-IF (TEA-RL)", "2508.03178"),
  "entropy_sft": Entry(
    entropy_sft, "surrogate", "Light-IF (Entropy-SFT)", "2508.03178"
  ),
  "length_reward": Entry(
    length_reward, "reward", "Light-IF (length reward)", "2508.03178"
  ),
  "ettrl_etmr": Entry(
    ettrl_etmr, "sampling", "ETTRL: trees of responses (ETMR)", "2508.11356"
  ),
  "t1": Entry(t1, "sampling", "T1 (oversampling)", "2501.11651"),
  "malformed_penalty": Entry(
    malformed_penalty, "reward", "T1 (penalties)", "2501.11651"
  ),
  "kl_reward": Entry(
    kl_reward, "reward", "Fine-Tuning from Human Preferences", "1909.08593"
  ),
  "entropy_reward": Entry(
    entropy_reward, "reward", "T1 (entropy as a reward)", "2501.11651"
  ),
  "spear": Entry(spear, "sampling", "SPEAR: self-imitation", "2509.22601"),
  "dr_bot": Entry(dr_bot, "sampling", "SPEAR (Dr.BoT filters)", "2509.22601"),
  "tool_reward": Entry(
    tool_reward, "reward", "SPEAR (reward for tool calls)", "2509.22601"
  ),
  "agentic_aepo": Entry(
    agentic_aepo,
    "clip",
    "Agentic Entropy-Balanced Policy Optimization",
    "2510.14545",
  ),
  "cure": Entry(cure, "sampling", "CURE: critical tokens", "2508.11016"),
  "arpo": Entry(
    arpo, "sampling", "Agentic Reinforced Policy Optimization", "2507.19849"
  ),
}
