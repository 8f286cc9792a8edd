"""What this library and others are timed on, and what of it is ours."""
