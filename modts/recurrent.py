"""The recurrent three (BRITS, GRU-D, CSAI) with little in their time loop: the same parameters and results as PyPOTS's modules, sooner.

What does not depend on the hidden state (decays, combining weights) is computed for all steps at once; both directions share a batch; a
cell's gates are one product a step; the backward pass is written out, in place, with the weights' gradients summed as it goes.
Shapes: D directions, T steps, B windows, F features, H hidden units, G columns of gates.
"""

from __future__ import annotations

import torch
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

from .attention import encode
from .errors import ModtsError

_sigmoid_back, _tanh_back = torch.ops.aten.sigmoid_backward, torch.ops.aten.tanh_backward

# --- the loop -------------------------------------------------------------------------------------------------------------------
#
# One step, for each direction; u is a row of what the cell reads, [h, values, mask, 1], with mask and 1 filled in before:
#   h   = decay * h                                   the decayed state, into u
#   x_h = h Wx + bx                                   history's estimate     } where the model estimates inside its loop
#   z   = (seen + gap * x_h) Wf + bf                  the features' estimate } (BRITS, CSAI); GRU-D has its values before
#   c   = x_h + alpha (z - x_h)                       both, combined         }
#   values = seen + gap * c                           into u                 }
#   g   = u W                                         then the cell
# seen = mask * X, gap = 1 - mask.


def _lstm(g, h, state, out):
    """Columns of g: input, forget, output gate, candidate."""
    H = h.shape[-1]
    g[..., : 3 * H].sigmoid_()
    g[..., 3 * H :].tanh_()
    i, f, o, n = g.split(H, -1)
    state = torch.addcmul(f * state, i, n)
    return torch.mul(o, state.tanh(), out=out), state


def _lstm_back(g, h, before, state, dh, dstate):
    H = h.shape[-1]
    i, f, o, n = g.split(H, -1)
    tanh = state.tanh()
    dstate = dstate + _tanh_back(dh * o, tanh)
    gates = torch.cat([dstate * n, dstate * before, dh * tanh], -1)
    return torch.cat([_sigmoid_back(gates, g[..., : 3 * H]), _tanh_back(dstate * i, n)], -1), None, dstate * f


def _gru(g, h, state, out):
    """Columns of g: the state's share of the candidate, reset gate, update gate, the input's share of the candidate."""
    H = h.shape[-1]
    g[..., H : 3 * H].sigmoid_()
    share, r, z, n = g.split(H, -1)
    n.addcmul_(r, share).tanh_()
    return torch.lerp(n, h, z, out=out), state


def _gru_back(g, h, before, state, dh, dstate):
    H = h.shape[-1]
    share, r, z, n = g.split(H, -1)
    direct = dh * z
    dn = _tanh_back(dh - direct, n)
    gates = _sigmoid_back(torch.cat([dn * share, dh * (h - n)], -1), g[..., H : 3 * H])
    return torch.cat([dn * r, gates, dn], -1), direct, dstate


_CELLS = {"lstm": (_lstm, _lstm_back), "gru": (_gru, _gru_back)}


def _forward(cell, decay, mask, values, W, h, estimating, keep):
    """All steps: the states (D, B, T, H), the estimates x_h, z, c (D, B, T, F) or none, and what the backward pass needs."""
    step, state, H, F = _CELLS[cell][0], torch.zeros_like(h), h.shape[-1], mask.shape[-1]
    u = mask.new_empty(*mask.shape[:3], H + 2 * F + 1)
    u[..., H + F : -1], u[..., -1] = mask, 1
    if estimating:
        seen, gap, alpha, Wx, bx, Wf, bf = estimating
        estimates = [torch.empty_like(seen) for _ in range(3)]
    else:
        u[..., H : H + F] = values
    states, kept = torch.empty_like(decay), []
    for t in range(decay.shape[2]):
        h = torch.mul(h, decay[:, :, t], out=u[:, :, t, :H])
        if estimating:
            x_h = torch.baddbmm(bx, h, Wx)
            z = torch.baddbmm(bf, torch.addcmul(seen[:, :, t], gap[:, :, t], x_h), Wf)
            c = torch.lerp(x_h, z, alpha[:, :, t])
            torch.addcmul(seen[:, :, t], gap[:, :, t], c, out=u[:, :, t, H : H + F])
            for estimate, value in zip(estimates, (x_h, z, c), strict=True):
                estimate[:, :, t] = value
        g = torch.bmm(u[:, :, t], W)
        h, state = step(g, h, state, states[:, :, t])
        if keep:
            kept.append((g, state))
    return states, estimates if estimating else [u[..., :H]], (u, kept)


class _Loop(torch.autograd.Function):
    """Returns the states, then the estimates; without estimates, the decayed states."""

    @staticmethod
    def forward(ctx, cell, decay, mask, values, W, start, *estimating):
        states, others, (u, ctx.kept) = _forward(cell, decay, mask, values, W, start, estimating, keep=True)
        ctx.cell = cell
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(decay, u, W, start, states, *(estimating and (*estimating, *others)))
        return states, *others

    @staticmethod
    @once_differentiable
    def backward(ctx, dstates, *dothers):
        decay, u, W, start, states, *rest = ctx.saved_tensors
        back, H = _CELLS[ctx.cell][1], start.shape[-1]
        F = (u.shape[-1] - H - 1) // 2
        dothers = [torch.zeros_like(decay[..., :1]) if d is None else d for d in dothers]
        if rest:
            seen, gap, alpha, Wx, bx, Wf, bf, x_h, z, c = rest
            dx_hs, dzs, dcs = (torch.empty_like(seen) for _ in range(3))
        else:
            dvalues = torch.empty_like(u[..., H : H + F])
        nothing = torch.zeros_like(start)
        dh, dstate, dW, ddecay = nothing, nothing, torch.zeros_like(W), torch.empty_like(decay)
        back_to_u = W[:, : H + F].mT.contiguous()
        for t in reversed(range(decay.shape[2])):
            g, state = ctx.kept[t]
            before = ctx.kept[t - 1][1] if t else nothing
            if dstates is not None:
                dh = dh + dstates[:, :, t]
            dg, direct, dstate = back(g, u[:, :, t, :H], before, state, dh, dstate)
            dW.baddbmm_(u[:, :, t].mT, dg)
            dh, dvalue = torch.bmm(dg, back_to_u).split((H, F), -1)
            if direct is not None:
                dh = dh + direct
            if rest:
                dx_h, dz, dc = (d[:, :, t] for d in dothers)
                dcs[:, :, t] = dc = torch.addcmul(dc, gap[:, :, t], dvalue)
                share = alpha[:, :, t] * dc
                dzs[:, :, t] = dz = dz + share
                dx_hs[:, :, t] = dx_h = torch.addcmul(dx_h + dc - share, gap[:, :, t], torch.bmm(dz, Wf.mT))
                dh = torch.baddbmm(dh, dx_h, Wx.mT)
            else:
                dvalues[:, :, t] = dvalue
                dh = dh + dothers[0][:, :, t]
            torch.mul(dh, states[:, :, t - 1] if t else start, out=ddecay[:, :, t])
            dh = dh * decay[:, :, t]
        ctx.kept = None
        if not rest:
            return None, ddecay, None, dvalues, dW, dh
        dWx = _product(u[..., :H], dx_hs)
        dWf = _product(torch.addcmul(seen, gap, x_h), dzs)
        dbx, dbf = dx_hs.sum((1, 2))[:, None], dzs.sum((1, 2))[:, None]
        return None, ddecay, None, None, dW, dh, None, None, dcs.mul_(z - x_h), dWx, dbx, dWf, dbf


def _product(inputs, gradients):
    """A weight's gradient over all steps: (D, B, T, M), (D, B, T, N) -> (D, M, N)."""
    return torch.bmm(inputs.flatten(1, 2).mT, gradients.flatten(1, 2))


def _loop(cell, decay, mask, values, W, start, *estimating):
    if mask.requires_grad or any(given.requires_grad for given in estimating[:2]):
        raise ModtsError("The recurrent backbones have gradients for their parameters, not for their input.")
    if torch.is_grad_enabled():
        return _Loop.apply(cell, decay, mask, values, W, start, *estimating)
    states, others, _ = _forward(cell, decay, mask, values, W, start, estimating, keep=False)
    return states, *others


# --- the three models -----------------------------------------------------------------------------------------------------------


def _pair(sides, path):
    """A parameter of each direction, stacked: (D, ...)."""
    return torch.stack([side.get_parameter(path) for side in sides])


def _linear(sides, path, values):
    """The linear layer of each direction, on (D, B, T, in) -> (D, B, T, out)."""
    weight, bias = _pair(sides, f"{path}.weight"), _pair(sides, f"{path}.bias")
    return torch.baddbmm(bias[:, None], values.flatten(1, 2), weight.mT).unflatten(1, values.shape[1:3])


def _decays(sides, deltas):
    """Decay of the hidden state (D, B, T, H) and of the values (D, B, T, F); the latter's weight is a diagonal."""
    weight, bias = (_pair(sides, f"temp_decay_h.{name}") for name in "Wb")
    of_state = torch.baddbmm(bias[:, None], deltas.flatten(1, 2), weight.mT).unflatten(1, deltas.shape[1:3])
    diagonal = _pair(sides, "temp_decay_x.W").diagonal(dim1=1, dim2=2)[:, None, None]
    of_values = torch.addcmul(_pair(sides, "temp_decay_x.b")[:, None, None], deltas, diagonal)
    return torch.exp(-torch.relu(of_state)), torch.exp(-torch.relu(of_values))


def _both(inputs, *names):
    """(B, T, F) of both directions -> (D, B, T, F)."""
    return [torch.stack([inputs[way][name] for way in ("forward", "backward")]) for name in names]


def _errors(criterion, estimates, X, mask):
    """PyPOTS's MAE or MSE of each step, summed over the estimates: (D, T)."""
    power = {"MAE": torch.abs, "MSE": torch.square}[type(criterion).__name__]
    summed = sum((power(estimate - X) * mask).sum((1, 3)) for estimate in estimates)
    return summed / (mask.sum((1, 3)) + 1e-12)


def _blocks(weight, H, order):
    """Rows of a cell's stacked weights (D, k H, ...), block by block in another order; None is a block of zeros."""
    parts = weight.split(H, 1)
    return torch.cat([torch.zeros_like(parts[0]) if block is None else parts[block] for block in order], 1)


def _lstm_weights(sides, cell, H):
    """What a row [h, values, mask, 1] is multiplied with, (D, H + 2 F + 1, G), for the columns of _lstm."""
    Wi, Wh, bi, bh = (_pair(sides, f"{cell}.{name}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    return _blocks(torch.cat([Wh, Wi, (bi + bh)[..., None]], 2), H, (0, 1, 3, 2)).mT.contiguous()


def _gru_weights(sides, cell, H, of_state=None):
    """The same for the columns of _gru; of_state: columns of the input's weights that read the state too (GRU-D)."""
    Wi, Wh, bi, bh = (_pair(sides, f"{cell}.{name}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    state, inputs = (2, 0, 1, None), (None, 0, 1, 2)
    Wh, b = _blocks(Wh, H, state), _blocks(bh, H, state) + _blocks(bi, H, inputs)
    Wi = _blocks(Wi, H, inputs)
    if of_state:
        before, also, after = Wi.split((of_state.start, H, Wi.shape[2] - of_state.stop), 2)
        Wh, Wi = Wh + also, torch.cat([before, after], 2)
    return torch.cat([Wh, Wi, b[..., None]], 2).mT.contiguous()


def _estimating(sides, seen, gap, alpha, history, features):
    """What the loop needs to estimate: see there."""
    zero_diagonal = sides[0].get_submodule(features).m
    Wf, bf = _pair(sides, f"{features}.W") * zero_diagonal, _pair(sides, f"{features}.b")
    Wx, bx = _pair(sides, f"{history}.weight"), _pair(sides, f"{history}.bias")
    return seen, gap, alpha, Wx.mT, bx[:, None], Wf.mT, bf[:, None]


def brits(model, inputs):
    """BackboneBRITS.forward, and the states of each direction [(B, T, H)]."""
    sides = (model.rits_f, model.rits_b)
    X, mask, deltas = _both(inputs, "X", "missing_mask", "deltas")
    H, seen, gap = model.rnn_hidden_size, mask * X, 1 - mask
    decay, decay_x = _decays(sides, deltas)
    alpha = torch.sigmoid(_linear(sides, "combining_weight", torch.cat([decay_x, mask], -1)))
    start, W = X.new_zeros(2, X.shape[1], H), _lstm_weights(sides, "rnn_cell", H)
    rest = _estimating(sides, seen, gap, alpha, "hist_reg", "feat_reg")
    states, *estimates = _loop("lstm", decay, mask, None, W, start, *rest)
    loss = _errors(model.rits_f.training_loss, estimates, X, mask).sum() / (model.n_steps * 3)
    made_f, made_b = estimates[2].unbind()  # (B, T, F)
    imputed_f, imputed_b = torch.addcmul(seen, gap, estimates[2]).unbind()
    imputed_b, made_b = imputed_b.flip(1), made_b.flip(1)
    consistency = torch.abs(imputed_f - imputed_b).mean() * 1e-1
    # PyPOTS turns round whatever has a second axis, the last state of the backward pass included
    last = states[0, :, -1], states[1, :, -1].flip(1)
    result = ((imputed_f + imputed_b) / 2, made_f, made_b, *last, consistency, loss)
    return result, list(states.unbind())


def grud(model, X, missing_mask, deltas, empirical_mean, X_filledLOCF):
    """BackboneGRUD.forward, and the states [(B, T, H)]."""
    sides, F, H = (model,), X.shape[-1], model.rnn_hidden_size
    X, mask, carried, deltas = (given[None] for given in (X, missing_mask, X_filledLOCF, deltas))
    decay, decay_x = _decays(sides, deltas)
    values = mask * X + (1 - mask) * (decay_x * carried + (1 - decay_x) * empirical_mean)
    W = _gru_weights(sides, "rnn_cell", H, of_state=slice(F, F + H))
    states, decayed = _loop("gru", decay, mask, values, W, X.new_zeros(1, X.shape[1], H))
    return (decayed[0], states[0, :, -1]), [states[0]]


def _csai_start(side, last_obs, deltas, medians):
    """CSAI's first state (B, H): its transformer over last observations and decay factors."""
    decay = side.weighted_obs(deltas - medians)
    weight, bias = side.input_projection.conv.weight[..., 0], side.input_projection.conv.bias
    read = [side.pos_encoder(linear(values.transpose(0, 1), weight, bias)) for values in (last_obs, decay)]
    (layer,) = side.time_layer.transformer_encoder.layers
    data = encode(layer, torch.cat(read, 0).transpose(0, 1))  # (B, 2 T, C)
    # both projections are linear: the sum over steps first leaves one step to project
    over_steps = side.output_projection2.conv
    summed = torch.einsum("s,bsc->bc", over_steps.weight[0, :, 0], data)
    weight, bias = side.output_projection1.conv.weight[..., 0], side.output_projection1.conv.bias
    return linear(summed, weight) + bias * over_steps.weight.sum() + over_steps.bias


def csai(model, inputs):
    """BackboneBCSAI.forward, and the states of each direction [(B, T, H)]."""
    sides = (model.model_f, model.model_b)
    X, mask, deltas = _both(inputs, "X", "missing_mask", "deltas")
    H, seen, gap = model.model_f.hidden_size, mask * X, 1 - mask
    medians = inputs["intervals"]  # a dictionary of PyPOTS's, none, or a tensor (F,)
    if not torch.is_tensor(medians):
        medians = X.new_tensor(list(medians.values())) if medians else X.new_zeros(X.shape[-1])
    start = torch.stack([
        _csai_start(side, inputs[way]["last_obs"], inputs[way]["deltas"], medians)
        for side, way in zip(sides, ("forward", "backward"), strict=True)
    ])  # fmt: skip
    decay, decay_x = _decays(sides, deltas)
    beta = _linear(sides, "weight_combine", torch.cat([decay_x, mask], -1))
    rest = _estimating(sides, seen, gap, beta, "hist", "feat_reg_v")
    states, *estimates = _loop("gru", decay, mask, None, _gru_weights(sides, "gru", H), start, *rest)
    loss = _errors(model.model_f.training_loss, estimates[2:], X, mask).sum()
    made_f, made_b = estimates[2].unbind()  # (B, T, F); PyPOTS does not turn the backward one round
    imputed_f, imputed_b = torch.addcmul(seen, gap, estimates[2]).unbind()
    imputed_b = imputed_b.flip(1)
    forward = inputs["forward"]
    imputed = forward["X"] * forward["missing_mask"] + (1 - forward["missing_mask"]) * (imputed_f + imputed_b) / 2
    consistency = torch.abs(imputed_f - imputed_b).mean() * 1e-1
    result = (imputed, made_f, made_b, states[0, :, -1], states[1, :, -1], consistency, loss)
    return result, list(states.unbind())


class Fast:
    """Takes the place of the forward method inside a PyPOTS model, and keeps the states of its last call until they are taken."""

    def __init__(self, function, model):
        self.function, self.model, self.states = function, model, []

    def __call__(self, *args):
        result, self.states = self.function(self.model, *args)
        return result

    def take(self) -> list[torch.Tensor]:
        """The states of each direction, [(B, T, H)], in its own order of time."""
        states, self.states = self.states, []
        return states


FAST = {"BackboneBRITS": brits, "BackboneGRUD": grud, "BackboneBCSAI": csai}


def accelerate(module) -> Fast:
    """Make PyPOTS's imputation or classification module of a recurrent model fast: its parameters and results stay as they are."""
    (model,) = (part for part in module.children() if type(part).__name__ in FAST)
    fast = model.forward = Fast(FAST[type(model).__name__], model)
    return fast
