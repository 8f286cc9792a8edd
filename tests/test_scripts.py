"""The launch scripts, with programs of clouds and clusters that only record."""

import os
import pathlib
import signal
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).parent.parent
FLAGS = ("--config=a.py:b=c", "--config.chain=('grpo', 'steer')", "--x=$HOME")

# Runs a command of `ssh` at home; `describe` tells the next line of `states`.
# What holds the word in `failing` fails, once.
GCLOUD = r"""#!/usr/bin/env bash
echo "$4" >> "$FAKE/calls"
if [[ -e $FAKE/failing && $* == *"$(cat "$FAKE/failing")"* ]]; then
  rm "$FAKE/failing"
  exit 1
fi
case $4 in
  describe)
    head -n 1 "$FAKE/states" | grep -v MISSING
    found=$?
    if [[ $(wc -l < "$FAKE/states") -gt 1 ]]; then sed -i 1d "$FAKE/states"; fi
    exit $found ;;
  create) rm -rf "$FAKE/home"; mkdir -p "$FAKE/home/rlvr_jax" ;;
  ssh)
    for given in "$@"; do
      if [[ $given == --command=*apt-get* ]]; then
        echo installed >> "$FAKE/calls"
        mkdir -p "$FAKE/home/rlvr_jax/.venv/bin"
        cp "$FAKE/python" "$FAKE/home/rlvr_jax/.venv/bin/python"
      elif [[ $given == --command=* ]]; then
        cd "$FAKE/home" && bash -c "${given#--command=}"
      fi
    done ;;
esac
"""
PYTHON = r"""#!/usr/bin/env bash
printf '%s\n' "$JAX_NUM_PROCESSES" "$@" > "$FAKE/argv"
echo launched >> "$FAKE/launched"
if [[ -e $FAKE/failing_later ]]; then
  mv "$FAKE/failing_later" "$FAKE/failing"
fi
exit "$(head -n "$(wc -l < "$FAKE/launched")" "$FAKE/exits" | tail -n 1)"
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
  """A folder on PATH, and what its programs know."""
  monkeypatch.setenv("FAKE", str(tmp_path))
  monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
  for name, value in dict(
    NAME="t", ZONE="z", TYPE="v5litepod-8", SHARE="h:/s", POLL="0.2"
  ).items():
    monkeypatch.setenv(name, value)
  monkeypatch.setenv("LOGS", str(tmp_path / "logs"))
  (tmp_path / "states").write_text("READY\n")
  (tmp_path / "exits").write_text("0\n")
  program(tmp_path / "gcloud", GCLOUD)
  program(tmp_path / "python", PYTHON)
  return tmp_path


def program(path, text):
  path.write_text(text)
  path.chmod(0o755)


def tpu_vm(*argv):
  return subprocess.run(
    [ROOT / "scripts" / "tpu_vm.sh", *argv],
    capture_output=True,
    text=True,
    timeout=60,
  )


def calls(fake):
  return [call for call in (fake / "calls").read_text().split("\n") if call]


def test_flags_reach_the_workers_as_they_were_typed(fake):
  for verb in ("create", "setup"):
    done = tpu_vm(verb)
    assert done.returncode == 0, done.stderr
  assert tpu_vm("status").stdout == "idle\n"
  done = tpu_vm("launch", *FLAGS)
  assert done.returncode == 0, done.stderr
  end = time.monotonic() + 20
  while tpu_vm("status").stdout != "0\n":
    assert time.monotonic() < end
  said = (fake / "argv").read_text().splitlines()
  assert said == ["auto", "-m", "experiments.train", *FLAGS]


def test_a_preempted_tpu_is_made_again_and_the_run_goes_on(fake):
  # Asked to stop, the run had ended well: it is not finished for that.
  (fake / "states").write_text(
    "MISSING\nREADY\nREADY\nREADY\nPREEMPTED\nPREEMPTED\nMISSING\nREADY\n"
  )
  done = tpu_vm("keep", *FLAGS)
  assert done.returncode == 0, done.stderr
  found = calls(fake)
  assert found.count("create") == 2 and found.count("delete") == 1
  assert (fake / "launched").read_text().count("launched") == 2
  assert (fake / "argv").read_text().splitlines()[3:] == [*FLAGS]


def test_a_run_that_fails_again_and_again_is_not_kept(fake):
  (fake / "exits").write_text("1\n")
  (fake / "states").write_text("MISSING\nREADY\n")
  done = tpu_vm("keep", *FLAGS)
  assert done.returncode == 1
  assert "exit status 1, failure 3 in a row" in done.stderr
  assert (fake / "launched").read_text().count("launched") == 3


def test_a_setup_whose_copy_fails_is_made_again_from_the_beginning(fake):
  (fake / "states").write_text("MISSING\nREADY\n")
  (fake / "failing").write_text("scp")
  done = tpu_vm("keep", *FLAGS)
  assert done.returncode == 0, done.stderr
  steps = [call for call in calls(fake) if call in ("scp", "installed")]
  assert steps == ["scp", "scp", "installed"]


@pytest.mark.parametrize("failing", ["nohup", "output-directory"])
def test_a_worker_that_is_not_reached_does_not_end_the_keeping(fake, failing):
  (fake / "states").write_text("MISSING\nREADY\n")
  (fake / "exits").write_text("1\n0\n")
  (fake / "failing_later").write_text(failing)
  done = tpu_vm("keep", *FLAGS)
  assert done.returncode == 0, done.stderr
  assert not (fake / "failing").exists()
  assert (fake / "launched").read_text().count("launched") == 2


def test_the_script_without_a_verb_tells_how_it_is_used(fake):
  done = tpu_vm()
  assert done.returncode == 2 and "scripts/tpu_vm.sh keep" in done.stderr


def sbatch(fake, srun, *argv):
  program(fake / "srun", "#!/usr/bin/env bash\n" + srun)
  program(fake / "scontrol", '#!/usr/bin/env bash\necho "$@" >> $FAKE/requeued')
  return subprocess.Popen(
    ["bash", ROOT / "scripts" / "slurm.sbatch", *argv],
    env=os.environ | {"SLURM_JOB_ID": "7"},
  )


def requeued(fake):
  path = fake / "requeued"
  return path.read_text() if path.exists() else None


@pytest.mark.parametrize(
  ("status", "restarts", "again"),
  [
    (0, "0", None),
    (1, "0", None),
    (75, "", "requeue 7\n"),
    (75, "19", "requeue 7\n"),
    (75, "20", None),
  ],
)
def test_a_job_goes_back_into_the_queue_a_few_times_if_not_all_is_saved(
  fake, monkeypatch, status, restarts, again
):
  monkeypatch.setenv("SLURM_RESTART_COUNT", restarts)
  srun = f'printf "%s\\n" "$@" > "$FAKE/argv"; exit {status}'
  assert sbatch(fake, srun, *FLAGS).wait(20) == status
  assert requeued(fake) == again
  said = (fake / "argv").read_text().splitlines()
  assert said[-4:-1] == [*FLAGS]


def test_a_job_whose_time_is_up_saves_and_goes_back_into_the_queue(
  fake, monkeypatch
):
  monkeypatch.setenv("SLURM_RESTART_COUNT", "99")
  srun = (
    "trap 'touch $FAKE/saved; exit 0' TERM; touch $FAKE/up\n"
    "while true; do sleep 0.1; done"
  )
  job = sbatch(fake, srun)
  end = time.monotonic() + 20
  while not (fake / "up").exists():
    assert time.monotonic() < end
    time.sleep(0.02)
  job.send_signal(signal.SIGTERM)
  assert job.wait(20) == 0
  assert (fake / "saved").exists() and requeued(fake) == "requeue 7\n"
