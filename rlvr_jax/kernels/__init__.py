"""Token statistics: one sweep over the vocabulary, nothing of size [N, V]."""
