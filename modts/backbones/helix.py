"""HELIX from fewer operations: the same parameters and results as PyPOTS's, sooner.

Its embedding is a sum of four products instead of one with a vector of 2 + d_pe + d_feature_embed numbers for every cell; no attention map is
kept; a rectified value that is 0 says by itself that no gradient passes, dropped or not; without gradients a few windows at a time stay in
the cache.

Shapes: B windows, T steps, F features, C channels (d_model).
"""

from __future__ import annotations

import torch
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

from modts.errors import ModtsError

from .attention import attend, kept

_CELLS = 8_000  # steps times features at once, where no gradient is needed


class _Rectified(torch.autograd.Function):
    """ReLU and then dropout, without its scale, in place."""

    @staticmethod
    def forward(ctx, x, dropout):
        ctx.mark_dirty(x)
        x.clamp_min_(0).mul_(kept(x.shape, dropout, x.device))
        ctx.save_for_backward(x)
        return x

    @staticmethod
    @once_differentiable
    def backward(ctx, dout):
        (out,) = ctx.saved_tensors
        return torch.ops.aten.threshold_backward(dout, out, 0), None


def _projected(layer, x, dropout: float, scale: float = 1.0):
    """Dropout of a linear layer's output; its input comes without a factor `scale`."""
    factor = 1 / (1 - dropout)
    out = linear(x, layer.weight * (scale * factor), layer.bias * factor)
    return out.mul_(kept(out.shape, dropout, out.device)) if dropout else out


def encode(encoder, x: torch.Tensor, axis: int) -> torch.Tensor:
    """UnifiedAttentionEncoder.forward on (B, T, F, C), with attention over an axis: 1, time, or 2, features."""
    attention, other = encoder.attn, 3 - axis
    dropout = attention.dropout if encoder.training else 0.0
    qkv = linear(x, attention.in_proj_weight, attention.in_proj_bias).unflatten(-1, (3, attention.num_heads, -1))
    q, k, v = qkv.permute(3, 0, other, 4, axis, 5).flatten(1, 2).unbind()  # (B other, heads, axis, C / heads)
    out = attend(q, k, v, dropout).unflatten(0, (x.shape[0], x.shape[other]))
    out = (out.permute(0, 3, 1, 2, 4) if axis == 1 else out.transpose(2, 3)).flatten(3)
    x = encoder.norm1(x + _projected(attention.out_proj, out, dropout))
    wide, _, _, narrow = encoder.ffn
    inner = _Rectified.apply(wide(x), dropout) if dropout else wide(x).relu_()
    return encoder.norm2(x + _projected(narrow, inner, dropout, 1 / (1 - dropout)))


def _embedded(model, X, mask):
    """What the encoders read: (B, T, F, C)."""
    embedding, layer = model.embedding, model.projection.forward_proj
    value, place, name, seen = layer.weight.split((1, embedding.pe_dim, embedding.feature_embed_dim, 1), 1)
    time = linear(embedding.temporal_pe.pos_table[0, : X.shape[1]], place, layer.bias)  # (T, C)
    base = time[:, None] + linear(embedding.feature_id, name)  # (T, F, C)
    return torch.addcmul(base + X[..., None] * value[:, 0], mask[..., None], seen[:, 0])


def _fused(model, X, mask):
    x = _embedded(model, X, mask)
    total = x
    for layer in model.encoders:
        time, feature = layer["time"].encoder, layer["feature"].encoder
        in_time, across = encode(time, x, 1), encode(feature, x, 2)
        four = in_time + across + encode(feature, in_time, 2) + encode(time, across, 1)
        total, x = total + four, four / 4
    return total / (1 + 4 * len(model.encoders))


def forward(model, X: torch.Tensor, missing_mask: torch.Tensor) -> torch.Tensor:
    """BackboneHELIX.forward: (B, T, F) twice -> (B, T, F). No attention map is left behind.

    Raises
    ------
    ModtsError
        More steps than PyPOTS's HELIX has positions for.
    """
    positions = model.embedding.temporal_pe.pos_table.shape[1]
    if X.shape[1] > positions:
        raise ModtsError(
            f"HELIX has positions for {positions} steps, and these windows have {X.shape[1]}; cut them into shorter ones."
        )
    if torch.is_grad_enabled():
        fused = _fused(model, X, missing_mask)
    else:
        size = max(1, _CELLS // X[0].numel())
        parts = zip(X.split(size), missing_mask.split(size), strict=True)
        fused = torch.cat([_fused(model, *part) for part in parts])
    return model.output_proj(model.final_norm(fused)).squeeze(-1)
