"""Runs that are killed, for `experiments.kill_runs` and the tests."""
