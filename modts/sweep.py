"""Many heads in one pass: all settings of a sweep train on the same cached latents as one batched computation.

A head is a few thousand weights; trained alone, most of its time goes into starting operations. Here the weights of all heads of one kind are
the rows of one matrix (M, P): one product answers for all of them, one Adam step moves them, and each keeps its own early stopping. Heads that
see the same labelled rows share a product, and those that have stopped leave the batch. `adaptation.adapt` is the plain way: one head, the
same optimiser, step for step.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from . import scores
from .errors import ModtsError
from .heads import STEPS, Head
from .training import History

_CELLS = (
    4_000_000  # at most so many activations in memory at once (16 MB, near the cache): larger sweeps train in parts
)


@dataclass(frozen=True)
class Setting:
    """One head of a sweep.

    rows : positions in the training split whose labels it may use.
    lr, weight_decay : of Adam (L2, as in torch.optim.Adam).
    seed : of its first weights.
    """

    rows: np.ndarray
    lr: float
    weight_decay: float = 0.0
    seed: int = 0


def sweep(
    kind: str, latents: dict, targets: dict, settings: Sequence[Setting], *, epochs: int, patience: int
) -> list[tuple[Head, History]]:
    """Train one head a setting by full-batch Adam, heads.STEPS steps an epoch, early stopping on validation.

    Parameters
    ----------
    kind : "simple" or "complex".
    latents : (N, D) arrays of "train" and "val"; all heads standardise them with the statistics of "train".
    targets : adaptation.Labels of "train" and "val".
    epochs, patience : at most so many epochs; a head stops after `patience` of them without a better validation score.

    Returns
    -------
    One (head with the weights of its best epoch, its history) a setting, in their order.

    Raises
    ------
    ModtsError : no settings, a setting without labelled rows, or a head diverged.
    """
    if not settings or any(len(setting.rows) == 0 for setting in settings):
        raise ModtsError("A sweep needs at least one setting, and each setting at least one labelled row.")
    first = Head(kind, latents["train"].shape[1], targets["train"].n_outputs).standardise(latents["train"])
    largest = max(len(setting.rows) for setting in settings) + len(latents["val"])
    share = max(1, _CELLS // (largest * sum(layer.out_features for layer in first.linears())))
    parts = [settings[i : i + share] for i in range(0, len(settings), share)]
    return [pair for part in parts for pair in _train(first, latents, targets, part, epochs, patience)]


@torch.no_grad()
def _train(first: Head, latents, targets, settings, epochs, patience):
    val, K = targets["val"], targets["train"].n_outputs
    lower = val.task != "classification"
    starts = {seed: Head(first.kind, first.mean.numel(), K, first.width, seed) for seed in {s.seed for s in settings}}
    Z, Z_val = ((torch.from_numpy(latents[part]) - first.mean) / first.std for part in ("train", "val"))
    y = torch.from_numpy(targets["train"].y).float().view(len(Z), -1)  # (N, K)
    flat = torch.stack([parameters_to_vector(starts[s.seed].parameters()) for s in settings])  # (M, P)
    lr, decay = (torch.tensor([[getattr(s, name)] for s in settings]) for name in ("lr", "weight_decay"))
    moment, square, kept = torch.zeros_like(flat), torch.zeros_like(flat), flat.clone()
    histories = [History(best=np.inf if lower else -np.inf) for _ in settings]
    active, groups = np.arange(len(settings)), _groups(settings, Z, y, val.task)  # the heads in the batch: rows of flat
    step = 0
    for epoch in range(epochs):
        for _ in range(STEPS):
            step += 1
            g = decay * flat
            for rows, *data in groups:
                g[rows] += _gradient(_layers(first, flat[rows]), *data, val.task)
            moment.lerp_(g, 0.1)  # Adam, for every row its own rate
            square.mul_(0.999).addcmul_(g, g, value=0.001)
            scale = (square / (1 - 0.999**step)).sqrt_().add_(1e-8)
            flat.sub_(lr * (moment / (1 - 0.9**step)) / scale)
        output = _by_head(_forward(_layers(first, flat), Z_val[None])[-1], len(flat)).contiguous().numpy()  # (M, N, K)
        value = scores.many(val.task, np.nan_to_num(val.y), output if lower else output[..., 0], val.seen)
        better = []
        for row, i in enumerate(active):
            history = histories[i]
            if history.finished:
                continue
            if not np.isfinite(value[row]):
                raise ModtsError(
                    f"A head diverged in epoch {epoch} (lr {settings[i].lr:g}, weight decay {settings[i].weight_decay:g}); use a "
                    "smaller learning rate."
                )
            history.validation.append(float(value[row]))
            if value[row] < history.best if lower else value[row] > history.best:
                history.best, history.best_epoch = float(value[row]), epoch
                better.append(row)
            history.finished = epoch - history.best_epoch >= patience
        kept[torch.from_numpy(active[better])] = flat[better]
        going = np.array([not histories[i].finished for i in active])
        if not going.any():
            break
        if going.sum() <= 0.8 * len(active):  # the others have stopped: they leave the batch
            stay = torch.from_numpy(going)
            flat, lr, decay, moment, square = (values[stay] for values in (flat, lr, decay, moment, square))
            active = active[going]
            groups = _groups([settings[i] for i in active], Z, y, val.task)
    heads = [copy.deepcopy(first).eval() for _ in settings]
    for head, weights in zip(heads, kept, strict=True):
        vector_to_parameters(weights.clone(), head.parameters())
    return list(zip(heads, histories, strict=True))


def _groups(settings, Z, y, task):
    """Heads that share a product, G label sets with as many heads on each: [(their rows in the batch, latents (G, n, D), targets (G, n, K),
    weights of the targets (G, n, K), or a number where they are alike)]."""
    by_rows: dict[bytes, list[int]] = {}
    for i, setting in enumerate(settings):
        by_rows.setdefault(np.asarray(setting.rows, np.int64).tobytes(), []).append(i)
    same: dict[tuple, list[list[int]]] = {}
    for members in by_rows.values():
        same.setdefault((len(settings[members[0]].rows), len(members)), []).append(members)
    groups = []
    for sets in same.values():
        rows = torch.from_numpy(np.stack([settings[members[0]].rows for members in sets]))
        target, weight = y[rows], 1 / rows.shape[1]
        if task != "classification":
            seen = ~torch.isnan(target)
            target = torch.nan_to_num(target)
            weight = 2 / seen[0].numel() if seen.all() else seen * (2 / seen.sum((1, 2), keepdim=True).clamp(min=1))
        groups.append((torch.tensor(sum(sets, [])), Z[rows], target, weight))
    return groups


def _layers(first: Head, flat: torch.Tensor):
    """Weights (M, P) as views, layer by layer: (weight (M, out, in), bias (M, out))."""
    at, layers = 0, []
    for layer in first.linears():
        fan_out, fan_in = layer.weight.shape
        weight, bias = flat[:, at : at + fan_out * fan_in], flat[:, at + fan_out * fan_in : at + fan_out * (fan_in + 1)]
        layers.append((weight.unflatten(1, (fan_out, fan_in)), bias))
        at += fan_out * (fan_in + 1)
    return layers


def _by_head(x: torch.Tensor, M: int) -> torch.Tensor:
    """Of the product that H heads share, (G, n, H * out), or of M heads already, (M, n, out): (M, n, out)."""
    if len(x) == M:
        return x
    G, n, _ = x.shape
    return x.view(G, n, M // G, -1).transpose(1, 2).reshape(M, n, -1)


def _forward(layers, Z: torch.Tensor) -> list[torch.Tensor]:
    """Latents (G, n, D) through G * H heads -> what each layer gives, (G * H, n, out), after its ReLU; the last is the output.

    All heads of a label set read the same latents, so the first layer is one product, (G, n, H * out); alone, it is left like that.
    """
    G, _, D = Z.shape
    (weight, bias), *rest = layers
    x = torch.baddbmm(bias.reshape(G, 1, -1), Z, weight.reshape(G, -1, D).mT)
    passed = [_by_head(x, len(weight)) if rest else x]
    for weight, bias in rest:
        passed[-1].relu_()
        passed.append(torch.baddbmm(bias[:, None], passed[-1], weight.mT))
    return passed


def _gradient(layers, Z: torch.Tensor, target: torch.Tensor, weight, task: str) -> torch.Tensor:
    """Gradient of every head's own heads.task_loss: (G * H, P)."""
    (G, n, K), M = target.shape, len(layers[0][0])
    passed = _forward(layers, Z)
    delta = passed.pop()
    heads = 1 if passed else 2  # where the axis of the heads stands
    delta = delta.view(G, M // G, n, K) if passed else delta.view(G, n, M // G, K)
    delta = (delta.sigmoid_() if task == "classification" else delta).sub_(target.unsqueeze(heads))
    if torch.is_tensor(weight):
        delta.mul_(weight.unsqueeze(heads))
        weight = 1.0
    parts = []
    if passed:
        delta = delta.view(M, n, K)
    for layer, _ in layers[:0:-1]:
        x = passed.pop()
        parts = [(delta.mT @ x).flatten(1), delta.sum(1), *parts]
        # the gradient of ReLU; a product with x > 0 takes 20 times as long
        delta = torch.ops.aten.threshold_backward(delta @ layer, x, 0)
    if len(layers) > 1:
        bias, delta = delta.sum(1), delta.view(G, M // G, n, -1).permute(0, 2, 1, 3).reshape(G, n, -1)
    else:
        delta = delta.view(G, n, -1)
        bias = delta.sum(1).view(M, K)
    shared = torch.bmm(delta.mT, Z)  # (G, H * out, D)
    return torch.cat([shared.view(M, -1), bias, *parts], 1).mul_(weight)
