"""The parts of `experiments.bench_worker` and `experiments.bench_sampler`."""
