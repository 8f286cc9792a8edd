"""The parts of `experiments.bench_sampler` and `experiments.bench_worker`."""
