"""Times `token_statistics` against its rivals, see `bench_kernel`."""
