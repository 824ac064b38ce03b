"""CSAI's transformer layer, a few attention heads at a time: the same sums as PyTorch's layer, sooner on a CPU.

With dropout PyTorch keeps whole attention matrices (50 MB a direction for 128 windows of 48 steps) and walks through memory several times to
make, scale and drop them. In parts that fit the cache, with the softmax computed again in the backward pass (Dao et al. 2022, FlashAttention),
none of them is ever stored.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.autograd.function import once_differentiable
from torch.nn.functional import gelu, linear, scaled_dot_product_attention

_CELLS = 250_000  # attention weights at once: 1 MB


def kept(shape, dropout: float, device: torch.device | str = "cpu") -> torch.Tensor:
    """A random mask, True with probability 1 - dropout; on a CPU drawn from PyTorch's generator by way of one seed."""
    if torch.device(device).type != "cpu":
        return torch.rand(shape, device=device) >= dropout
    draw = np.random.Generator(np.random.SFC64(int(torch.randint(2**62, ()))))
    limit = round(dropout * 2**16)
    return torch.from_numpy(draw.integers(0, 2**16, shape, dtype=np.uint16) >= limit)


def _parts(q):
    size = max(1, _CELLS // (q.shape[1] ** 2))
    return [slice(i, i + size) for i in range(0, len(q), size)]


class _Attention(torch.autograd.Function):
    """Softmax attention of (N, S, E) queries (already scaled), keys, values; kept: (N, S, S) mask; scale: of what is kept."""

    @staticmethod
    def forward(ctx, q, k, v, kept, scale):
        out = torch.empty_like(v)
        for i in _parts(q):
            weights = torch.bmm(q[i], k[i].mT).softmax(-1)
            weights *= kept[i]
            torch.bmm(weights, v[i], out=out[i])
        ctx.save_for_backward(q, k, v, kept)
        ctx.scale = scale
        return out.mul_(scale)

    @staticmethod
    @once_differentiable
    def backward(ctx, dout):
        q, k, v, kept = ctx.saved_tensors
        dq, dk, dv = (torch.empty_like(part) for part in (q, k, v))
        dout = dout * ctx.scale
        for i in _parts(q):
            weights = torch.bmm(q[i], k[i].mT).softmax(-1)
            dweights = torch.bmm(dout[i], v[i].mT)
            dweights *= kept[i]
            torch.bmm((weights * kept[i]).mT, dout[i], out=dv[i])
            dscores = torch._softmax_backward_data(dweights, weights, -1, weights.dtype)
            torch.bmm(dscores, k[i], out=dq[i])
            torch.bmm(dscores.mT, q[i], out=dk[i])
        return dq, dk, dv, None, None


def attend(q, k, v, dropout: float = 0.0) -> torch.Tensor:
    """Scaled dot-product attention with dropout of the weights: (N, heads, S, E) each -> (N, heads, S, E)."""
    if not dropout or q.is_cuda:  # here PyTorch keeps no matrix either
        return scaled_dot_product_attention(q, k, v, dropout_p=dropout)
    shape = q.shape[:2]
    q, k, v = (part.flatten(0, 1) for part in (q, k, v))
    mask = kept((*q.shape[:2], k.shape[1]), dropout)
    return _Attention.apply(q * q.shape[-1] ** -0.5, k, v, mask, 1 / (1 - dropout)).unflatten(0, shape)


def encode(layer: torch.nn.TransformerEncoderLayer, x: torch.Tensor, there: torch.Tensor | None = None) -> torch.Tensor:
    """The forward pass of a layer that normalises last and has GELU in between, as CSAI's: (B, S, C) -> (B, S, C).

    there : (B, S) bool, optional
        Which steps are attended to where attention goes over steps; each window has one.
    """
    attention = layer.self_attn
    first = x if attention.batch_first else x.transpose(0, 1)  # (N, L, C): attention goes over L
    N, L, C = first.shape
    heads = attention.num_heads
    qkv = linear(first, attention.in_proj_weight, attention.in_proj_bias)
    q, k, v = qkv.view(N, L, 3, heads, C // heads).permute(2, 0, 3, 1, 4).unbind()
    dropout = attention.dropout if attention.training else 0.0
    if there is None or not attention.batch_first:
        out = attend(q, k, v, dropout)
    else:
        out = scaled_dot_product_attention(q, k, v, attn_mask=there[:, None, None], dropout_p=dropout)
    out = attention.out_proj(out.transpose(1, 2).reshape(N, L, C))
    x = layer.norm1(first + layer.dropout1(out))
    x = layer.norm2(x + layer.dropout2(layer.linear2(layer.dropout(gelu(layer.linear1(x))))))
    return x if attention.batch_first else x.transpose(0, 1)
