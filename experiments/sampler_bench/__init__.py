"""The parts of `experiments.bench_worker`."""
