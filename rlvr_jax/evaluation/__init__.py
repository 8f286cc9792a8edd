"""Evaluation: sample every problem several times, grade, count, show."""
