"""Seeds: one for every source of chance with deterministic kernels, one for each epoch of a run, one for each batch of an epoch."""

from __future__ import annotations

import os
import random

import numpy as np


def seed_everything(seed: int, threads: int | None = None) -> None:
    """Seed Python, NumPy and PyTorch and ask for deterministic kernels; same seed, same CPU and threads: same bits."""
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
    if threads:
        torch.set_num_threads(threads)


def epoch_seed(seed: int, epoch: int) -> int:
    """A seed for one epoch of one run."""
    return (seed * 1_000_003 + epoch * 7919 + 17) % 2**31


def batch_seed(start: int, batch: int) -> int:
    """A seed for one batch of an epoch that starts from `start`."""
    return int(np.random.SeedSequence((start, batch)).generate_state(1)[0])
