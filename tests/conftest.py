"""Settings of the whole suite; nothing here may import jax before the flags."""

import importlib.metadata
import os


def _xla_flags():
  yield "--xla_force_host_platform_device_count=8"
  # The tests compile much and compute little, and the older emitters compile
  # in half the time. A release that does not know a flag aborts, hence:
  if importlib.metadata.version("jaxlib").startswith("0.10."):
    yield "--xla_cpu_use_fusion_emitters=false"


os.environ["XLA_FLAGS"] = " ".join(
  [os.environ.get("XLA_FLAGS", ""), *_xla_flags()]
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import pathlib  # noqa: E402
import tempfile  # noqa: E402

import chex  # noqa: E402
import hypothesis  # noqa: E402
import jax  # noqa: E402
import pytest  # noqa: E402

import compiled  # noqa: E402

HERE = pathlib.Path(__file__).parent

# Small models are made once for all workers, and nothing of the user's is read.
if "PYTEST_XDIST_WORKER" not in os.environ:
  _cache = tempfile.TemporaryDirectory()
  os.environ["XDG_CACHE_HOME"] = _cache.name

# Fixed examples: a failure seen once is seen by everybody.
hypothesis.settings.register_profile(
  "suite", derandomize=True, max_examples=50, deadline=None, database=None
)
hypothesis.settings.load_profile("suite")


def pytest_addoption(parser):
  parser.addoption(
    "--golden-dir",
    default=HERE / "golden",
    type=pathlib.Path,
    help="folder of reference vectors *.npz (default: tests/golden)",
  )


def pytest_generate_tests(metafunc):
  if "golden_file" in metafunc.fixturenames:
    folder = metafunc.config.getoption("--golden-dir")
    files = sorted(folder.glob("*.npz"))
    metafunc.parametrize("golden_file", files, ids=[f.stem for f in files])


# Files whose tests take long and share little: any worker may have any test.
_SPREAD = ("test_golden", "test_methods", "test_published", "test_recipes")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
  """The tests of a file share what they compile: they run in one worker."""
  for item in items:
    alone = item.path.stem in _SPREAD or item.get_closest_marker("xdist_group")
    if not alone:
      item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.fixture(autouse=True)
def _no_traces_of_other_tests():
  chex.clear_trace_counter()


@pytest.fixture(autouse=True, scope="module")
def _not_too_many_programs():
  yield
  compiled.drop()


@pytest.fixture(scope="module")
def quick_compile():
  """For tests that compile much and compute little."""
  jax.config.update("jax_disable_most_optimizations", True)
  yield
  jax.config.update("jax_disable_most_optimizations", False)
