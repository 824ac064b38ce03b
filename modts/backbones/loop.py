"""The time loop that the recurrent three share: one step of a cell with decay and estimates, forward and backward, written out.

What does not depend on the hidden state (decays, combining weights) is computed before, for all steps at once; both directions share a batch;
a cell's gates are one product a step; the backward pass works in place, with the weights' gradients summed as it goes.
Shapes: D directions, T steps, B windows, F features, H hidden units. Steps come before windows here, so that a step is one block of memory.
"""

from __future__ import annotations

import torch
from torch.autograd.function import once_differentiable

from modts.errors import ModtsError

_sigmoid_back, _tanh_back = torch.ops.aten.sigmoid_backward, torch.ops.aten.tanh_backward

#
# One step, for each direction; u is a row of what the cell reads, [h, values, mask, 1], with mask and 1 filled in before:
#   h   = decay * h                                   the decayed state, into u
#   x_h = h Wx + bx                                   history's estimate     } where the model estimates inside its loop
#   z   = (seen + gap * x_h) Wf + bf                  the features' estimate } (BRITS, CSAI); GRU-D has its values before
#   c   = x_h + alpha (z - x_h)                       both, combined         }
#   values = seen + gap * c                           into u                 }
#   g   = u W                                         then the cell
# seen = mask * X, gap = 1 - mask.
#
# A step's arrays are views made once, before the loop: at batch 1 making them takes longer than the arithmetic.


def _steps(*parts, T):
    """Step by step, the views of each part (D, T, B, ...); a part with one step (D, 1, B, ...) is the same place at all of them."""
    return list(zip(*(part.unbind(1) * (T // part.shape[1]) for part in parts), strict=True))


def _gates(cell, G, H, T):
    """The parts of the gates G that a cell works on, step by step."""
    if cell == "lstm":  # columns: input, forget, output gate, candidate
        parts = (G[..., : 3 * H], *G.split(H, -1))
    else:  # columns: the state's share of the candidate, reset gate, update gate, the input's share of the candidate
        parts = (G[..., H : 3 * H], *G.split(H, -1))
    return _steps(*parts, T=T)


def _lstm(gates, h, before, state, out):
    """The new state (the cell's, into `state`) and the new hidden state, into `out`."""
    sigmoids, i, f, o, n = gates
    sigmoids.sigmoid_()
    n.tanh_()
    torch.mul(f, before, out=state).addcmul_(i, n)
    return torch.mul(o, state.tanh(), out=out)


def _lstm_back(gates, h, before, state, dh, dstate):
    sigmoids, i, f, o, n = gates
    tanh = state.tanh()
    dstate = dstate + _tanh_back(dh * o, tanh)
    dgates = torch.cat([dstate * n, dstate * before, dh * tanh], -1)
    return torch.cat([_sigmoid_back(dgates, sigmoids), _tanh_back(dstate * i, n)], -1), None, dstate * f


def _gru(gates, h, before, state, out):
    sigmoids, share, r, z, n = gates
    sigmoids.sigmoid_()
    n.addcmul_(r, share).tanh_()
    return torch.lerp(n, h, z, out=out)


def _gru_back(gates, h, before, state, dh, dstate):
    sigmoids, share, r, z, n = gates
    direct = dh * z
    dn = _tanh_back(dh - direct, n)
    dgates = _sigmoid_back(torch.cat([dn * share, dh * (h - n)], -1), sigmoids)
    return torch.cat([dn * r, dgates, dn], -1), direct, dstate


_CELLS = {"lstm": (_lstm, _lstm_back), "gru": (_gru, _gru_back)}


def _forward(cell, decay, mask, values, W, h, estimating, keep):
    """All steps: the states (D, T, B, H), the estimates x_h, z, c (D, T, B, F) or none, and what the backward pass needs."""
    step, (D, T, B, H), F = _CELLS[cell][0], decay.shape, mask.shape[-1]

    def kept(columns):  # of every step, or one place that all steps write to
        return u.new_empty(D, T if keep else 1, B, columns)

    u = mask.new_empty(D, T, B, H + 2 * F + 1)
    u[..., H + F : -1], u[..., -1] = mask, 1
    states, G = torch.empty_like(decay), kept(W.shape[-1])
    cells = kept(H if cell == "lstm" else 0)  # a GRU has no state but the hidden one
    before = torch.zeros_like(h)
    estimates, estimator = [], [None] * T
    if estimating:
        seen, gap, alpha, Wx, bx, Wf, bf = estimating
        estimates = [seen.new_empty(T, D, B, F).transpose(0, 1) for _ in range(3)]  # where products write, at once
        estimator = _steps(seen, gap, alpha, *estimates, u[..., H : H + F], T=T)
    else:
        u[..., H : H + F] = values
    steps = _steps(decay, u, u[..., :H], G, cells, states, T=T)
    for (decay_t, u_t, h_t, g, state, out), gates, estimate in zip(
        steps, _gates(cell, G, H, T), estimator, strict=True
    ):
        h = torch.mul(h, decay_t, out=h_t)
        if estimate:
            seen_t, gap_t, alpha_t, x_h, z, c, value = estimate
            torch.baddbmm(bx, h, Wx, out=x_h)
            torch.baddbmm(bf, torch.addcmul(seen_t, gap_t, x_h), Wf, out=z)
            torch.lerp(x_h, z, alpha_t, out=c)
            torch.addcmul(seen_t, gap_t, c, out=value)
        torch.bmm(u_t, W, out=g)
        h, before = step(gates, h, before, state, out), state
    return states, estimates or [u[..., :H]], u, (G, cells)


class _Loop(torch.autograd.Function):
    """Returns the states, then the estimates; without estimates, the decayed states."""

    @staticmethod
    def forward(ctx, cell, decay, mask, values, W, start, *estimating):
        states, others, u, ctx.kept = _forward(cell, decay, mask, values, W, start, estimating, keep=True)
        ctx.cell = cell
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(decay, u, W, start, states, *(estimating and (*estimating, *others)))
        return states, *others

    @staticmethod
    @once_differentiable
    def backward(ctx, dstates, *dothers):
        decay, u, W, start, states, *rest = ctx.saved_tensors
        (G, cells), ctx.kept = ctx.kept, None
        back, H = _CELLS[ctx.cell][1], start.shape[-1]
        F, T = (u.shape[-1] - H - 1) // 2, u.shape[1]
        nothing = torch.zeros_like(start)
        nought = torch.zeros_like(decay[:, :1, :, :1])
        dstates, *dothers = (nought if d is None else d for d in (dstates, *dothers))
        dh, dstate, dW, ddecay = nothing, nothing, torch.zeros_like(W), torch.empty_like(decay)
        back_to_u = W[:, : H + F].mT.contiguous()
        if rest:
            seen, gap, alpha, Wx, bx, Wf, bf, x_h, z, c = rest
            dx_hs, dzs, dcs = (torch.empty_like(seen) for _ in range(3))
            others = _steps(gap, alpha, *dothers, dx_hs, dzs, dcs, T=T)
        else:
            dvalues = torch.empty_like(u[..., H : H + F])
            others = _steps(*dothers, dvalues, T=T)
        steps = _steps(decay, u, u[..., :H], dstates, cells, ddecay, T=T)
        before = zip([start, *states.unbind(1)], [nothing, *cells.unbind(1)], strict=True)
        steps = list(zip(steps, before, _gates(ctx.cell, G, H, T), others, strict=False))
        for (decay_t, u_t, h_t, dstate_t, state, ddecay_t), (last, was), gates, more in reversed(steps):
            dg, direct, dstate = back(gates, h_t, was, state, dh + dstate_t, dstate)
            dW.baddbmm_(u_t.mT, dg)
            dh, dvalue = torch.bmm(dg, back_to_u).split((H, F), -1)
            if direct is not None:
                dh = dh + direct
            if rest:
                gap_t, alpha_t, dx_h, dz, dc, dx_h_t, dz_t, dc_t = more
                dc = torch.addcmul(dc, gap_t, dvalue, out=dc_t)
                share = alpha_t * dc
                dz = torch.add(dz, share, out=dz_t)
                dx_h = torch.addcmul(dx_h + dc - share, gap_t, torch.bmm(dz, Wf.mT), out=dx_h_t)
                dh = torch.baddbmm(dh, dx_h, Wx.mT)
            else:
                decayed, dvalue_t = more
                dvalue_t.copy_(dvalue)
                dh = dh + decayed
            torch.mul(dh, last, out=ddecay_t)
            dh = dh * decay_t
        if not rest:
            return None, ddecay, None, dvalues, dW, dh
        dWx = _product(u[..., :H], dx_hs)
        dWf = _product(torch.addcmul(seen, gap, x_h), dzs)
        dbx, dbf = dx_hs.sum((1, 2))[:, None], dzs.sum((1, 2))[:, None]
        return None, ddecay, None, None, dW, dh, None, None, dcs.mul_(z - x_h), dWx, dbx, dWf, dbf


def _product(inputs, gradients):
    """A weight's gradient over all steps: (D, T, B, M), (D, T, B, N) -> (D, M, N)."""
    return torch.bmm(inputs.flatten(1, 2).mT, gradients.flatten(1, 2))


def loop(cell, decay, mask, values, W, start, *estimating):
    """See _Loop and _forward; without gradients nothing is kept for them."""
    if mask.requires_grad or any(given.requires_grad for given in estimating[:2]):
        raise ModtsError("The recurrent backbones have gradients for their parameters, not for their input.")
    if torch.is_grad_enabled():
        return _Loop.apply(cell, decay, mask, values, W, start, *estimating)
    states, others, *_ = _forward(cell, decay, mask, values, W, start, estimating, keep=False)
    return states, *others
