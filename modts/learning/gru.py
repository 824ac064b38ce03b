"""A GRU trained end to end on values, mask and time since the last value: no imputation, no pretraining (Cho et al. 2014; its inputs are
those of Che et al. 2018)."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import nn

from modts import runs
from modts.cohorts import seeded

from .features import Winsorised
from .gaps import before_after
from .heads import task_loss
from .targets import Labels
from .training import fit

_SIZES, _RATES = (
    (32, 64),
    (3e-3, 1e-3),
)  # hidden units each way and learning rates: all pairs are compared on validation
_PATIENCE, _BATCH = 8, 128
_TAILS = 0.005  # share winsorised at each end
_DROPOUT = 0.3


class GRU(nn.Module):
    """(B, T, D) inputs -> (B, 1) logit or number, from mean, maximum and last state; or (B, T) numbers, and then it reads both ways.

    Parameters
    ----------
    n_inputs, hidden : int
        D, and hidden units each way.
    every_step : bool
        An answer at every step, or one a window.
    seed : int
        Initialises the weights.
    """

    def __init__(self, n_inputs: int, hidden: int, every_step: bool, seed: int):
        super().__init__()
        self.every_step, self.drop = every_step, nn.Dropout(_DROPOUT)
        with seeded(seed):
            self.layers = nn.GRU(n_inputs, hidden, batch_first=True, bidirectional=every_step)
            self.head = nn.Linear(hidden * (2 if every_step else 3), 1)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        states = self.layers(self.drop(inputs))[0]
        if self.every_step:
            return self.head(self.drop(states))[..., 0]
        return self.head(self.drop(torch.cat([states.mean(1), states.amax(1), states[:, -1]], 1)))


def values_mask_delta(X: np.ndarray, scale: Winsorised) -> torch.Tensor:
    """(N, T, F) raw windows -> (N, T, 3 F) float32: winsorised z-scores with 0 where missing, 1 where measured, and the steps since the last
    measurement before this one as a share of the window."""
    seen, steps = ~np.isnan(X), np.arange(X.shape[1])[None, :, None]
    before = before_after(seen)[0]
    previous = np.concatenate([np.full_like(before[:, :1], -1), before[:, :-1]], axis=1)
    values = scale(X.reshape(-1, X.shape[2])).reshape(X.shape)
    return torch.from_numpy(np.concatenate([values, seen, (steps - previous) / X.shape[1]], axis=2, dtype=np.float32))


def trained(problem, seed, record, epochs):
    """A GRU of every size and learning rate by `training.fit`, the best on validation kept; parameters and what is returned as in
    `trees.boosted`."""
    scale = Winsorised(problem.X.reshape(-1, problem.X.shape[2]).astype(np.float64), _TAILS)
    Z, Z_val = values_mask_delta(problem.X, scale), values_mask_delta(problem.X_val, scale)
    y, y_val = (part[:, None] if problem.kind == "number" else part for part in (problem.y, problem.y_val))
    y, labels = torch.from_numpy(y).float(), Labels(problem.task, y_val)
    classes, n = problem.task == "classification", len(Z)

    @torch.no_grad()
    def output(model, inputs):
        model.eval()
        return torch.cat([model(part) for part in inputs.split(256)])

    def answer(model, inputs):
        out = output(model, inputs)
        out = torch.sigmoid(out) if classes else out
        return out.double().numpy().reshape(len(inputs), *problem.y.shape[1:])

    best = None
    for hidden, rate in itertools.product(_SIZES, _RATES):
        model = GRU(Z.shape[2], hidden, problem.kind == "steps", seed)
        history = fit(
            model,
            lambda i, model=model: task_loss(problem.task, model(Z[i]), y[i]),
            lambda model=model: labels.validate(output(model, Z_val)),
            n=n,
            epochs=epochs,
            patience=_PATIENCE,
            batch_size=min(_BATCH, max(16, n // 8)),
            lr=rate,
            seed=runs.epoch_seed(seed, 0),
            lower_is_better=not classes,
        )
        value = problem.judge(answer(model, Z_val))
        if best is None or value > best[0]:
            best = value, hidden, rate, model, history
    value, hidden, rate, model, history = best
    record.update(validation=abs(value), features="values, mask and delta", hidden=hidden, lr=rate)
    record.update(epochs=len(history.validation), ended=history.finished)
    return lambda X: answer(model, values_mask_delta(X, scale))
