"""A GRU trained end to end on values, mask and time since the last value: no imputation, no pretraining (Cho et al. 2014; its inputs are
those of Che et al. 2018)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from modts import runs
from modts.cohorts import seeded

from .features import Winsorised
from .gaps import before_after
from .heads import origin, task_loss
from .targets import answer
from .training import fit

_PATIENCE, _BATCH = 8, 128
_TAILS = 0.005  # share winsorised at each end


class GRU(nn.Module):
    """(B, T, D) inputs -> (B, K) outputs, from mean, maximum and last state; or (B, T), and then it reads a window both ways.

    Parameters
    ----------
    n_inputs, hidden : int
        D, and hidden units each way.
    every_step : bool
        An output at every step, or for the window.
    n_outputs : int
        K.
    dropout : float
        Of the inputs, and of what the last layer reads.
    seed : int
        Initialises the weights.
    """

    def __init__(self, n_inputs: int, hidden: int, every_step: bool, n_outputs: int, dropout: float, seed: int):
        super().__init__()
        self.every_step, self.drop = every_step, nn.Dropout(dropout)
        with seeded(seed):
            self.layers = nn.GRU(n_inputs, hidden, batch_first=True, bidirectional=every_step)
            self.head = nn.Linear(hidden * (2 if every_step else 3), n_outputs)

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


def trained(problem, seed, record, epochs, settings: Sequence[dict]):
    """A GRU of every setting (see `GRU_SETTINGS`) by `training.fit`, the best on validation kept; parameters and what is returned as in
    `trees.boosted`. Few labelled windows are gone through again until an epoch has the steps of all training windows."""
    scale = Winsorised(problem.X.reshape(-1, problem.X.shape[2]).astype(np.float64), _TAILS)
    Z, Z_val, task, n = (
        values_mask_delta(problem.X, scale),
        values_mask_delta(problem.X_val, scale),
        problem.task,
        len(problem.X),
    )
    numbers = problem.y.ndim == 1 and not problem.chances
    y, y_val = (part[:, None] if numbers else part for part in (problem.y, problem.y_val))
    y = torch.from_numpy(y) if problem.task == "multiclass" else torch.from_numpy(y).float()
    weight = None if problem.weight is None else torch.from_numpy(problem.weight)
    labels = replace(problem.labels, y=y_val)

    @torch.no_grad()
    def output(model, inputs):
        model.eval()
        return torch.cat([model(part) for part in inputs.split(256)])

    def predict(model, inputs):
        p = answer(task, output(model, inputs)).double().numpy()
        return p[:, 0] if numbers else p

    best = None
    for setting in settings:
        batch = setting["batch_size"]
        model = GRU(Z.shape[2], setting["hidden"], problem.every_step, problem.n_outputs, setting["dropout"], seed)
        with torch.no_grad():
            model.head.bias.copy_(origin(task, y, weight, problem.n_outputs))

        def step(i, _, model=model):
            return task_loss(task, model(Z[i]), y[i], None if weight is None else weight[i])

        history = fit(
            model,
            step,
            lambda model=model: labels.validate(output(model, Z_val)),
            n=n,
            steps=math.ceil(problem.n_train / (batch or _batch(problem.n_train))),
            epochs=epochs,
            patience=_PATIENCE,
            batch_size=batch or _batch(n),
            lr=setting["lr"],
            seed=runs.epoch_seed(seed, 0),
            lower_is_better=not problem.chances,
        )
        value = problem.judge(predict(model, Z_val))
        if best is None or value > best[0]:
            best = value, setting, model, history
    value, setting, model, history = best
    record.update(validation=abs(value), features="values, mask and delta", **setting)
    record.update(epochs=len(history.validation), capped=history.capped)
    return lambda windows: predict(model, values_mask_delta(windows[0], scale))


def _batch(n: int) -> int:
    return min(_BATCH, max(16, n // 8))
