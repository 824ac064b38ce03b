"""The object that carries a pretrained imputer: PyPOTS's module with its scaler, its feature list and its recipe."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np
import torch
from torch import nn

from modts import runs
from modts.cohorts import seeded, unmasked
from modts.errors import ModtsError, choose

from . import blocks, contrast, ends, recurrent
from .inputs import given_mean, intervals, level, model_inputs
from .plausible import Plausible
from .scaling import Scaler
from .shipped import CRITERIA, core, loss
from .table import options_of, row_of, sizes

LEVEL = "level of each window"  # beside what a module reads


def accelerate(module: nn.Module, kind: str, options: dict | None = None) -> recurrent.Fast | None:
    """Make a PyPOTS module fast, in place: its parameters and results stay as they are. A recurrent one's Fast keeps its states.

    options : how it reads, where not as PyPOTS has it: TimesNet's "periods" and TS2Vec's "gaps".
    """
    known = {name: value for name, value in (options or {}).items() if name in ("periods", "gaps")}
    return {"recurrent": recurrent, "contrastive": contrast}.get(kind, blocks).accelerate(module, **known)


def tensors_hash(tensors: dict[str, torch.Tensor]) -> str:
    """Twelve hex digits over named tensors."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


class Backbone(nn.Module):
    """An imputer whose latents can be read: PyPOTS's module with its scaler, its feature list and its recipe.

    Parameters
    ----------
    name : str
        A key of BACKBONES, or a class of one's own, "mine.py:MyImputer" (see modts.backbones.own).
    n_steps : int
        Length T of the windows it reads.
    features : sequence of str
        Names of the F variables, in order.
    scaler : Scaler
        Fitted on training values.
    config : dict, optional
        Constructor arguments (see `sizes`).
    criterion : {"mse", "mae"}
        Inside the model's own reconstruction loss: the paper's, or PyPOTS's default. A class of one's own decides by itself; TS2Vec has none.
    interval : (F,) array, optional
        CSAI's median gaps, from training data.
    options : dict, optional
        "last_observation" ("locf", or "zero" as PyPOTS) and "empirical_mean" ("training", or "given": of the batch that it reads, as PyPOTS
        takes it from the set that it is given) for GRU-D; "attention_over" ("time", or "batch" as PyPOTS) for CSAI; "periods" ("window", or
        "batch" as PyPOTS) for TimesNet; "gaps" ("cell", or "step" as PyPOTS: a step with any gap is blank) for TS2Vec. With PyPOTS's, a
        window's answer of the first three depends on those beside it.
    seed : int
        Initialises the weights.
    centre : bool
        Take each window's level, the mean of what is visible in it (see modts.backbones.latents.level), from its z-scores before the module
        reads them, add it to the imputation again, and append it to the latents. For series whose level drifts.

    Raises
    ------
    ModtsError
        Unknown name, criterion or option; a file or class that is not there or does not keep to the contract.
    """

    def __init__(
        self,
        name,
        n_steps,
        features,
        scaler,
        config=None,
        criterion="mse",
        interval=None,
        options=None,
        seed=0,
        centre=False,
    ):
        super().__init__()
        self.row = row_of(name)
        self.name, self.n_steps, self.features, self.scaler = name, int(n_steps), tuple(features), scaler
        if self.row.own:
            self.name = self.row.own.label
        self.config, self.options = dict(config or self.row.small), options_of(name, options)
        self.criterion = choose(criterion, CRITERIA, "criterion")
        if not isinstance(centre, bool):
            raise ModtsError(f"`centre` must be True or False, not {centre!r}.")
        self.centre, self.card = centre, {}
        self.plausible = Plausible(scaler, self.features)
        module, fixed = (self.row.own.module, {}) if self.row.own else self._shipped()
        with seeded(seed):
            self.module = module(
                n_steps=self.n_steps,
                n_features=len(self.features),
                **fixed | self.config,
            )
        if self.options.get("attention_over") == "time":  # PyPOTS's CSAI attends over the stays of a batch
            for side in (self.module.model.model_f, self.module.model.model_b):
                for layer in side.time_layer.transformer_encoder.layers:
                    layer.self_attn.batch_first = True
        self.fast = None if self.row.own else accelerate(self.module, self.row.kind, self.options)
        gap = (
            torch.zeros(len(self.features))
            if interval is None
            else torch.as_tensor(np.asarray(interval), dtype=torch.float32)
        )
        self.register_buffer("interval", gap)

    def _shipped(self):
        """PyPOTS's module class, and the arguments of its constructor that are not sizes."""
        if not self.row.imputes:
            return core(self.name, "representation"), self.row.fixed
        reconstruction = loss(self.criterion)
        fixed = {"training_loss": reconstruction, "validation_metric": reconstruction, **self.row.fixed}
        return core(self.name, "imputation"), fixed

    @property
    def device(self) -> torch.device:
        return self.interval.device

    def inputs(
        self,
        Z: torch.Tensor,
        Z_ori: torch.Tensor | None = None,
        shipped: bool = False,
        lengths: torch.Tensor | None = None,
    ) -> dict:
        """What the module reads; with `shipped`, exactly as PyPOTS feeds it.

        Z : (B, T, F) z-scores with NaN. lengths : (B,) int64, where series end before their window does.
        """
        if self.centre and not shipped:
            height = level(Z)
            Z, Z_ori = Z - height[:, None], None if Z_ori is None else Z_ori - height[:, None]
            return {**self._inputs(Z, Z_ori, False, lengths), LEVEL: height}
        return self._inputs(Z, Z_ori, shipped, lengths)

    def _inputs(self, Z, Z_ori, shipped, lengths):
        if self.row.own:
            return {"Z": Z, "Z_true": Z_ori, "lengths": lengths}
        last = "zero" if shipped else self.options.get("last_observation", "locf")
        mean = given_mean(Z) if self.options.get("empirical_mean") == "given" and not shipped else None
        return model_inputs(self.row.reads, Z, Z_ori, mean, self.interval, last, None if shipped else lengths)

    def run(self, inputs: dict) -> tuple[dict, list[torch.Tensor]]:
        """One forward pass: PyPOTS's results (with "loss" in training mode) and the states [(B, T, D)].

        A recurrent model has a state list per direction, each in its own order of time.
        """
        return self._run(inputs, reading=False)

    def states(self, inputs: dict) -> list[torch.Tensor]:
        """The states alone: the pass ends as soon as they are there."""
        return self._run(inputs, reading=True)[1]

    def _run(self, inputs, reading):
        if LEVEL not in inputs:
            return self._to_the_end(inputs, reading)
        given = {name: value for name, value in inputs.items() if name != LEVEL}
        results, states = self._to_the_end(given, reading)
        if not reading and self.row.imputes:
            results = {**results, "imputation": results["imputation"] + inputs[LEVEL][:, None]}
        return results, states

    def _to_the_end(self, inputs, reading):
        """A pass that sees nothing behind the end of a series (see modts.backbones.ends)."""
        lengths, how = inputs.get("lengths"), self.row.ends
        if lengths is None:
            return self._pass(inputs, reading)
        if how == "alone" and (self.row.imputes or not self.training):
            least = 2 * self.config.get("top_k", 1)  # TimesNet looks for so many periods
            return ends.alone(lambda part: self._pass(part, reading), inputs, lengths, least)
        with blocks.masked(self.module, lengths if how == "masked" else None):
            results, states = self._pass(inputs, reading)
        if how == "padded":  # a class of one's own has turned the whole window round
            states = states[:1] + [ends.turn(state.flip(1), lengths) for state in states[1:]]
        return results, states

    def _pass(self, inputs, reading):
        if self.row.own:
            results = self.module(inputs, calc_criterion=self.training)
            return results, list(results["states"])
        caught, handle, results = [], None, {}

        def catch(_module, args, output=None):
            caught.append(args[0] if output is None else output)
            if reading:
                raise recurrent.Enough

        if self.fast is not None:
            self.fast.reading = reading
        else:
            tapped = self.module.get_submodule(self.row.tap.removeprefix(">"))
            before = self.row.tap.startswith(">")
            handle = tapped.register_forward_pre_hook(catch) if before else tapped.register_forward_hook(catch)
        try:
            results = self.module(inputs, calc_criterion=self.training)
        except recurrent.Enough:
            pass
        finally:
            if handle:
                handle.remove()
        states = caught or self.fast.take()
        return results, [state.flatten(2) for state in states]  # HELIX has a state for each feature: side by side

    def own_loss(self, inputs: dict) -> torch.Tensor:
        """What a backbone that does not impute learns by, without its states: of two crops of each window, drawn anew at each call."""
        return contrast.loss(self.module.encoder, self.options["gaps"], inputs["X"])

    def reconstruction_scale(self) -> float:
        """Brings the models' own losses to one scale: CSAI sums over steps and directions, BRITS adds directions, and TS2Vec's is about the
        logarithm of how many steps two crops have where nothing is learned."""
        own = {"CSAI": 1 / (2 * self.n_steps), "BRITS": 0.5, "TS2Vec": 1 / math.log(2 * self.n_steps)}
        return own.get(self.name, 1.0)

    def tensor(self, X: np.ndarray, features=None) -> torch.Tensor:
        """Raw values (N, T, F) -> checked z-scores on the model's device."""
        return torch.from_numpy(self.scaler.transform(self.check(X, features))).to(self.device)

    def check(self, X, features=None) -> np.ndarray:
        """Raise a ModtsError unless X is (N, T, F) for this backbone, plausible in scale, and not empty of observations.

        What a numpy masked array hides is missing. Returns X as float32. Refused is a feature whose mean lies 20 training deviations away, and
        windows that look standardised; of 32 windows or more, a feature whose mean and spread are both over six times those of training, or
        under a sixth of them, is warned of: it may be in another unit.
        """
        return np.asarray(self.windows(X, features), dtype=np.float32)

    def windows(self, X, features=None) -> np.ndarray:
        """`check` for an array that may be a memory map: it is read in parts, and returned as it is, of whatever float."""
        try:
            X = np.asarray(unmasked(X))
            with np.errstate(over="ignore"):  # too large for single precision is infinite, and said so
                X = X if X.dtype.kind == "f" else X.astype(np.float32)
        except (TypeError, ValueError, OverflowError):
            raise ModtsError(f"{self.name} reads numbers, NaN where missing, but X holds something else.") from None
        if features is not None and tuple(features) != self.features:
            unlike = [
                f"{i}: {a!r} instead of {b!r}"
                for i, (a, b) in enumerate(zip(features, self.features, strict=False))
                if a != b
            ]
            what = "; ".join(unlike[:3]) or f"{len(tuple(features))} features instead of {len(self.features)}"
            raise ModtsError(f"The feature list differs from the one {self.name} was pretrained on ({what}).")
        wanted = (self.n_steps, len(self.features))
        if X.ndim != 3 or X.shape[1:] != wanted:
            raise ModtsError(f"{self.name} reads arrays of shape (N, {wanted[0]}, {wanted[1]}), got {X.shape}.")
        if not len(X):
            raise ModtsError("X holds no window (its first axis is empty).")
        for part in runs.parts(X):
            if not torch.isfinite(_values(part).nansum(1).double().sum()):
                raise ModtsError("X holds infinite values; mark missing values as NaN.")
        some = _values(X[:: -(-len(X) // 128)])  # enough for the scale: at most 128 windows
        if not self.plausible.check(some).any() and all(np.isnan(part).all() for part in runs.parts(X)):
            raise ModtsError("X holds no observed value at all.")
        return X

    def latents(
        self, X: np.ndarray, pooling: str = "paper", batch_size: int = 256, features=None, lengths=None
    ) -> np.ndarray:
        """Latents of raw windows X (N, T, F) with NaN -> (N, D) float32, or (N, T, D) for pooling "steps".

        See modts.backbones.latents for the poolings. Give the names of X's variables as `features` to have them checked against the model's.
        lengths (N,): steps of series that end before their window does; what lies behind the end does not count (see modts.backbones.ends),
        and the windows may be shorter than the backbone's. Give them wherever windows are padded with NaN: without, the padding counts as
        steps at which nothing was measured, and latents, imputations and answers are others. A ModtsWarning says so where it can be seen.
        """
        from .latents import extract

        return extract(self, X, pooling=pooling, batch_size=batch_size, features=features, lengths=lengths)

    def impute(self, X: np.ndarray, batch_size: int = 256, features=None, lengths=None) -> np.ndarray:
        """Fill the gaps: raw X (N, T, F) with NaN -> (N, T, F) raw; observed values stay as they are.

        The gaps of a feature that was never observed in training stay NaN: nothing was learnt about it. So does what lies behind a
        series' end, where lengths (N,) are given (see `latents`).

        Raises
        ------
        ModtsError
            Windows that `check` refuses, lengths that do not fit, or a backbone that learns a representation and does not impute.
        """
        if not self.row.imputes:
            raise ModtsError(
                f"{self.name} learns a representation and fills no gaps; impute with another backbone, such as SAITS."
            )
        from .filling import fill

        return fill(self, X, batch_size, features, lengths)

    def weights_hash(self) -> str:
        """Twelve hex digits over all parameters and buffers: the same before and after means frozen."""
        return tensors_hash(self.state_dict())

    def save(self, path: str | Path, **notes) -> Path:
        """Write weights, scaler and the card that rebuilds them as one whole safetensors file, and the card beside it as <file>.json.

        Parameters
        ----------
        path : str or Path
            Ends in .safetensors; "~" is your home. A file that modts did not write is never overwritten.
        **notes
            What else the card shall say, such as cohort="mine". What an earlier card said of these weights stays, and `card["past"]`
            lists what happened to them.

        Returns
        -------
        Path

        Raises
        ------
        ModtsError
            A path that is a folder, has another ending or belongs to somebody else, or a note that JSON cannot hold or that would
            replace a field of the card.
        """
        from .checkpoint import save

        return save(self, path, **notes)

    def to_pypots(self, **training):
        """PyPOTS's own imputer with these weights, for all that PyPOTS can do with one. It reads and answers z-scores: `scaler.transform(X)`,
        which also cuts them where the scaler has an edge.

        Parameters
        ----------
        **training
            What PyPOTS's constructor takes beside sizes, such as batch_size, epochs, saving_path or device.

        Returns
        -------
        BRITS, GRUD, SAITS, CSAI, TimesNet, Autoformer or HELIX of pypots.imputation, TS2Vec of pypots.representation
            A warning says so where it reads its input otherwise than this backbone. CSAI's own `predict` hides values before it imputes;
            this one hides none until its `fit` is called.

        Raises
        ------
        ModtsError
            A backbone that PyPOTS does not have, or one that centres its windows.
        """
        from .exchange import to_pypots

        return to_pypots(self, **training)


def _values(X: np.ndarray) -> torch.Tensor:
    """float32 values as PyTorch takes them; those too large for single precision are infinite."""
    with np.errstate(over="ignore"):
        return torch.from_numpy(np.require(X, np.float32, ("C", "W")))


def build(
    name, cohort, size="small", criterion="mse", options=None, seed=0, config=None, scaling="plain", centre=False
) -> Backbone:
    """A fresh backbone for a cohort: scaler and intervals from its training split only.

    Parameters
    ----------
    name : str
        A key of BACKBONES, or a class of one's own, "mine.py:MyImputer".
    cohort : Cohort
        Gives length, features and training values.
    size, config : {"small", "paper"} and dict, optional
        See modts.backbones.sizes.
    criterion, options, seed, centre
        See Backbone.
    scaling : {"plain", "winsorised"}
        How the scaler is fitted: see modts.backbones.scaling.

    Returns
    -------
    Backbone

    Raises
    ------
    ModtsError
        Unknown name, size, criterion, scaling or argument, or training data without any value.
    """
    X, _ = cohort.part("train")
    scaler = Scaler.fit(X, scaling)
    gaps = intervals(X) if row_of(name).reads == "csai" else None
    config = sizes(name, size, cohort.name, config)
    return Backbone(name, cohort.n_steps, cohort.features, scaler, config, criterion, gaps, options, seed, centre)
