"""Heads: what reads a latent vector and answers the task.

"simple" is one linear layer, "complex" a five-layer MLP with ReLU, as in arXiv 2411.03941 (its widths are not stated; ours are 128).
Latents are standardised inside the head with the mean and deviation of the training windows, so a head can be moved as one piece. Before its
first step a head answers with what is best without latents (`origin`): a rare class need not be found out by the weights first.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from modts.cohorts import TASKS, seeded
from modts.errors import ModtsError, choose

HEADS = ("simple", "complex")
STEPS = (
    5  # full-batch steps in what counts as an epoch of a head, the distance between two looks at the validation split
)


class Head(nn.Module):
    """(B, D) latents -> (B, K) logits (of a yes or no, K = 1, of K classes, labels or steps) or z-scored targets (regression).

    With K = 1 it also reads the latents of every step, (B, T, D) -> (B, T): one head for all of them.

    Parameters
    ----------
    kind : {"simple", "complex"}
    n_inputs, n_outputs : int
        D and K.
    width : int
        Of the hidden layers of "complex".
    seed : int
        Initialises the weights.
    """

    def __init__(self, kind: str, n_inputs: int, n_outputs: int, width: int = 128, seed: int = 0):
        super().__init__()
        choose(kind, HEADS, "head")
        self.kind, self.width = kind, width
        self.register_buffer("mean", torch.zeros(n_inputs))
        self.register_buffer("std", torch.ones(n_inputs))
        with seeded(seed):
            if kind == "simple":
                self.layers = nn.Linear(n_inputs, n_outputs)
            else:
                widths = [n_inputs, width, width, width, width, n_outputs]
                layers = [nn.Linear(a, b) for a, b in zip(widths, widths[1:], strict=False)]
                joined = [layer for pair in zip(layers, [nn.ReLU() for _ in layers], strict=True) for layer in pair]
                self.layers = nn.Sequential(*joined[:-1])

    @classmethod
    def reading(cls, latents, kind: str, labels, width: int = 128, seed: int = 0) -> Head:
        """A head for such latents and Labels: (N, D) and any targets, or (N, T, D) and a target at every step.

        Raises
        ------
        ModtsError
            Latents of every step without a target at every step.
        """
        if latents.ndim == 2:
            return cls(kind, latents.shape[1], labels.n_outputs, width, seed)
        if labels.task not in ("stepwise", "regression") or labels.n_outputs != latents.shape[1]:
            raise ModtsError(
                f"Pooling 'steps' has a latent for each of {latents.shape[1]} steps and needs a target at each of them, but these targets "
                "are of whole windows; choose another pooling, such as 'mean+max+last'."
            )
        return cls(kind, latents.shape[2], 1, width, seed)

    def linears(self) -> list[nn.Linear]:
        """Its linear layers, from latents to outputs; in "complex" a ReLU stands between two."""
        return [layer for layer in self.layers.modules() if isinstance(layer, nn.Linear)]

    def standardise(self, latents: np.ndarray | torch.Tensor) -> Head:
        """Take mean and deviation from training latents (N, D) or (N, T, D), of which those behind a series' end are zero and do not count."""
        Z = torch.as_tensor(latents, dtype=torch.float32)
        Z = Z if Z.ndim == 2 else Z[(Z != 0).any(-1)]
        self.mean.copy_(Z.mean(0))
        self.std.copy_(Z.std(0, unbiased=False).clamp(min=1e-4))
        return self

    @torch.no_grad()
    def begin(self, task: str, y: torch.Tensor, weight: torch.Tensor | None = None) -> Head:
        """Start at the `origin` of the labelled targets, the last layer's bias; from there a linear head starts with all weights zero.

        A deeper one keeps its random weights: behind zeros its other layers see no gradient at first, then its sign alone.
        """
        *before, last = self.linears()
        if not before:
            last.weight.zero_()
        last.bias.copy_(origin(task, y.cpu(), weight, last.out_features))
        return self

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        output = self.layers((latents - self.mean) / self.std)
        return output if latents.ndim == 2 else output[..., 0]


def origin(task: str, y: torch.Tensor, weight: torch.Tensor | None = None, n_outputs: int = 1) -> torch.Tensor:
    """An answer without latents, (n_outputs,): log-odds of labels or log-shares of classes, with half a label more in each; 0 of z-scores.

    y : (n,) or (n, K) as in `task_loss`; each counts as much as its weight there. All steps have the same log-odds, each of several labels
    its own.
    """
    if not TASKS[task].probability:
        return torch.zeros(n_outputs)
    counts = torch.ones(y.shape, dtype=torch.float64) if weight is None else weight.double()
    if task == "multiclass":
        each = torch.stack([counts[y == c].sum() for c in range(n_outputs)]) + 0.5
        return torch.log(each / each.sum()).float()
    y = y.double().view(len(y), -1) if task != "stepwise" else y.double().view(-1, 1)
    counts, seen = counts.view(y.shape), ~torch.isnan(y)
    positive, every = (counts * torch.nan_to_num(y)).sum(0), (counts * seen).sum(0)
    return torch.log((positive + 0.5) / (every - positive + 0.5)).float().expand(n_outputs)


def task_loss(task: str, output: torch.Tensor, y: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
    """What a head is trained on: the mean over the targets that are there (NaN = not known), each as much as it counts.

    Cross-entropy of logits (B, 1) with y (B,) 0/1, of (B, K) with the number of a class (B,), or of (B, K) with 0/1 each; or the squared error.
    weight : of the targets, in their shape (see Labels.weights).
    """
    if task == "classification":
        return nn.functional.binary_cross_entropy_with_logits(output[:, 0], y.float(), weight)
    if task == "multiclass":
        each = nn.functional.cross_entropy(output, y, reduction="none")
        return (each if weight is None else each * weight).mean()
    seen = ~torch.isnan(y)
    if TASKS[task].probability:
        each = nn.functional.binary_cross_entropy_with_logits(output, torch.nan_to_num(y), weight, reduction="none")
        return each[seen].sum() / seen.sum().clamp(min=1)
    return ((output - torch.nan_to_num(y)) ** 2)[seen].sum() / seen.sum().clamp(min=1)  # a batch may hold no target
