"""Rows of earlier steps that are trained on again.

A ring of rows in the state of a method, the rewards of the latest groups, which
tell how good a row of the ring still is, and the schedules that go with them.
"""

from rlvr_jax.replayed.history import History as History
from rlvr_jax.replayed.ring import Ring as Ring
from rlvr_jax.replayed.schedules import falling as falling
from rlvr_jax.replayed.schedules import rising as rising
from rlvr_jax.replayed.widen import drawn as drawn
from rlvr_jax.replayed.widen import padded as padded
from rlvr_jax.replayed.widen import widened as widened
