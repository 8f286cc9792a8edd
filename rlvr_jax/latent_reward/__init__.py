"""Return decomposition: which tokens earned the reward of a response.

Features tell what a token is and how sure the policy was; a small decoder
makes one number of them, learnt so that the numbers of a response add up to
its reward.
"""

from rlvr_jax.latent_reward.decoder import Decoder as Decoder
from rlvr_jax.latent_reward.decoder import Learnt as Learnt
from rlvr_jax.latent_reward.decoder import Weights as Weights
from rlvr_jax.latent_reward.decoder import rewards as rewards
from rlvr_jax.latent_reward.features import DEFAULT as DEFAULT
from rlvr_jax.latent_reward.features import NAMES as NAMES
from rlvr_jax.latent_reward.features import Latent as Latent
from rlvr_jax.latent_reward.losses import draw as draw
from rlvr_jax.latent_reward.losses import rd as rd
from rlvr_jax.latent_reward.losses import rrd as rrd
from rlvr_jax.latent_reward.marks import Mark as Mark
from rlvr_jax.latent_reward.standard import after as after
from rlvr_jax.latent_reward.standard import standard as standard
from rlvr_jax.latent_reward.standard import start as start
from rlvr_jax.latent_reward.steps import ends as ends
from rlvr_jax.latent_reward.steps import means as means
from rlvr_jax.latent_reward.steps import redistributed as redistributed
