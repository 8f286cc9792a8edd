"""The parts of `experiments.entropy_production`."""
