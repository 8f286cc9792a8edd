"""Offline measurements on recorded samples and metrics."""
