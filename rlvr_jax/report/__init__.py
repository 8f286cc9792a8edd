"""Plots and one self-contained page about one run or several side by side."""

from rlvr_jax.report.html import write
from rlvr_jax.report.runs import Run, read
from rlvr_jax.report.summary import summary_rows, summary_text

__all__ = ["Run", "read", "summary_rows", "summary_text", "write"]
