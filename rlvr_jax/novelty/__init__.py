"""How new a state is: ellipsoids of other ones, counts, prediction errors."""

from rlvr_jax.novelty import counts as counts
from rlvr_jax.novelty import visits as visits
from rlvr_jax.novelty.distillation import Distiller as Distiller
from rlvr_jax.novelty.distillation import combined as combined
from rlvr_jax.novelty.distillation import error as error
from rlvr_jax.novelty.distillation import noveld as noveld
from rlvr_jax.novelty.ellipsoid import grouped as grouped
from rlvr_jax.novelty.ellipsoid import leave_one_out as leave_one_out
from rlvr_jax.novelty.ellipsoid import sequence as sequence
from rlvr_jax.novelty.moments import Moments as Moments
