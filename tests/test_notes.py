import numpy as np
import pytest

from rlvr_jax import notes, stats
from rlvr_jax.types import Need, Responses


def responses(answers, group):
  n = len(answers)
  texts = [str(a) for a in answers]
  pieces = [list(t) for t in texts]
  return Responses([""] * n, texts, pieces, answers, np.array(group), 8)


def test_equal_answers_of_a_group_share_a_number_and_none_is_minus_one():
  found = notes.Answer().annotate(
    responses(["5", "7", None, "5", "5", None], [0, 0, 0, 0, 1, 1])
  )
  np.testing.assert_array_equal(found, [0, 1, -1, 0, 4, -1])


@pytest.mark.parametrize("stat", [notes.Answer(), stats.Features()])
def test_what_is_known_once_a_step_cannot_be_needed_at_update(stat):
  with pytest.raises(ValueError, match="give when='rollout'"):
    Need(stat)
