"""Rewards that are the log-ratio of two policies: scores and their losses.

With r(y) = beta * log pi_phi(y) / pi_ref(y), trained on whole responses by any
of the losses here, the partial sums of the log-ratios are a Q-function, so the
log-ratio of a token is what that token earned.

Yuan et al., Free Process Rewards without Process Labels, arXiv 2412.01981; Cui
et al., Process Reinforcement through Implicit Rewards, arXiv 2502.01456.
"""

from rlvr_jax.implicit_reward.choice import best as best
from rlvr_jax.implicit_reward.choice import first_error as first_error
from rlvr_jax.implicit_reward.choice import response_score as response_score
from rlvr_jax.implicit_reward.choice import step_rewards as step_rewards
from rlvr_jax.implicit_reward.choice import votes as votes
from rlvr_jax.implicit_reward.credit import Credit as Credit
from rlvr_jax.implicit_reward.losses import ONLINE as ONLINE
from rlvr_jax.implicit_reward.losses import Responses as Responses
from rlvr_jax.implicit_reward.losses import cross_entropy as cross_entropy
from rlvr_jax.implicit_reward.losses import detached_dpo as detached_dpo
from rlvr_jax.implicit_reward.losses import dpo as dpo
from rlvr_jax.implicit_reward.losses import kto as kto
from rlvr_jax.implicit_reward.losses import kto_baseline as kto_baseline
from rlvr_jax.implicit_reward.losses import kto_pairs as kto_pairs
from rlvr_jax.implicit_reward.losses import nca as nca
from rlvr_jax.implicit_reward.losses import nca_pairs as nca_pairs
from rlvr_jax.implicit_reward.scores import normalized as normalized
from rlvr_jax.implicit_reward.scores import outcome_term as outcome_term
from rlvr_jax.implicit_reward.scores import pair_accuracy as pair_accuracy
from rlvr_jax.implicit_reward.scores import process_term as process_term
from rlvr_jax.implicit_reward.scores import sign_accuracy as sign_accuracy
from rlvr_jax.implicit_reward.scores import token_scores as token_scores
from rlvr_jax.implicit_reward.scores import whole_scores as whole_scores
