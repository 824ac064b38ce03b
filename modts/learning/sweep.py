"""Many heads in one pass: all settings of a sweep train on the same cached latents as one batched computation.

A head is a few thousand weights; trained alone, most of its time goes into starting operations. Here the weights of all heads of one kind are
the rows of one matrix (M, P): one product answers for all of them, one Adam step moves them, and each keeps its own early stopping. Heads that
see the same labelled rows lie side by side and share a product, and those that have stopped leave the batch. `adaptation.adapt` is the plain
way: one head, the same optimiser, step for step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from modts.cohorts import TASKS
from modts.errors import ModtsError

from . import scores
from .heads import STEPS, Head
from .targets import ranked
from .training import History

_CELLS = (
    4_000_000  # at most so many activations in memory at once (16 MB, near the cache): larger sweeps train in parts
)
_SURE = 40.0  # a logit beyond which a gradient is too small for a normal float sooner or later: those take many times as long


@dataclass(frozen=True)
class Setting:
    """One head of a sweep.

    rows : positions in the training split whose labels it may use.
    lr, weight_decay : of Adam (L2, as in torch.optim.Adam); biases do not decay.
    seed : of its first weights; the last layer starts at Head.begin.
    """

    rows: np.ndarray
    lr: float
    weight_decay: float = 0.0
    seed: int = 0


def train_heads(
    kind: str, latents: dict, targets: dict, settings: Sequence[Setting], *, epochs: int, patience: int
) -> list[tuple[Head, History]]:
    """Train one head a setting by full-batch Adam, heads.STEPS steps an epoch, early stopping on validation.

    Parameters
    ----------
    kind
        "simple" or "complex".
    latents
        (N, D) or (N, T, D) arrays of "train" and "val"; all heads standardise them with the statistics of "train".
    targets
        Labels of "train" and "val".
    epochs, patience
        At most so many epochs; a head stops after `patience` of them without a better validation score.

    Returns
    -------
    One (head with the weights of its best epoch, its history) a setting, in their order.

    Raises
    ------
    ModtsError
        No settings, a setting without labelled rows, latents of every step without a target at every step, or a head diverged.
    """
    first = Head.reading(latents["train"], kind, targets["train"]).standardise(latents["train"]).eval()
    if latents["train"].ndim == 3:
        latents, targets, settings = _by_step(latents, targets, settings)
    if not settings or any(len(setting.rows) == 0 for setting in settings):
        raise ModtsError("A sweep needs at least one setting, and each setting at least one labelled row.")
    largest = max(len(setting.rows) for setting in settings) + len(latents["val"])
    share = max(1, _CELLS // (largest * sum(layer.out_features for layer in first.linears())))
    parts = [settings[i : i + share] for i in range(0, len(settings), share)]
    return [pair for part in parts for pair in _train(first, latents, targets, part, epochs, patience)]


def _by_step(latents, targets, settings):
    """A row for each (window, step): latents (N T, D), targets (N T, 1), and the settings' rows, of which those without a target are dropped."""
    seen, T = targets["train"].seen, latents["train"].shape[1]
    latents = {part: latents[part].reshape(-1, latents[part].shape[2]) for part in ("train", "val")}
    targets = {part: replace(targets[part], y=targets[part].y.reshape(-1, 1)) for part in ("train", "val")}
    cells = [np.asarray(s.rows)[:, None] * T + np.arange(T) for s in settings]
    return latents, targets, [replace(s, rows=c[seen[s.rows]]) for s, c in zip(settings, cells, strict=True)]


@torch.no_grad()
def _train(first: Head, latents, targets, settings, epochs, patience):
    val, K = targets["val"], targets["train"].n_outputs
    lower = not val.higher_is_better
    Z, Z_val = (torch.from_numpy(latents[part]).sub(first.mean).div_(first.std) for part in ("train", "val"))
    Z, Z_val = (nn.functional.pad(part, (0, 1), value=1.0) for part in (Z, Z_val))  # what a bias is multiplied with
    y = torch.from_numpy(targets["train"].columns())  # (N, K)
    lr, decay = (torch.tensor([[getattr(s, name)] for s in settings]) for name in ("lr", "weight_decay"))
    starts = {_start(s): s for s in settings}
    for place, s in starts.items():
        head = Head(first.kind, first.mean.numel(), K, first.width, s.seed)
        weight = targets["train"].weights(s.rows)
        head.begin(
            val.task, torch.from_numpy(targets["train"].y[s.rows]), None if weight is None else torch.from_numpy(weight)
        )
        starts[place] = torch.cat([_joined(layer).flatten() for layer in head.linears()])
    flat = torch.stack([starts[_start(s)] for s in settings])  # (M, P)
    moment, square, kept = torch.zeros_like(flat), torch.zeros_like(flat), flat.clone()
    best, best_epoch = np.full(len(settings), np.inf if lower else -np.inf), np.zeros(len(settings), int)
    seen, going = [], np.ones(len(settings), bool)  # seen: (heads, their values) of each epoch
    active = np.arange(len(settings))  # the heads in the batch: rows of flat
    for epoch in range(epochs):
        if not epoch or going[active].sum() <= 0.8 * len(active):  # heads that have stopped leave the batch
            stay = np.flatnonzero(going[active])
            order, groups = _groups([settings[i] for i in active[stay]], Z, y, targets["train"])
            stay = stay[order]
            active, rows = active[stay], torch.from_numpy(stay)
            flat, lr, decay, moment, square = (part[rows] for part in (flat, lr, decay, moment, square))
        for rows, *data in groups:  # an epoch of one product, then of the next: its latents stay in the cache
            _steps(first, epoch, [part[rows] for part in (flat, lr, decay, moment, square)], data, val.task)
        output = _forward(_layers(first, flat), Z_val[None])[-1]  # (M, K, N)
        output = output[:, 0].numpy() if val.task == "classification" else ranked(val.task, output.mT).numpy()
        value = scores.many(val.task, np.nan_to_num(val.y), output, val.seen)
        wrong = active[going[active] & ~np.isfinite(value)]
        if len(wrong):
            bad = settings[wrong[0]]
            raise ModtsError(
                f"A head diverged in epoch {epoch} (lr {bad.lr:g}, weight decay {bad.weight_decay:g}); use a smaller learning rate."
            )
        better = going[active] & (value < best[active] if lower else value > best[active])
        seen.append((active[going[active]], value[going[active]]))
        best[active[better]], best_epoch[active[better]] = value[better], epoch
        kept[torch.from_numpy(active[better])] = flat[torch.from_numpy(better)]
        going[active] &= epoch - best_epoch[active] < patience
        if not going.any():
            break
    histories = [
        History(best=b, best_epoch=e, finished=not g)
        for b, e, g in zip(best.tolist(), best_epoch.tolist(), going.tolist(), strict=True)
    ]
    for heads, values in seen:
        for i, value in zip(heads.tolist(), values.tolist(), strict=True):
            histories[i].validation.append(value)
    return list(zip(_heads(first, kept), histories, strict=True))


def _start(setting: Setting) -> tuple[int, bytes]:
    """What decides a head's first weights: its seed, and which labels it sees."""
    return setting.seed, _labelled(setting)


def _labelled(setting: Setting) -> bytes:
    return np.asarray(setting.rows, np.int64).tobytes()


def _steps(first: Head, epoch: int, state, data, task: str) -> None:
    """An epoch of Adam on the weights of some heads, in place, for every head its own rate."""
    flat, lr, decay, moment, square = state
    layers = _layers(first, flat)
    for step in range(epoch * STEPS + 1, (epoch + 1) * STEPS + 1):
        g = _gradient(layers, *data, task)
        for part, layer in zip(_layers(first, g), layers, strict=True):  # weights decay, biases do not
            part[..., :-1].addcmul_(decay[..., None], layer[..., :-1])
        moment.lerp_(g, 0.1)
        square.mul_(0.999).addcmul_(g, g, value=0.001)
        scale = square.div(1 - 0.999**step).sqrt_().add_(1e-8)
        flat.sub_(moment.mul(lr / (1 - 0.9**step)).div_(scale))


def _joined(layer: nn.Linear) -> torch.Tensor:
    """A linear layer's weight with its bias as the last column: (out, in + 1)."""
    return torch.cat([layer.weight, layer.bias[:, None]], 1)


def _heads(first: Head, flat: torch.Tensor) -> list[Head]:
    """Heads with the standardisation of the first and the weights of each row of (M, P)."""
    heads, layers = [_twin(first) for _ in flat], _layers(first, flat)
    for i, head in enumerate(heads):
        for layer, weights in zip(head.linears(), layers, strict=True):
            layer.weight.copy_(weights[i, :, :-1])
            layer.bias.copy_(weights[i, :, -1])
    return heads


def _twin(module: nn.Module) -> nn.Module:
    """A copy with tensors of its own. copy.deepcopy takes several times as long, and hundreds of heads leave a sweep."""
    twin = object.__new__(type(module))
    twin.__dict__.update({k: v.copy() if isinstance(v, dict) else v for k, v in module.__dict__.items()})
    twin._modules = {name: _twin(part) for name, part in module._modules.items()}
    twin._buffers = {name: value.clone() for name, value in module._buffers.items()}
    twin._parameters = {name: nn.Parameter(torch.empty_like(value)) for name, value in module._parameters.items()}
    return twin


def _groups(settings, Z, y, labels):
    """The order in which heads that share a product lie side by side, G label sets with as many heads on each, and of each product
    (its rows, latents (G, n, D + 1), targets (G, K, n), weights of the targets (G, K, n) or a number where they are alike)."""
    by_rows: dict[bytes, list[int]] = {}
    for i, setting in enumerate(settings):
        by_rows.setdefault(_labelled(setting), []).append(i)
    same: dict[tuple, list[list[int]]] = {}
    for members in by_rows.values():
        same.setdefault((len(settings[members[0]].rows), len(members)), []).append(members)
    order, groups = [], []
    for sets in same.values():
        rows = torch.from_numpy(np.stack([settings[members[0]].rows for members in sets]))
        target, weight = y[rows].mT.contiguous(), 1 / rows.shape[1]
        if labels.y.ndim > 1:  # the mean over the targets that are there; the gradient of a square has a factor of 2
            seen, factor = ~torch.isnan(target), 1 if TASKS[labels.task].probability else 2
            target = torch.nan_to_num(target)
            count = seen.sum((1, 2), keepdim=True).clamp(min=1)
            weight = factor / seen[0].numel() if seen.all() else seen * (factor / count)
        each = [labels.weights(settings[members[0]].rows) for members in sets]
        if each[0] is not None:
            weight = weight * torch.from_numpy(np.stack(each)).view(len(sets), rows.shape[1], -1).mT
        members = sum(sets, [])
        groups.append((slice(len(order), len(order) + len(members)), Z[rows], target, weight))
        order += members
    return np.array(order), groups


def _layers(first: Head, flat: torch.Tensor) -> list[torch.Tensor]:
    """Weights (M, P) as views, layer by layer, the bias as their last column: (M, out, in + 1)."""
    sizes = [layer.out_features * (layer.in_features + 1) for layer in first.linears()]
    parts = flat.split(sizes, 1)
    return [part.unflatten(1, (layer.out_features, -1)) for part, layer in zip(parts, first.linears(), strict=True)]


def _forward(layers, Z: torch.Tensor) -> list[torch.Tensor]:
    """Latents (G, n, D + 1) through M = G * H heads -> what each layer gives, (M, out, n), after its ReLU; the last is the output.

    All heads of a label set read the same latents, so the first layer is one product, (G, H * out, n).
    """
    G, n, D = Z.shape
    weight, *rest = layers
    passed = [torch.bmm(weight.reshape(G, -1, D), Z.mT).view(len(weight), -1, n)]
    for weight in rest:
        passed[-1].relu_()
        # contiguous: rows of odd length take twice as long
        passed.append(torch.baddbmm(weight[..., -1:], weight[..., :-1].contiguous(), passed[-1]))
    return passed


def _gradient(layers, Z: torch.Tensor, target: torch.Tensor, weight, task: str) -> torch.Tensor:
    """Gradient of every head's own heads.task_loss: (M, P)."""
    G, n, _ = Z.shape
    passed = _forward(layers, Z)
    delta = passed.pop()  # (M, K, n)
    M = len(delta)
    if task == "multiclass":
        delta = (delta - delta.amax(1, keepdim=True)).clamp_(min=-_SURE).softmax(1)
    elif TASKS[task].probability:
        delta = delta.clamp_(-_SURE, _SURE).sigmoid_()
    by_set = delta.view(G, M // G, -1, n).sub_(target[:, None])
    if torch.is_tensor(weight):
        by_set.mul_(weight[:, None])
        weight = 1.0
    parts = []
    for layer in layers[:0:-1]:
        x = passed.pop()
        parts = [torch.cat([delta @ x.mT, delta.sum(2, keepdim=True)], 2).flatten(1), *parts]
        # the gradient of ReLU; a product with x > 0 takes 20 times as long
        delta = torch.ops.aten.threshold_backward(layer[..., :-1].contiguous().mT @ delta, x, 0)
    shared = torch.bmm(delta.view(G, -1, n), Z).view(M, -1)
    return (torch.cat([shared, *parts], 1) if parts else shared).mul_(weight)
