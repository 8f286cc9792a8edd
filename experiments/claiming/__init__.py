"""What the claim experiments of `experiments/claims` are made of."""
