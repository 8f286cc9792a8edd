"""Training: configuration, programs, checkpoints and the loop."""
