"""Runs a program where it can do little harm: python -I -S jail.py SETTINGS.

SETTINGS is JSON, as `sandbox.Sandbox` writes it. Nothing of the package is
imported here. Three processes stand in a row:

- the keeper, which stays outside of the new process namespace, ends what runs
  at the deadline and reports how it ended;
- the first process of the namespace, which only waits: with it the kernel ends
  all others there, whatever they ignore or have forked;
- the program, a fresh interpreter.
"""

import ctypes
import errno
import json
import os
import pathlib
import resource
import signal
import struct
import sys
import time
from typing import NamedTuple

_NEW_MOUNTS, _NEW_NAMES, _NEW_IPC = 0x20000, 0x4000000, 0x8000000
_NEW_USERS, _NEW_PROCESSES, _NEW_NETWORK = 0x10000000, 0x20000000, 0x40000000
_NAMESPACES = (
  _NEW_MOUNTS | _NEW_NAMES | _NEW_IPC | _NEW_PROCESSES | _NEW_NETWORK
)
_BIND, _RECURSIVE, _PRIVATE, _DETACH = 0x1000, 0x4000, 0x40000, 2
_NO_DEVICES = 4
_READ_ONLY_NO_SETUID = 3
_HERE, _AT_RECURSIVE = -100, 0x8000
_MOUNT_SETATTR = 442  # one number on every architecture
_DIE_WITH_PARENT, _SUBREAPER, _NO_NEW_PRIVILEGES, _SECCOMP = 1, 36, 38, 22


class _Machine(NamedTuple):
  """What an architecture calls itself and some of its system calls."""

  audit: int
  pivot_root: int
  clone: int
  # unshare, setns, mount, shmget, msgget, semget, keyctl, add_key, bpf, ptrace,
  # memfd_create, userfaultfd, perf_event_open
  refused: tuple[int, ...]


_MACHINES = {
  "x86_64": _Machine(
    0xC000003E, 155, 56,
    (272, 308, 165, 29, 68, 64, 250, 248, 321, 101, 319, 323, 298),
  ),
  "aarch64": _Machine(
    0xC00000B7, 41, 220,
    (97, 268, 40, 194, 186, 190, 219, 217, 280, 117, 279, 282, 241),
  ),
}  # fmt: skip
# clone3, whose flags no filter can see; io_uring, which goes around filters;
# the newer ways to mount. One number on every architecture.
_ABSENT = (435, 425, 428, 429, 430, 431, 432, 442, 447)

_SIGNALS = {signal.SIGCHLD, signal.SIGTERM}

_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttributes(ctypes.Structure):
  _fields_ = [
    (name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "users")
  ]


def main() -> None:
  """Runs the program of the settings and reports how it ended."""
  settings = json.loads(sys.argv[1])
  report = settings["report"]
  os.set_inheritable(report, False)
  os.umask(0o022)
  # A process number is nobody else's while it is used, and so is this.
  settings["user"] = settings["first_user"] + os.getpid()
  try:
    _call("prctl", _DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    if settings["isolated"]:
      _isolate(settings)
    else:
      _expose(settings)
    first = os.fork()
    if not first:
      _first(settings)
    ended = _kept(first, settings["deadline"])
  except OSError as error:
    ended = dict(failed=str(error))
  os.write(report, json.dumps(ended).encode() + b"\n")


def _isolate(settings: dict) -> None:
  """New namespaces, and a root that holds an interpreter and a folder."""
  user, group = os.getuid(), os.getgid()
  _call("unshare", _NAMESPACES | (_NEW_USERS if user else 0))
  if user:
    own = pathlib.Path("/proc/self")
    (own / "setgroups").write_text("deny")
    (own / "uid_map").write_text(f"{user} {user} 1")
    (own / "gid_map").write_text(f"{group} {group} 1")
  _call("mount", b"none", b"/", None, _RECURSIVE | _PRIVATE, None)
  root = pathlib.Path(settings["folder"])
  source = (root / "program.py").read_bytes()
  options = f"size={settings['folder_bytes']},nr_inodes=1024,mode=755"
  _call("mount", b"tmpfs", bytes(root), b"tmpfs", _NO_DEVICES, options.encode())
  for path in settings["visible"]:
    _show(root, path)
  _furnish(root / "tmp", source, settings["user"])
  os.chdir(root)
  _call("syscall", _machine().pivot_root, b".", b".")
  _call("umount2", b".", _DETACH)
  os.chdir("/tmp")


def _show(root: pathlib.Path, path: str) -> None:
  """Makes a file or folder of the machine readable in the new root."""
  inside = root / path.lstrip("/")
  if not os.path.lexists(path) or os.path.lexists(inside):
    return
  inside.parent.mkdir(parents=True, exist_ok=True)
  if os.path.islink(path):
    inside.symlink_to(os.readlink(path))
    return
  if os.path.isdir(path):
    inside.mkdir()
  else:
    inside.touch()
  _call("mount", path.encode(), bytes(inside), None, _BIND | _RECURSIVE, None)
  wanted = _MountAttributes(set=_READ_ONLY_NO_SETUID)
  size = ctypes.sizeof(wanted)
  arguments = (bytes(inside), _AT_RECURSIVE, ctypes.byref(wanted), size)
  _call("syscall", _MOUNT_SETATTR, _HERE, *arguments)


def _furnish(folder: pathlib.Path, source: bytes, user: int) -> None:
  """A folder of the program's own, with the program."""
  folder.mkdir(exist_ok=True)
  (folder / "program.py").write_bytes(source)
  folder.chmod(0o700)
  if not os.getuid():
    os.chown(folder, user, user)


def _expose(settings: dict) -> None:
  """No namespaces: what the program leaves running falls to this process."""
  _call("prctl", _SUBREAPER, 1, 0, 0, 0)
  source = pathlib.Path("program.py").read_bytes()
  _furnish(pathlib.Path.cwd(), source, settings["user"])


def _first(settings: dict) -> None:
  """Starts the program and waits for it; does not return."""
  signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
  try:
    _drop_privileges(settings["user"])
    program = os.fork()
    if not program:
      for name, limit in settings["limits"].items():
        resource.setrlimit(getattr(resource, name), limit)
      python = settings["python"]
      os.execve(python, [python, "-I", "-S", "-B", "program.py"], {})
  except OSError as error:
    failed = json.dumps(dict(failed=str(error))).encode()
    os.write(settings["report"], failed + b"\n")
    os._exit(1)
  os.close(settings["report"])
  os.close(1)
  _, status = os.waitpid(program, 0)
  os._exit(0 if status == 0 else 1)


def _drop_privileges(user: int) -> None:
  """From here on nobody is root: limits on processes do not bind root."""
  if not os.getuid():
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
  _call("prctl", _NO_NEW_PRIVILEGES, 1, 0, 0, 0)
  # Forgotten by the kernel when the user changes, hence here.
  _call("prctl", _DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
  _filter_calls()


def _filter_calls() -> None:
  """Refuses system calls that lead to memory without limits, or deeper.

  A user namespace of its own would let the program mount file systems of any
  size; segments of shared memory outlive the processes that are counted.
  """
  machine = _machine()
  refuse, absent = 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS
  allow, kill = 0x7FFF0000, 0x80000000
  load, equal, at_least, has, end = 0x20, 0x15, 0x35, 0x45, 0x06
  steps = [
    (load, 0, 0, 4),  # the architecture: a call has a number in each
    (equal, 1, 0, machine.audit),
    (end, 0, 0, kill),
    (load, 0, 0, 0),  # the number of the call
    (at_least, 0, 1, 0x40000000),  # another numbering of x86_64
    (end, 0, 0, kill),
  ]
  for numbers, said in ((machine.refused, refuse), (_ABSENT, absent)):
    for number in numbers:
      steps += [(equal, 0, 1, number), (end, 0, 0, said)]
  steps += [
    (equal, 0, 3, machine.clone),
    (load, 0, 0, 16),  # its flags
    (has, 0, 1, _NEW_USERS),
    (end, 0, 0, refuse),
    (end, 0, 0, allow),
  ]
  code = b"".join(struct.pack("HBBI", *step) for step in steps)
  held = ctypes.create_string_buffer(code, len(code))
  program = struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(held))
  _call("prctl", _SECCOMP, 2, program, 0, 0)


def _machine() -> _Machine:
  name = os.uname().machine
  if name not in _MACHINES:
    raise OSError(errno.ENOSYS, f"no jail for {name}, only {[*_MACHINES]}")
  return _MACHINES[name]


def _kept(first: int, deadline: float) -> dict:
  """Waits for the first process, at most until SIGTERM; then ends all."""
  os.close(1)
  told = signal.sigtimedwait(_SIGNALS, deadline)
  late = told is None or told.si_signo != signal.SIGCHLD
  if late:
    os.kill(first, signal.SIGKILL)
  _, status = os.waitpid(first, 0)
  _sweep()
  return dict(late=late, passed=status == 0)


def _sweep() -> None:
  """Ends what is left where no namespace ended it."""
  children = pathlib.Path(f"/proc/self/task/{os.getpid()}/children")
  while True:
    try:
      if os.waitpid(-1, os.WNOHANG)[0]:
        continue
    except ChildProcessError:
      return
    for child in children.read_text().split():
      os.kill(int(child), signal.SIGKILL)
    time.sleep(0.001)


def _call(name: str, *arguments: object) -> None:
  """Calls a function of the C library.

  Raises:
    OSError: it failed.
  """
  if getattr(_libc, name)(*arguments) < 0:
    number = ctypes.get_errno()
    raise OSError(number, f"{name}: {os.strerror(number)}")


if __name__ == "__main__":
  main()
