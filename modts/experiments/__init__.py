"""What one run of each notebook does: all seeds of one cohort and backbone, from a cohort's name to a whole result file."""

from .arms import cohort_for, end_to_end, extract, heads, latents_for, pretrain, pretrained, windows
from .comparisons import baselines, latency, transfer

__all__ = [
    "baselines", "cohort_for", "end_to_end", "extract", "heads", "latency", "latents_for", "pretrain", "pretrained", "transfer", "windows",
]  # fmt: skip
