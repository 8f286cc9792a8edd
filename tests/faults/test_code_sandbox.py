"""Row 33: whatever a program does, it ends in time and leaves nothing.

Programs that fork or eat memory run only inside the sandbox and its limits.
"""

import dataclasses
import json
import os
import pathlib
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time

import pytest

import rlvr_jax
from rlvr_jax.verify.code import Limits, Sandbox, jail, sandbox

LIMITS = Limits(seconds=1, deadline=0.5, memory=256 << 20, processes=6)
PATIENT = dataclasses.replace(LIMITS, deadline=5.0)  # for what ends by itself
LATE, FAILED, PASSED = "late", "failed", "passed"

# Each line of work below is inherited by what a program forks.
NAMED = """
import ctypes, os, signal, sys, time
ctypes.CDLL(None).prctl(15, b"{name}", 0, 0, 0)
for number in set(signal.Signals) - {{signal.SIGKILL, signal.SIGSTOP}}:
  signal.signal(number, signal.SIG_IGN)
def fork():
  try:
    return os.fork()
  except OSError:
    return None
"""
HOSTILE = {
  "loops": (LATE, "while True: pass"),
  "sleeps": (LATE, "time.sleep(1000)"),
  "closes its output": (LATE, "os.close(1); time.sleep(1000)"),
  "is a fork bomb": (LATE, "while True: fork()"),
  "forks and goes on": (PASSED, "if fork() == 0: os.setsid(); time.sleep(99)"),
  "hides in a grandchild": (
    PASSED,
    "if fork() == 0:\n  if fork() == 0:\n    os.setsid(); time.sleep(99)",
  ),
  "prints for ever": (FAILED, "while True: print('x' * 100_000)"),
  "prints 10 GB to errors": (LATE, "while True: os.write(2, b'x' * 10**6)"),
  "eats memory": (FAILED, "x = [bytearray(1 << 24) for _ in range(10**4)]"),
  "asks for all memory": (FAILED, "x = bytearray(1 << 40)"),
  "kills everybody": (FAILED, "os.kill(1, 9); os.kill(-1, 9)"),
  "crashes": (FAILED, "ctypes.string_at(0)"),
}  # fmt: skip


@pytest.fixture(scope="module")
def programs():
  return Sandbox(PATIENT)


@pytest.fixture(scope="module")
def hurried():
  return Sandbox(LIMITS)


def running(name):
  """Processes of this name, zombies too."""
  found = []
  for path in pathlib.Path("/proc").glob("[0-9]*/comm"):
    try:
      found += [path.parent.name] * (path.read_text().strip() == name)
    except OSError:  # It has ended meanwhile.
      continue
  return found


@pytest.mark.parametrize("deed", HOSTILE)
def test_a_hostile_program_ends_in_time_and_leaves_no_process_and_no_file(
  programs, hurried, deed, tmp_path, monkeypatch
):
  expected, source = HOSTILE[deed]
  ran, limits = (hurried, LIMITS) if expected == LATE else (programs, PATIENT)
  monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
  for _ in range(3):  # A machine that is too busy may be late itself.
    name = secrets.token_hex(6)
    start = time.monotonic()
    ended = ran.run(NAMED.format(name=name) + source)
    took = time.monotonic() - start
    assert ended.late == (expected == LATE)
    assert ended.passed == (expected == PASSED)
    assert not running(name)
    assert not [*tmp_path.iterdir()]
    if took <= limits.deadline + 0.5:
      return
  raise AssertionError(f"ended after {took} s, not {limits.deadline} s")


def test_a_trainer_that_is_killed_takes_its_programs_along():
  name = secrets.token_hex(6)
  sleeping = NAMED.format(name=name) + "time.sleep(99)"
  script = (
    # The package itself would take seconds to import jax.
    "import sys, types\n"
    "package = sys.modules['rlvr_jax'] = types.ModuleType('rlvr_jax')\n"
    f"package.__path__ = {rlvr_jax.__path__!r}\n"
    "from rlvr_jax.verify.code import Limits, Sandbox\n"
    f"Sandbox(Limits(deadline=90.0)).run({sleeping!r})"
  )
  with subprocess.Popen([sys.executable, "-c", script]) as trainer:
    assert wait_until(lambda: running(name), seconds=60)
    trainer.kill()
  assert wait_until(lambda: not running(name), seconds=5)


def wait_until(done, seconds):
  pause = threading.Event()
  return any(done() or pause.wait(0.05) for _ in range(20 * seconds))


def test_processor_time_is_limited_as_well(programs):
  ended = programs.run("while True: pass")
  assert not ended.passed and not ended.late


def test_the_output_is_cut_where_it_is_too_long(programs):
  ended = programs.run("print('x' * 70_000)")
  assert not ended.passed and len(ended.printed) == 64 << 10
  ended = programs.run("print('x' * 60_000)")
  assert ended.passed and len(ended.printed) == 60_001


# The number of this call; the jail's own table is not asked, it may be wrong.
CLONE = {"x86_64": 56, "aarch64": 220}
ATTEMPTS = """
import ctypes, json, os, resource, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
given = json.loads(sys.stdin.read())
canary, port, parent = given["canary"], given["port"], given["parent"]

def symlink():
  os.symlink(canary, "link")
  return open("link").read()

def memory():
  with open("/proc/self/mem", "r+b") as file:
    return file.write(b"x")

def hard_link():
  os.link("/etc/ld.so.cache", "linked")
  return open("linked", "r+b").read(1)

def write(path):
  with open(path, "w") as file:
    return file.write("x")

def call(name, *arguments):
  if getattr(libc, name)(*arguments) < 0:
    raise OSError(ctypes.get_errno(), name)
  return name

def fill():
  for number in range(40):
    with open(f"filler{number}", "wb") as file:
      file.write(b"x" * 1_000_000)

def descriptors():
  return len([open("/dev/null") for _ in range(40)])

def inherited():
  return [n for n in range(3, 200) if not call_fails(os.fstat, n)]

def call_fails(function, *arguments):
  try:
    function(*arguments)
  except OSError:
    return True

attempts = dict(
  read_outside=lambda: open(canary).read(),
  write_outside=lambda: write(canary),
  delete_outside=lambda: os.remove(canary),
  list_outside=lambda: os.listdir(os.path.dirname(canary)),
  passwords=lambda: open("/etc/passwd").read(),
  symlink=symlink,
  hard_link=hard_link,
  library=lambda: write(os.__file__),
  memory=memory,
  parent_memory=lambda: write(f"/proc/{parent}/mem"),
  parent_environment=lambda: open(f"/proc/{parent}/environ").read(),
  network=lambda: socket.create_connection(("127.0.0.1", port), 1).send(b"x"),
  name_service=lambda: socket.getaddrinfo("localhost.example", 80),
  abstract_socket=lambda: socket.socket(socket.AF_UNIX).connect(
    "\\0" + given["abstract"]),
  kill_parent=lambda: os.kill(parent, 9),
  become_root=lambda: os.setuid(0),
  raise_limits=lambda: resource.setrlimit(resource.RLIMIT_AS, (1 << 40,) * 2),
  leave_root=lambda: os.chroot("/tmp"),
  user_namespace=lambda: call("unshare", 0x10000000),
  clone_namespace=lambda: call(
    "syscall", given["clone"], 0x10000011, 0, 0, 0, 0),
  mount=lambda: call("mount", b"x", b"/tmp", b"tmpfs", 0, None),
  shared_memory=lambda: call("shmget", 0, 1 << 30, 0o1600),
  memory_file=lambda: call("memfd_create", b"x", 0),
  other_numbers=lambda: call("syscall", 435, 0, 0),
  large_file=lambda: os.posix_fallocate(os.open("large", 66), 0, 2 << 20),
  fill=fill,
  descriptors=descriptors,
)
done, open_before = {}, inherited()
for name, attempt in attempts.items():
  try:
    done[name] = repr(attempt())
  except (OSError, ValueError):
    pass
print(json.dumps(dict(
  done=done, environment=dict(os.environ), inherited=open_before,
  arguments=sys.argv, root=sorted(os.listdir("/")), user=os.getuid())))
"""


@pytest.fixture(scope="module")
def reached(programs, tmp_path_factory):
  """What a program says it could do, and what stands in the canary then."""
  canary = tmp_path_factory.mktemp("host") / "canary"
  canary.write_text("untouched")
  os.environ["RLVR_JAX_SECRET"] = "secret"
  with (
    socket.create_server(("127.0.0.1", 0)) as server,
    socket.socket(socket.AF_UNIX) as abstract,
  ):
    name = f"rlvr_jax_{os.getpid()}"
    abstract.bind("\0" + name)
    abstract.listen()
    given = dict(
      canary=str(canary),
      port=server.getsockname()[1],
      parent=os.getpid(),
      abstract=name,
      clone=CLONE[os.uname().machine],
    )
    ended = programs.run(ATTEMPTS, json.dumps(given))
  del os.environ["RLVR_JAX_SECRET"]
  assert ended.passed, ended
  return json.loads(ended.printed) | dict(canary=canary.read_text())


def test_no_attempt_to_leave_the_sandbox_succeeds(reached):
  assert reached["done"] == {}
  assert reached["canary"] == "untouched"


def test_a_program_inherits_no_environment_no_file_and_no_root(reached):
  assert reached["environment"].keys() <= {"LC_CTYPE"}
  assert reached["inherited"] == []
  assert reached["arguments"] == ["program.py"]
  assert "home" not in reached["root"] and "proc" not in reached["root"]
  assert reached["user"] != 0


@pytest.fixture
def no_namespaces(tmp_path, monkeypatch):
  """A machine that refuses them, to the same jail."""
  script = tmp_path / "refusing.py"
  script.write_text(
    "import json, os, runpy, sys\n"
    "settings = json.loads(sys.argv[1])\n"
    "if settings['isolated']:\n"
    "  told = json.dumps(dict(failed='unshare: not permitted'))\n"
    "  os.write(settings['report'], told.encode())\n"
    "else:\n"
    f"  runpy.run_path({jail.__file__!r}, run_name='__main__')\n"
  )
  monkeypatch.setattr(sandbox.jail, "__file__", str(script))


def test_a_machine_without_namespaces_is_refused_unless_that_is_allowed(
  no_namespaces,
):
  with pytest.raises(RuntimeError, match="unshare: not permitted.* namespaces"):
    Sandbox(PATIENT)
  try:
    exposed = Sandbox(PATIENT, allow_network=True)
  except RuntimeError as error:
    # Programs of root run as nobody, who may not be let to this interpreter.
    assert os.getuid() == 0 and "Permission denied" in str(error)
    return
  assert exposed.run("print(input())", "7").printed == "7\n"
  name = secrets.token_hex(6)
  for deed in ("forks and goes on", "hides in a grandchild"):
    _, source = HOSTILE[deed]
    assert exposed.run(NAMED.format(name=name) + source).passed
    assert not running(name)


@pytest.mark.parametrize(
  "wrong",
  [dict(seconds=0), dict(memory=0.5), dict(processes=0), dict(deadline=0.0)],
)
def test_limits_are_limits(wrong):
  with pytest.raises(ValueError, match=next(iter(wrong))):
    Limits(**wrong)
