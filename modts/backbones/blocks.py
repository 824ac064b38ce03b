"""SAITS, Autoformer, TimesNet and HELIX from fewer operations: the same parameters and results as PyPOTS's blocks, sooner.

Autoformer's sum over delays is a product with one circulant matrix instead of a roll for every delay, its moving average a product with a
constant matrix. TimesNet's kernels of all sizes, whose answers are averaged, are one kernel. SAITS's attention is fused where it is traced
(see serving): elsewhere PyPOTS's own is as fast. HELIX's blocks have a module of their own.
"""

from __future__ import annotations

import contextlib
import math
from functools import cache, partial

import torch
from torch.nn.functional import conv2d, gelu, linear, pad, scaled_dot_product_attention

from . import helix
from .ends import before


def attention(block, plain, q, k, v, attn_mask=None):
    """MultiHeadAttention.forward; `plain` is PyPOTS's own. A trace drops the attention map where nobody reads it."""
    if block.lengths is not None:
        attn_mask = _to_the_end(attn_mask, block.lengths, k.shape[1])
    if not torch.jit.is_tracing():
        return plain(q, k, v, attn_mask)
    heads, layers = block.n_heads, (block.w_qs, block.w_ks, block.w_vs)
    weights = [layer.weight.unflatten(0, (heads, -1)) for layer in layers]  # a head's side by side
    q, k, v = (
        linear(q, torch.cat(weights, 1).flatten(0, 1))
        .unflatten(-1, (heads, -1))
        .transpose(1, 2)
        .split([weight.shape[1] for weight in weights], -1)
    )
    scale = 1 / block.attention_operator.temperature
    mask = q.new_zeros(()) if attn_mask is None else torch.zeros_like(attn_mask).masked_fill(attn_mask == 0, -torch.inf)
    mask = mask.expand(1, 1, q.shape[2], k.shape[2])
    out = scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)
    return block.fc(out.transpose(1, 2).flatten(2)), (q.mul(scale) @ k.mT + mask).softmax(-1)


def _to_the_end(attn_mask, lengths, T: int) -> torch.Tensor:
    """An attention mask (1, T, T), or none, without the steps behind each series' end: (B, T, T), 0 where nothing is attended to."""
    there = before(lengths, T)[:, None].float()
    mask = there.expand(-1, T, -1) if attn_mask is None else attn_mask * there
    # a series of one step has nothing but itself to attend to
    return mask + torch.eye(T, device=mask.device) * (lengths == 1)[:, None, None]


@contextlib.contextmanager
def masked(module, lengths: torch.Tensor | None):
    """In the block, SAITS attends to the steps before each series' end only, lengths (B,); None leaves it as it is."""
    found = [block for block in module.modules() if hasattr(block, "lengths")] if lengths is not None else []
    for block in found:
        block.lengths = lengths
    try:
        yield
    finally:
        for block in found:
            block.lengths = None


@cache
@torch.inference_mode(False)  # also where inference asks first: training may ask next
def _delays(T: int, device: torch.device):
    """Index matrices [t, delay]: t + delay, and [t, s]: the delay that leads from t to s, both modulo T."""
    step = torch.arange(T, device=device)
    return (step + step[:, None]) % T, (step - step[:, None]) % T


@cache
@torch.inference_mode(False)
def _seasonal(T: int, window: int, device: torch.device):
    """What a moving average with repeated ends leaves of a series, as a matrix (T, T)."""
    half, step = (window - 1) // 2, torch.arange(T)
    read = (step[:, None] + torch.arange(-half, half + 1)).clamp(0, T - 1)
    return (torch.eye(T) - torch.nn.functional.one_hot(read, T).float().mean(1)).to(device)


def autoformer_layer(block, x, attn_mask=None):
    """AutoformerEncoderLayer.forward on (B, T, C); no attention map is made."""
    of, (B, T, _) = block.attention, map(int, x.shape)  # in a trace, sizes are constants
    layers = (of.w_qs, of.w_ks, of.w_vs)
    widths = [layer.out_features for layer in layers]
    q, k, v = linear(x, torch.cat([layer.weight for layer in layers])).split(widths, -1)
    later, apart = _delays(T, x.device)
    match = (k @ q.mT).gather(2, later.expand(B, T, T)).sum(1) / q.shape[-1]  # correlation at each delay: (B, T)
    top = min(T, int(of.attention_operator.factor * math.log(T)))
    if block.training:  # the delays of a batch are its own, as in the Autoformer paper's training
        delay = match.mean(0).topk(top)[1].expand(B, top)
    else:
        delay = match.topk(top)[1]
    spread = torch.zeros_like(match).scatter(1, delay, match.gather(1, delay).softmax(-1))
    v = spread[:, apart] @ v
    if of.n_heads > 1:  # as PyPOTS does: it takes heads for steps when it joins them
        v = v.unflatten(-1, (of.n_heads, -1)).transpose(1, 2).reshape(B, T, -1)
    first, second = (
        _seasonal(T, part.moving_avg.kernel_size, x.device) for part in (block.series_decomp1, block.series_decomp2)
    )
    x = first @ (x + block.dropout(of.fc(v)))
    wide, narrow = (conv.weight[..., 0] for conv in (block.conv1, block.conv2))
    y = block.dropout(linear(block.dropout(block.activation(linear(x, wide))), narrow))
    return second @ (x + y), None


def _own_periods(x, k: int, wide, wide_bias, narrow, narrow_bias):
    """x plus what a TimesBlock finds in the k strongest periods of each window; windows with a period in common share its convolutions."""
    B, T, C = x.shape
    amplitude = torch.fft.rfft(x, dim=1).abs().mean(-1)
    strength = amplitude.detach().clone()
    strength[:, 0] = 0
    top = strength.topk(k, 1)[1]
    weights = amplitude.gather(1, top).softmax(1)
    periods = torch.full_like(top, T).floor_divide(top)
    found = top.new_zeros(T + 1).index_fill(0, periods.flatten(), 1).cpu()  # which there are
    out = x
    for period in range(1, T + 1):
        if int(found[period]) == 0:
            continue
        here = periods == period  # (B, k); two frequencies may have one period
        rows = here.any(1).nonzero()[:, 0]
        n, length = rows.shape[0], (T + period - 1) // period * period
        image = pad(x[rows], [0, 0, 0, length - T]).view(n, length // period, period, C).permute(0, 3, 1, 2)
        image = gelu(conv2d(image, wide, wide_bias, padding=wide.shape[-1] // 2))
        image = conv2d(image, narrow, narrow_bias, padding=narrow.shape[-1] // 2)
        weight = (weights * here).sum(1)[rows].view(n, 1, 1)
        out = out.index_add(0, rows, image.permute(0, 2, 3, 1).reshape(n, length, C)[:, :T] * weight)
    return out


def _periods(x, k: int, wide, wide_bias, narrow, narrow_bias):
    """x plus what a TimesBlock finds in the k strongest periods of the batch, as PyPOTS has it."""
    B, T, C = x.shape
    amplitude = torch.fft.rfft(x, dim=1).abs().mean(-1)
    strength = amplitude.detach().mean(0)
    strength[0] = 0
    top = strength.topk(k)[1]
    weights, top = amplitude[:, top].softmax(1), top.cpu()
    out = x
    for i in range(k):
        period = T // int(top[i])
        length = (T + period - 1) // period * period
        image = pad(x, [0, 0, 0, length - T]).view(B, length // period, period, C).permute(0, 3, 1, 2)
        image = gelu(conv2d(image, wide, wide_bias, padding=wide.shape[-1] // 2))
        image = conv2d(image, narrow, narrow_bias, padding=narrow.shape[-1] // 2)
        out = out + image.permute(0, 2, 3, 1).reshape(B, length, C)[:, :T] * weights[:, i].view(B, 1, 1)
    return out


@cache
def _scripted(find):
    """How long a period is decides what is computed: a trace cannot hold that, a script in it can."""
    return torch.jit.script(find)


def _kernel(inception):
    """The mean of an InceptionBlockV1's kernels, each in the middle of the largest, and of their biases."""
    kernels, largest = inception.kernels, inception.kernels[-1].padding[0]
    weight = torch.stack([pad(kernel.weight, [largest - kernel.padding[0]] * 4) for kernel in kernels]).mean(0)
    return weight.contiguous(memory_format=torch.channels_last), torch.stack([kernel.bias for kernel in kernels]).mean(
        0
    )


def times_block(block, find, x):
    """TimesBlock.forward on (B, T, C)."""
    run = _scripted(find) if torch.jit.is_tracing() else find
    return run(x, block.top_k, *_kernel(block.conv[0]), *_kernel(block.conv[2]))


def accelerate(module, periods: str = "batch") -> None:
    """Make the blocks of PyPOTS's SAITS, Autoformer, TimesNet or HELIX fast, in place: parameters and results stay as they are.

    With periods="window", TimesNet finds its periods in each window instead of in the batch.
    """
    for block in module.modules():
        kind = type(block).__name__
        if kind == "MultiHeadAttention" and hasattr(block.attention_operator, "temperature"):
            block.lengths, block.forward = None, partial(attention, block, block.forward)
        elif kind == "AutoformerEncoderLayer":
            block.forward = partial(autoformer_layer, block)
        elif kind == "TimesBlock":
            block.forward = partial(times_block, block, _own_periods if periods == "window" else _periods)
        elif kind == "BackboneHELIX":
            block.forward = partial(helix.forward, block)
