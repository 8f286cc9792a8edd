"""Installs the package `rlvr_jax`; configs, experiments and tests stay out."""

import setuptools

setuptools.setup(
  name="rlvr_jax",
  version="0.1.0",
  description=(
    "Entropy methods of reinforcement learning with verifiable rewards "
    "as composable pure functions in JAX."
  ),
  license="Apache-2.0",
  python_requires=">=3.11",
  packages=setuptools.find_packages(include=["rlvr_jax", "rlvr_jax.*"]),
  package_data={
    "rlvr_jax.report": ["*.html"],
    "rlvr_jax.evaluation": ["*.html"],
  },
  install_requires=[
    "absl-py",
    "array_record",
    "chex",
    "flax>=0.12",
    "importlib_resources",
    "jax>=0.10",
    "jinja2",
    "matplotlib",
    "ml-collections>=1.0",
    "numpy",
    "optax>=0.2.5",
    "pillow",
    "orbax-checkpoint>=0.11",
    "pyarrow",
    "scipy",
    "tabulate",
    "tensorboardX",
    "tensorflow-datasets>=4.9.7",
    "tqdm",
    "transformers>=5.0",
  ],
  extras_require={
    "tpu": ["jax[tpu]>=0.10"],
    "cuda": ["jax[cuda13]>=0.10"],
    "envs": ["reasoning-gym"],
    "grams": ["scikit-learn"],
    "language": ["py3langid>=0.4"],
    "verify": ["math-verify>=0.9.0"],
    "test": [
      "hypothesis",
      "pytest<9.2",  # pytest-xdist 3.8 keeps no groups together with newer ones
      "pytest-xdist",
      "ruff",
      "scikit-learn",
    ],
  },
)
