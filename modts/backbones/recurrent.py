"""The recurrent three (BRITS, GRU-D, CSAI) on one fast time loop: the same parameters and results as PyPOTS's modules, sooner.

Shapes: D directions, T steps, B windows, F features, H hidden units; steps come before windows (see `loop`).
"""

from __future__ import annotations

from operator import attrgetter

import torch
from torch.nn.functional import linear

from .attention import encode
from .ends import before, turn
from .loop import loop


def _pair(sides, path):
    """A parameter of each direction, stacked: (D, ...)."""
    return torch.stack([attrgetter(path)(side) for side in sides])  # a parameter, or what a parametrisation makes of it


def _ways(states):
    """The states of each direction: [(B, T, H)]."""
    return [way.transpose(0, 1) for way in states]


def _linear(sides, path, values):
    """The linear layer of each direction, on (D, T, B, in) -> (D, T, B, out)."""
    weight, bias = _pair(sides, f"{path}.weight"), _pair(sides, f"{path}.bias")
    return torch.baddbmm(bias[:, None], values.flatten(1, 2), weight.mT).unflatten(1, values.shape[1:3])


def _decays(sides, deltas):
    """Decay exp(-relu(W delta + b)) of the state (D, T, B, H) and of the values (D, T, B, F); the latter's W is a diagonal."""
    weight, bias = (-_pair(sides, f"temp_decay_h.{name}") for name in "Wb")
    of_state = torch.baddbmm(bias[:, None], deltas.flatten(1, 2), weight.mT).unflatten(1, deltas.shape[1:3])
    diagonal = -_pair(sides, "temp_decay_x.W").diagonal(dim1=1, dim2=2)[:, None, None]
    of_values = torch.addcmul(-_pair(sides, "temp_decay_x.b")[:, None, None], deltas, diagonal)
    return of_state.clamp(max=0).exp(), of_values.clamp(max=0).exp()


def _both(inputs, *names):
    """(B, T, F) of both directions -> (D, T, B, F)."""
    return [torch.stack([inputs[way][name].transpose(0, 1) for way in ("forward", "backward")]) for name in names]


def _errors(criterion, estimates, X, mask):
    """PyPOTS's MAE or MSE of each step, summed over the estimates: (D, T)."""
    power = {"MAE": torch.abs, "MSE": torch.square}[type(criterion).__name__]
    summed = sum((power(estimate - X) * mask).sum((2, 3)) for estimate in estimates)
    return summed / (mask.sum((2, 3)) + 1e-12)


def _apart(one, other, lengths):
    """The mean absolute difference of (B, T, F), of the steps before each series' end."""
    apart = torch.abs(one - other)
    if lengths is None:
        return apart.mean()
    return apart[before(lengths, one.shape[1])].mean()


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


def brits(model, inputs, reading=False):
    """BackboneBRITS.forward, and the states of each direction [(B, T, H)]; reading: the states alone."""
    sides = (model.rits_f, model.rits_b)
    X, mask, deltas = _both(inputs, "X", "missing_mask", "deltas")
    H, seen, gap = model.rnn_hidden_size, mask * X, 1 - mask
    decay, decay_x = _decays(sides, deltas)
    alpha = torch.sigmoid(_linear(sides, "combining_weight", torch.cat([decay_x, mask], -1)))
    start, W = X.new_zeros(2, X.shape[2], H), _lstm_weights(sides, "rnn_cell", H)
    rest = _estimating(sides, seen, gap, alpha, "hist_reg", "feat_reg")
    states, *estimates = loop("lstm", decay, mask, None, W, start, *rest)
    if reading:
        return _ways(states)
    loss = _errors(model.rits_f.training_loss, estimates, X, mask).sum() / (model.n_steps * 3)
    made_f, made_b = estimates[2].transpose(1, 2).unbind()  # (B, T, F)
    imputed_f, imputed_b = torch.addcmul(seen, gap, estimates[2]).transpose(1, 2).unbind()
    lengths = inputs.get("lengths")
    imputed_b, made_b = turn(imputed_b, lengths), turn(made_b, lengths)
    consistency = _apart(imputed_f, imputed_b, lengths) * 1e-1
    # PyPOTS turns round whatever has a second axis, the last state of the backward pass included
    last = states[0, -1], states[1, -1].flip(1)
    result = ((imputed_f + imputed_b) / 2, made_f, made_b, *last, consistency, loss)
    return result, _ways(states)


def grud(model, X, missing_mask, deltas, empirical_mean, X_filledLOCF, reading=False):
    """BackboneGRUD.forward, and the states [(B, T, H)]."""
    sides, F, H = (model,), X.shape[-1], model.rnn_hidden_size
    X, mask, carried, deltas = (part.transpose(0, 1)[None] for part in (X, missing_mask, X_filledLOCF, deltas))
    decay, decay_x = _decays(sides, deltas.contiguous())
    values = torch.lerp(torch.lerp(empirical_mean, carried, decay_x), X, mask)  # the mask is 0 or 1
    W = _gru_weights(sides, "rnn_cell", H, of_state=slice(F, F + H))
    states, decayed = loop("gru", decay, mask, values, W, X.new_zeros(1, X.shape[2], H))
    if reading:
        return _ways(states)
    return (decayed[0].transpose(0, 1), states[0, -1]), _ways(states)


def _csai_start(side, last_obs, deltas, medians, lengths=None):
    """CSAI's first state (B, H): its transformer over last observations and decay factors, of the steps before each series' end."""
    decay = side.weighted_obs(deltas - medians)
    weight, bias = side.input_projection.conv.weight[..., 0], side.input_projection.conv.bias
    read = [side.pos_encoder(linear(values.transpose(0, 1), weight, bias)) for values in (last_obs, decay)]
    (layer,) = side.time_layer.transformer_encoder.layers
    there = None if lengths is None else before(lengths, last_obs.shape[1]).repeat(1, 2)
    data = encode(layer, torch.cat(read, 0).transpose(0, 1), there)  # (B, 2 T, C)
    # both projections are linear: the sum over steps first leaves one step to project
    over_steps = side.output_projection2.conv
    total = over_steps.weight.sum()
    if there is not None:
        data = data.masked_fill(~there[..., None], 0.0)
        total = there.to(data.dtype) @ over_steps.weight[0]  # (B, 1)
    summed = torch.einsum("s,bsc->bc", over_steps.weight[0, :, 0], data)
    weight, bias = side.output_projection1.conv.weight[..., 0], side.output_projection1.conv.bias
    return linear(summed, weight) + bias * total + over_steps.bias


def csai(model, inputs, reading=False):
    """BackboneBCSAI.forward, and the states of each direction [(B, T, H)]."""
    sides = (model.model_f, model.model_b)
    X, mask, deltas = _both(inputs, "X", "missing_mask", "deltas")
    H, seen, gap = model.model_f.hidden_size, mask * X, 1 - mask
    medians = inputs["intervals"]  # a dictionary of PyPOTS's, none, or a tensor (F,)
    if not torch.is_tensor(medians):
        medians = X.new_tensor(list(medians.values())) if medians else X.new_zeros(X.shape[-1])
    start = torch.stack(
        [
            _csai_start(side, inputs[way]["last_obs"], inputs[way]["deltas"], medians, inputs.get("lengths"))
            for side, way in zip(sides, ("forward", "backward"), strict=True)
        ]
    )
    decay, decay_x = _decays(sides, deltas)
    beta = _linear(sides, "weight_combine", torch.cat([decay_x, mask], -1))
    rest = _estimating(sides, seen, gap, beta, "hist", "feat_reg_v")
    states, *estimates = loop("gru", decay, mask, None, _gru_weights(sides, "gru", H), start, *rest)
    if reading:
        return _ways(states)
    loss = _errors(model.model_f.training_loss, estimates[2:], X, mask).sum()
    made_f, made_b = estimates[2].transpose(1, 2).unbind()  # (B, T, F); PyPOTS does not turn the backward one round
    imputed_f, imputed_b = torch.addcmul(seen, gap, estimates[2]).transpose(1, 2).unbind()
    imputed_b = turn(imputed_b, inputs.get("lengths"))
    forward = inputs["forward"]
    imputed = forward["X"] * forward["missing_mask"] + (1 - forward["missing_mask"]) * (imputed_f + imputed_b) / 2
    consistency = _apart(imputed_f, imputed_b, inputs.get("lengths")) * 1e-1
    result = (imputed, made_f, made_b, states[0, -1], states[1, -1], consistency, loss)
    return result, _ways(states)


class Enough(Exception):
    """The states are there, and nobody reads more: what ends a forward pass."""


class Fast:
    """Takes the place of the forward method inside a PyPOTS model, and keeps the states of its last call until they are taken.

    reading : the states are all that the next call is for; Enough is raised as soon as they are there.
    """

    def __init__(self, function, model):
        self.function, self.model, self.states, self.reading = function, model, [], False

    def __call__(self, *args):
        reading, self.reading = self.reading, False
        if reading:
            self.states = self.function(self.model, *args, reading=True)
            raise Enough
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
