"""Worker processes: whatever a job does, the others get their verdicts."""

import math
import os
import pathlib
import resource
import signal
import subprocess
import sys
import threading

import pytest

from rlvr_jax import verify
from rlvr_jax.verify import pool as pool_lib

SECONDS = 0.1  # of processor time

SCRIPT = """
import ctypes, os, signal, sys, time

def spin():
  while True:
    pass

def ignore():
  for name in ("SIGPROF", "SIGTERM", "SIGINT"):
    signal.signal(getattr(signal, name), signal.SIG_IGN)
  spin()

def shout():
  print("x" * 200_000, flush=True)
  print("x" * 200_000, file=sys.stderr, flush=True)

FAULTS = {
  "loops": spin,
  "sleeps": lambda: time.sleep(1000),
  "eats memory": lambda: [bytearray(1 << 24) for _ in range(10**6)],
  "asks for all memory at once": lambda: "a" * 10**12,
  "leaves": lambda: os._exit(0),
  "leaves in error": lambda: os._exit(3),
  "kills itself": lambda: os.kill(os.getpid(), signal.SIGKILL),
  "crashes the interpreter": lambda: ctypes.string_at(0),
  "ignores signals": ignore,
  "raises": lambda: 1 / 0,
  "raises what is no Exception": lambda: (_ for _ in ()).throw(BaseException),
  "ends the program": sys.exit,
}

def judge(word, *more):
  if word in FAULTS:
    FAULTS[word]()
  if word == "shouts":
    shout()
  if word == "environment":
    return bool(set(os.environ) - {"PATH", "LANG", "PYTHONHASHSEED",
      "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "JAX_PLATFORMS",
      "OPENBLAS_NUM_THREADS", "LC_CTYPE"})
  if word == "package":
    return any(m.split(".")[0] in ("jax", "rlvr_jax") for m in sys.modules)
  if word == "reads":
    return bool(sys.stdin.read(1))
  if word == "number":
    return float(more[0])
  if word == "cannot tell":
    return None
  if word == "argument":
    return more[0] in sys.argv[1:]
  if word == "length":
    return len(more[0])
  if word == "writes":
    with open(more[0], "w") as file:
      file.write("written")
  return word == "right"
"""
FAULTS = [
  "loops",
  "sleeps",
  "eats memory",
  "asks for all memory at once",
  "leaves",
  "leaves in error",
  "kills itself",
  "crashes the interpreter",
  "ignores signals",
  "raises",
  "raises what is no Exception",
  "ends the program",
]


@pytest.fixture(scope="module")
def script(tmp_path_factory):
  path = tmp_path_factory.mktemp("pool") / "script.py"
  path.write_text(SCRIPT)
  return path


@pytest.fixture(scope="module")
def pool(script):
  with verify.Pool(script, workers=2, seconds=SECONDS) as made:
    yield made


def stat(process):
  """Fields of /proc/<pid>/stat behind the name: state, parent, group, ..."""
  try:
    return (process / "stat").read_text().rpartition(")")[2].split()
  except OSError:  # It has ended meanwhile.
    return ["Z", "", "", ""]


def members(sessions):
  """Processes of these sessions, zombies too."""
  found = pathlib.Path("/proc").glob("[0-9]*")
  return [p.name for p in found if stat(p)[3] in sessions]


def state(number):
  return stat(pathlib.Path("/proc") / number)[0]


def wait_until(done):
  """Whether it is done within ten seconds."""
  pause = threading.Event()
  return any(done() or pause.wait(0.02) for _ in range(500))


def sessions(parent=None):
  """Sessions of the workers that a process has started."""
  parent = str(parent or os.getpid())
  found = pathlib.Path("/proc").glob("[0-9]*")
  return {
    p.name for p in found if stat(p)[1] == parent and stat(p)[3] == p.name
  }


def test_verdicts_keep_the_order_of_the_jobs(pool):
  words = ["right" if i % 3 else "wrong" for i in range(6000)]
  assert pool.map([[w] for w in words]) == [w == "right" for w in words]
  assert pool.map([]) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_job_is_unknown_and_no_other_is(pool, fault):
  jobs = [["right"], [fault], ["wrong"], [fault], ["right"], ["wrong"]]
  assert pool.map(jobs) == [True, None, False, None, True, False]


def test_all_faults_at_once_leave_the_rest_as_it_is_and_no_process(script):
  others = sessions()
  with verify.Pool(script, workers=2, seconds=SECONDS) as pool:
    jobs = [[word] for fault in FAULTS for word in ("right", fault, "wrong")]
    assert pool.map(jobs) == [True, None, False] * len(FAULTS)
    assert pool.map([["right"]] * 50) == [True] * 50
    started = sessions() - others
    assert len(started) == 2 and members(started)
  assert not members(started)


def test_a_job_uses_no_more_processor_time_than_it_has(script):
  jobs = 10
  before = resource.getrusage(resource.RUSAGE_CHILDREN)
  with verify.Pool(script, workers=2, seconds=SECONDS) as pool:
    assert pool.map([["loops"]] * jobs) == [None] * jobs
  after = resource.getrusage(resource.RUSAGE_CHILDREN)
  used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
  assert jobs * SECONDS * 0.75 < used < jobs * (SECONDS + 0.1)


def test_what_a_job_prints_and_reads_is_nobodys(pool):
  assert pool.map([["shouts"], ["reads"], ["right"]]) == [False, False, True]


def test_a_worker_sees_no_environment_and_no_jax(pool, monkeypatch):
  monkeypatch.setenv("SECRET", "x")
  assert pool.map([["environment"], ["package"]]) == [False, False]


def test_a_worker_cannot_fill_files(pool, tmp_path):
  path = tmp_path / "canary"
  assert pool.map([["writes", str(path)]]) == [None]
  assert not path.exists() or not path.read_text()


def test_texts_of_any_characters_arrive(pool):
  texts = ["\x00", "\ud800", "\u202e", "\U0001f600", '"\\\n', "right"]
  assert pool.map([[t] for t in texts]) == [False] * 5 + [True]


def test_threads_share_a_pool(pool):
  found = {}

  def ask(name, word):
    found[name] = pool.map([[word]] * 100)

  jobs = [(i, "right" if i % 2 else "wrong") for i in range(6)]
  threads = [threading.Thread(target=ask, args=job) for job in jobs]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert found == {i: [word == "right"] * 100 for i, word in jobs}


def test_nothing_runs_before_the_first_job_and_a_closed_pool_starts_anew(
  script,
):
  before = sessions()
  with verify.Pool(script, workers=2) as pool:
    assert sessions() == before
    assert pool.map([["right"]]) == [True]
    assert len(sessions() - before) == 1
    assert pool.map([["right"]] * 9) == [True] * 9
    assert len(sessions() - before) == 2
    pool.close()
    assert sessions() == before
    assert pool.map([["wrong"]]) == [False]
  assert sessions() == before


def test_a_call_that_is_interrupted_leaves_the_next_one_right(
  pool, monkeypatch
):
  def interrupt(*args, **options):
    raise KeyboardInterrupt

  with monkeypatch.context() as patch:
    patch.setattr(pool_lib.connection, "wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
      pool.map([["wrong"]] * 20)
  assert pool.map([["right"]] * 20) == [True] * 20


def test_an_idle_worker_that_was_killed_costs_no_verdict(script):
  others = sessions()
  with verify.Pool(script, workers=1) as pool:
    assert pool.map([["right"]] * 50) == [True] * 50
    (session,) = sessions() - others
    os.killpg(int(session), signal.SIGKILL)
    running = lambda: [p for p in members([session]) if state(p) != "Z"]
    assert wait_until(lambda: not running())
    assert pool.map([["right"]] * 50) == [True] * 50


def test_a_script_that_does_not_load_says_why(tmp_path):
  path = tmp_path / "broken.py"
  path.write_text("import surely_not_there")
  with verify.Pool(path) as pool:
    for _ in range(2):
      with pytest.raises(RuntimeError, match="No module named 'surely_not"):
        pool.map([["right"]])


def test_a_job_that_is_too_long_is_refused(pool):
  with pytest.raises(ValueError, match="cut its texts"):
    pool.map([["right"], ["x" * (5 << 20)]])
  assert pool.map([["x" * 10_000]] * 20) == [False] * 20


def test_jobs_longer_than_a_pipe_arrive_whole_and_in_order(pool):
  lengths = [10, 70_000, 3, 500_000, 0, 0, 65_536, 59_000, 59_000] * 5
  jobs = [["length", "x" * length] for length in lengths]
  assert pool.map(jobs) == lengths
  faulty = [[fault, "x" * 200_000] for fault in ("loops", "leaves", "raises")]
  assert pool.map([*faulty, *jobs[:2]]) == [None] * 3 + lengths[:2]


def test_a_verdict_may_be_a_number_or_not_be_known(pool):
  jobs = [["number", x] for x in ("0.25", "-1", "nan", "inf")]
  assert pool.map([*jobs, ["cannot tell"]]) == [0.25, -1, None, math.inf, None]


def test_a_script_finds_its_arguments(script):
  with verify.Pool(script, workers=1, arguments=("a b", "c")) as pool:
    asked = [["argument", word] for word in ("a b", "c", "d")]
    assert pool.map(asked) == [True, True, False]


def test_a_script_finds_packages_where_this_process_would(
  tmp_path, monkeypatch
):
  (tmp_path / "only_on_the_path.py").write_text("")
  importing = tmp_path / "importing.py"
  importing.write_text("import only_on_the_path\n" + SCRIPT)
  monkeypatch.syspath_prepend(str(tmp_path))
  with verify.Pool(importing, workers=1) as pool:
    assert pool.map([["right"], ["environment"]]) == [True, False]


def test_a_pool_that_is_started_tells_early_of_a_script_that_does_not_load(
  script, tmp_path
):
  before = sessions()
  with verify.Pool(script, workers=2) as pool:
    pool.start()
    assert len(sessions() - before) == 1
  (tmp_path / "broken.py").write_text("1 / 0")
  with pytest.raises(RuntimeError, match="ZeroDivisionError"):
    verify.Pool(tmp_path / "broken.py").start()


@pytest.mark.parametrize("wrong", [dict(workers=0), dict(seconds=0)])
def test_a_pool_needs_workers_and_time(script, wrong):
  with pytest.raises(ValueError, match=next(iter(wrong))):
    verify.Pool(script, **wrong)


@pytest.mark.parametrize("end", ["forgets", "is killed"])
def test_a_program_that_ends_leaves_no_process(script, end):
  program = f"""
import pathlib, sys, threading
from rlvr_jax.verify import Pool
pool = Pool({str(script)!r}, workers=2, seconds=0.5)
pool.map([["right"]] * 9)
threading.Thread(target=pool.map, args=([["loops"]],), daemon=True).start()
print("ready", flush=True)
if {end!r} == "is killed":
  sys.stdin.read()
"""
  process = subprocess.Popen(
    [sys.executable, "-c", program],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    env=os.environ | {"PYTHONPATH": os.getcwd()},
  )
  with process:
    assert process.stdout.readline() == b"ready\n"
    started = sessions(process.pid)
    if end == "is killed":
      process.kill()
  assert wait_until(lambda: not members(started))
