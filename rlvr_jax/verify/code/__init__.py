"""Grades programs that a policy writes by running them. Off by default.

Each run is a fresh interpreter in namespaces of its own: no network, and of the
machine's files only the system's libraries and the folder that Python is
installed in, to read. Its path of imports is the standard library, but packages
that are installed in that folder can be read and so imported, too. It has an
empty environment, a folder of 16 MB that is gone afterwards, and the limits of
`Limits`; it prints at most 64 kB, opens 32 files of 1 MB each, cannot become
another user and cannot make namespaces. At its deadline all its processes are
killed, by the kernel and whatever they ignore. Programs of root run as users of
their own.

What this does not protect against:

- Bugs of the kernel. A program makes system calls and, by ctypes, any machine
  code; for one that attacks in earnest use a virtual machine.
- Side channels: timing, caches, what other programs do to the processor.
- Contention. As many processors as there are workers are busy until the
  deadline of a program, or until the budget of a response is used up. Memory is
  limited by process and not in all: the worst is `memory` times `processes`,
  times the workers, and 16 MB for each.
- Forged verdicts. Programs that print are compared out of their reach. But
  asserts run in the process of the program, and one that looks for them can
  find them: prefer tests by input and output.
- With `allow_network` on a machine without namespaces: the network, every file
  that this user may read or write, and a process that hides from the sweep.
"""

from rlvr_jax.verify.code.sandbox import Limits, Sandbox
from rlvr_jax.verify.code.verifier import CodeVerifier, program_of

__all__ = ["CodeVerifier", "Limits", "Sandbox", "program_of"]
