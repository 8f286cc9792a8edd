"""Reading the compiler's schedule of a TPU kernel."""

import pytest

from experiments.kernel_bench import schedule

# Seven bundles; a loop begins at 1 and ends at 6, a branch at 3 skips to 5.
SCHEDULE = """
     0 LH: {  %s1 = smov 0 }
   0x1 LB: {  %v2 = vld [vmem:%s1] }
   0x2   : {  %v3 = vadd %v2, %v2 }
   0x3   : {  %p4 = scmp.eq %s1, 7  ;;  sbr.rel (!%p4) target = 5 }
   0x4   : {  %v5 = vmul %v3, %v3 }
   0x5 PF: {  %s6 = sadd %s1, 1 }
   0x6 LE: {  vst [vmem:%s1] %v3 }
"""


def test_a_region_reaches_from_one_mark_to_the_next():
  # Marks stand at 0, 0, 1, behind the branch of 3, at 5, 6 and the end.
  assert schedule.regions(SCHEDULE.splitlines()) == [0, 1, 3, 1, 1, 0]


def test_the_schedule_of_a_kernel_is_found_by_its_name(tmp_path):
  for name in ("sums.1-70", "sums_to_hidden.1-70", "sums.1-schedule-70"):
    file = tmp_path / f"123-{name}-final_bundles.txt"
    file.write_text(name)
  assert schedule.read(tmp_path, "sums") == ["sums.1-70"]
  with pytest.raises(ValueError, match="0 schedules of 'products'"):
    schedule.read(tmp_path, "products")
