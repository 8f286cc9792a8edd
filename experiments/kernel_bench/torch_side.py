"""The contenders in PyTorch; neither JAX nor the library is imported here."""

import functools
import importlib.metadata
import time

import numpy as np
import torch

from experiments.kernel_bench import problem, torch_rivals
from experiments.kernel_bench.problem import Shape

_RIVALS = ("cut_cross_entropy", "liger_kernel", "triton")
_DEVICES = {"cpu": "cpu", "gpu": "cuda"}  # by backend of JAX


def describe() -> dict:
  """The versions of PyTorch and of what the rivals are made of."""
  found = importlib.metadata.packages_distributions()
  names = {name: found[name][0] for name in _RIVALS if name in found}
  versions = {k: importlib.metadata.version(n) for k, n in names.items()}
  return dict(torch=torch.__version__, **versions)


def release() -> None:
  """Gives unused memory back to the device, for the other framework."""
  if torch.cuda.is_available():
    torch.cuda.empty_cache()


class Bench:
  """The contenders of one problem.

  Args:
    shape: of the problem.
    backend: that JAX has, whose device is to be used.

  Raises:
    RuntimeError: PyTorch has no such device.
  """

  def __init__(self, shape: Shape, backend: str):
    self.device = _device(backend)
    if self.device == "cuda":
      torch.set_float32_matmul_precision("high")  # as JAX does there
    made, dtype = problem.numbers(shape), getattr(torch, shape.dtype)
    put = lambda x, dtype: torch.from_numpy(x).to(self.device, dtype)
    hidden, weights = (put(x, dtype).requires_grad_() for x in made[:2])
    self.inputs = hidden, weights, put(made.targets, torch.int64)
    self.cotangents = made.cotangents
    self.units = {}

  def prepare(self, name: str, mode: str) -> dict:
    """Compiles and runs once; tells what comes out and the memory it takes."""
    rival = torch_rivals.make(name)
    run = _forward_backward if mode == "forward_backward" else _forward
    unit = functools.partial(run, rival.fn, self.inputs)
    unit(self._cotangents())
    peak = self._peak(unit)
    self.units[name, mode] = unit
    told = dict(outputs=rival.outputs, note=rival.note)
    return dict(peak_extra_bytes=peak, **told)

  def _cotangents(self, sampled: bool = False) -> list[torch.Tensor]:
    given = self.cotangents
    given = problem.sampled(given) if sampled else given
    return [torch.from_numpy(x).to(self.device) for x in given]

  def _peak(self, unit) -> int | None:
    """Bytes beyond inputs and results; counted on a GPU only."""
    if self.device == "cpu":
      return None
    cotangents = self._cotangents()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    outputs, grads = unit(cotangents)
    results = sum(x.nbytes for x in (*outputs, *grads))
    return torch.cuda.max_memory_allocated() - before - results

  def _wait(self) -> None:
    if self.device == "cuda":
      torch.cuda.synchronize()

  def seconds(self, name: str, mode: str) -> float:
    """Runs once."""
    unit, cotangents = self.units[name, mode], self._cotangents()
    if self.device == "cuda":
      unit(cotangents)  # Fetches the memory that `release` gave back.
    self._wait()
    began = time.perf_counter()
    unit(cotangents)
    self._wait()
    return time.perf_counter() - began

  def values(self, name: str, mode: str) -> dict[str, np.ndarray]:
    """Results of the sample, see `reference.values`."""
    hidden, _, targets = self.inputs
    at = torch.from_numpy(problem.sample(len(hidden))).to(self.device)
    outputs, grads = self.units[name, mode](self._cotangents(sampled=True))
    found = {k: x[at] for k, x in zip(problem.OUTPUTS, outputs)}
    if grads:
      found |= dict(hidden=grads[0][at], weights=grads[1][targets[at]])
    return {k: x.detach().double().cpu().numpy() for k, x in found.items()}


def _device(backend: str) -> str:
  if backend not in _DEVICES:
    raise RuntimeError(
      f"PyTorch does not run on the backend {backend!r}; on {[*_DEVICES]} it "
      "takes part."
    )
  if backend == "gpu" and not torch.cuda.is_available():
    raise RuntimeError(
      f"torch.cuda.is_available() is False for torch {torch.__version__}; "
      "install a build for this GPU, or point --torch_python to one."
    )
  return _DEVICES[backend]


def _forward(fn, inputs, cotangents):
  del cotangents
  with torch.no_grad():
    return fn(*inputs), ()


def _forward_backward(fn, inputs, cotangents):
  outputs = fn(*inputs)
  given = cotangents[: len(outputs)]  # Some have no entropy.
  return outputs, torch.autograd.grad(outputs, inputs[:2], given)
