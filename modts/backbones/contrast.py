"""TS2Vec (Yue et al. 2022) on windows with gaps, and the loss that it learns by: PyPOTS's parameters and results, sooner.

It fills no gaps. Two crops of a window that overlap are read apart, with steps hidden at random, and the overlap must look alike in both, and
unlike other steps and other windows. PyPOTS reads each batch a third time for representations that its training drops; a convolution
whose outer taps lie outside the window is one with its middle tap alone.

What it reads at a gap is an option. PyPOTS blanks a whole step as soon as one value in it is missing ("step"), which leaves nothing of most
clinical windows; here a missing value counts as the training mean and a step is blank only if all of it is missing ("cell").

Shapes: B windows, T steps, F features, C channels.
"""

from __future__ import annotations

from functools import partial

import torch
from torch.nn.functional import conv1d, gelu, max_pool1d

from modts.errors import ModtsError

GAPS = ("cell", "step")


def _convolved(same, x):
    """SamePadConv.forward on (B, C, T)."""
    conv = same.conv
    if conv.dilation[0] < x.shape[-1]:
        return conv(x)
    return conv1d(x, conv.weight[..., 1:2], conv.bias)  # the other two of three taps read zeros


def encode(encoder, gaps: str, X: torch.Tensor, shown: torch.Tensor | None = None) -> torch.Tensor:
    """TS2VecEncoder.forward: (B, T, F) with NaN -> (B, T, C), without writing to X. shown : (B, T), the steps that are not hidden."""
    missing = torch.isnan(X)
    blank = missing.all(-1) if gaps == "cell" else missing.any(-1)
    x = torch.nan_to_num(X) if gaps == "cell" else X.masked_fill(blank[..., None], 0)
    blank = blank if shown is None else blank | ~shown
    x = encoder.input_fc(x).masked_fill(blank[..., None], 0).mT
    for block in encoder.feature_extractor.net:
        apart = x if block.projector is None else block.projector(x)
        x = _convolved(block.conv2, gelu(_convolved(block.conv1, gelu(x)))) + apart
    return encoder.repr_dropout(x).mT


def _draw(low: int, high: int) -> int:
    """A whole number from low to high, both included."""
    return int(torch.randint(low, high + 1, ()))


def _crops(X: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Two crops of each window (B, *, F) and how many steps they share: the last of the first, the first of the second.

    Lengths are those of the batch, places each window's own, all from PyTorch's generator.
    """
    B, T, _ = X.shape
    if T < 2:
        raise ModtsError(f"TS2Vec compares crops of 2 steps or more, but these windows have {T}.")
    common = _draw(2, T)
    left = _draw(0, T - common)
    first, last = _draw(0, left), _draw(left + common, T)
    moved = torch.randint(-first, T - last + 1, (B,)).to(X.device)

    def crop(start, stop):
        steps = moved[:, None] + torch.arange(start, stop, device=X.device)
        return X[torch.arange(B, device=X.device)[:, None], steps]

    return crop(first, left + common), crop(left, last), common


def _contrast(z: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of finding each row's pair among all other rows: (N, 2 M, C), row i and row i + M a pair."""
    alike = z @ z.mT
    pairs = alike.diagonal(z.shape[1] // 2, 1, 2).mean()
    itself = torch.eye(z.shape[1], dtype=torch.bool, device=z.device)
    return alike.masked_fill(itself, -torch.inf).logsumexp(-1).mean() - pairs


def hierarchical(one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
    """TS2Vec's loss of two views (B, T, C): windows told apart at each step, steps in each window, at every scale of time, averaged."""
    loss, scales = one.new_zeros(()), 0
    while True:
        B, T, _ = one.shape
        if B > 1:
            loss = loss + 0.5 * _contrast(torch.cat([one, two]).transpose(0, 1))
        if T > 1:
            loss = loss + 0.5 * _contrast(torch.cat([one, two], 1))
        scales += 1
        if T == 1:
            return loss / scales
        one, two = (max_pool1d(view.mT, 2).mT for view in (one, two))


def loss(encoder, gaps: str, X: torch.Tensor) -> torch.Tensor:
    """The loss of one draw of crops, in training with half of the steps hidden in each."""
    *crops, common = _crops(X)
    views = []
    for crop in crops:
        shown = torch.rand(crop.shape[:2]).to(X.device) < 0.5 if encoder.training else None
        views.append(encode(encoder, gaps, crop, shown))
    return hierarchical(views[0][:, -common:], views[1][:, :common])


def _forward(module, gaps, inputs, calc_criterion=False):
    """_TS2Vec.forward: the states of whole windows, with gradients, and the loss where it is asked for."""
    results = {"representation": module.encoder(inputs["X"])}
    return results | ({"loss": loss(module.encoder, gaps, inputs["X"])} if calc_criterion else {})


def accelerate(module, gaps: str = "step") -> None:
    """Make PyPOTS's TS2Vec fast, in place: its parameters stay as they are."""
    module.encoder.forward = partial(encode, module.encoder, gaps)
    module.forward = partial(_forward, module, gaps)
