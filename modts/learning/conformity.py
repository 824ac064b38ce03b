"""Does a class of one's own keep the contract of modts.backbones.own? Each check answers in a sentence."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from modts import runs
from modts.backbones import POOLINGS, Backbone, Scaler, error_words, load_backbone
from modts.cohorts import seeded
from modts.errors import ModtsError

from .training import pretrain

SAME = 1e-5  # how far apart two answers may be that should be one; a sentence says so
EPOCHS = 12  # on the toy


@dataclass(frozen=True)
class Finding:
    """What one check found: its name, whether the class keeps to it, and why in a sentence."""

    name: str
    kept: bool
    sentence: str


class _Broken(Exception):
    """The sentence that says what a check found wrong."""


def check_own(name: str, n_steps: int = 48, n_features: int = 12) -> list[Finding]:
    """Check a class of one's own, on toy windows that it gets about as it would in a study.

    Parameters
    ----------
    name : str
        "mine.py:MyImputer".
    n_steps, n_features : int
        Of the toy windows.

    Returns
    -------
    list of Finding
        In the order of CHECKS. Without the first two the others mean nothing, and are left out.

    Raises
    ------
    ModtsError
        The name is not a file and a class, the file or the class is not there, or the windows have no room for a gap.
    """
    file = runs.own_file(name)
    if file is None:
        raise ModtsError(f"{name!r} is no class in a file; name one such as mine.py:MyImputer.")
    file.read()
    if n_steps < 2 or n_features < 1:
        raise ModtsError(f"Windows need at least 2 steps and 1 feature, but they have {n_steps} and {n_features}.")
    subject, found = _Subject(name, file, n_steps, n_features), []
    for what, ask in CHECKS.items():
        try:
            found.append(Finding(what, True, ask(subject)))
        except _Broken as broken:
            found.append(Finding(what, False, str(broken)))
        except ModtsError as error:
            found.append(Finding(what, False, str(error)))
        except Exception as error:  # whatever somebody's class raises
            found.append(Finding(what, False, f"It raises {error_words(error, file.path)}."))
        if not found[-1].kept and what in ("constructs", "shapes"):
            break
    return found


@dataclass(frozen=True)
class _Subject:
    """The class to check, and windows for it."""

    name: str
    file: runs.OwnFile
    n_steps: int
    n_features: int

    def made(self, seed: int = 1, training: bool = False) -> Backbone:
        F = self.n_features
        scaler = Scaler(np.zeros(F, np.float32), np.ones(F, np.float32))
        features = [f"v{i}" for i in range(F)]
        return Backbone(self.name, self.n_steps, features, scaler, seed=seed).train(training)

    def windows(self, n: int, seed: int = 0) -> np.ndarray:
        """Waves that the features share, with noise, two fifths of the values missing: (n, T, F) float32."""
        rng, step = np.random.default_rng(seed), np.arange(self.n_steps)[:, None]
        phase, weight = rng.uniform(0, 2 * np.pi, (n, 1, 1)), np.linspace(-1.4, 1.4, self.n_features)
        X = np.sin(phase + step / 3) * weight + np.cos(phase + step / 7) + 0.1 * rng.standard_normal((n, 1, 1))
        X = X + 0.1 * rng.standard_normal(X.shape)
        gaps = rng.random(X.shape) < 0.4
        gaps[:, 0, 0], gaps[:, 1, 0] = False, True  # none without a value, none without a gap
        return np.where(gaps, np.nan, X).astype(np.float32)

    def hidden(self, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Windows with every fifth observed value hidden, and the same before."""
        X = self.windows(n)
        seen = np.flatnonzero(~np.isnan(X))
        Z = X.copy()
        Z.reshape(-1)[seen[::5]] = np.nan
        return torch.from_numpy(Z), torch.from_numpy(X)


def _run(backbone: Backbone, Z: torch.Tensor, Z_true: torch.Tensor | None = None) -> dict:
    """One pass on copies, from one seed."""
    with seeded(0):
        return backbone.run(backbone.inputs(Z.clone(), None if Z_true is None else Z_true.clone()))[0]


def _answers(backbone: Backbone, Z: torch.Tensor) -> dict[str, torch.Tensor]:
    """What a user gets for windows: their imputation, and latents of each pooling."""
    X = Z.numpy()
    answers = {"imputation": backbone.impute(X)} | {f"latent ({how})": backbone.latents(X, how) for how in POOLINGS}
    return {name: torch.from_numpy(value) for name, value in answers.items()}


def _apart(one: torch.Tensor, other: torch.Tensor) -> float:
    """The largest difference of two answers; infinite where one of them is not a number."""
    away = (one - other).abs()
    return float("inf") if not torch.isfinite(away).all() else float(away.max()) if away.numel() else 0.0


def _constructs(subject: _Subject) -> str:
    backbone = subject.made()
    if backbone.weights_hash() != subject.made().weights_hash():
        raise _Broken(
            "Constructed twice from one seed it has other weights; take random numbers from torch's generator alone."
        )
    size = sum(value.numel() for value in backbone.parameters())
    if not size:
        raise _Broken("It has no parameter, so nothing can be pretrained.")
    return f"It has {size:,} parameters, and is of the kind {backbone.row.kind!r}."


def _shapes(subject: _Subject) -> str:
    Z, Z_true = subject.hidden(3)
    with torch.no_grad():
        three, one = (_run(subject.made(), part)["states"] for part in (Z, Z[:1]))
    loss = _run(subject.made(training=True), Z, Z_true)["loss"]
    widths = [state.shape[2] for state in three]
    if [state.shape[2] for state in one] != widths:
        raise _Broken(f"Its states have {widths} numbers a step for three windows, but others for one.")
    if not loss.requires_grad:
        raise _Broken("Its loss has no gradient: it was computed without the parameters, or detached from them.")
    states = " and ".join(f"(B, {subject.n_steps}, {width})" for width in widths)
    return f"Imputations (B, {subject.n_steps}, {subject.n_features}), states {states}, and in training a loss."


def _gaps(subject: _Subject) -> str:
    given = subject.hidden(8)
    for training in (False, True):
        Z, Z_true = (part.clone() for part in given)
        backbone = subject.made(training=training)
        with torch.no_grad():
            made = backbone.run(backbone.inputs(Z, Z_true if training else None))[0]["imputation"]
        for before, after, called in zip(given, (Z, Z_true), ("Z", "Z_true"), strict=True):
            if not torch.equal(torch.nan_to_num(before, 1e9), torch.nan_to_num(after, 1e9)):
                raise _Broken(
                    f"It writes to the {called} that it is given; work on a copy, such as torch.nan_to_num({called})."
                )
        if not torch.isfinite(made).all():
            raise _Broken(
                f"{int((~torch.isfinite(made)).sum())} of {made.numel()} cells come back without a number; NaN must not spread from the gaps."
            )
    seen = ~torch.isnan(given[0])
    away = _apart(made[seen], given[0][seen])
    kept = "come back unchanged" if away <= SAME else "come back changed, which nobody sees: they are put back"
    return f"Every gap is filled, the windows are left as they were, and observed values {kept}."


def _unseen(subject: _Subject) -> str:
    Z, Z_true = subject.hidden(8)
    other = torch.where(torch.isnan(Z), Z_true + 3.0, Z_true)  # the hidden values alone
    for training in (True, False):
        backbone = subject.made(training=training)
        with torch.no_grad():
            one, two = (_run(backbone, Z, truth) for truth in (Z_true, other))
        for what, pairs in {
            "imputation": [(one["imputation"], two["imputation"])],
            "states": list(zip(one["states"], two["states"], strict=True)),
        }.items():
            away = max(_apart(*pair) for pair in pairs)
            if away > SAME:
                raise _Broken(
                    f"With other hidden values there is a difference of up to {away:.2g} in its {what}; Z_true is for the loss alone."
                )
    return "With other hidden values it answers the same."


def _alone(subject: _Subject) -> str:
    Z, backbone = subject.hidden(12)[0], subject.made()
    whole = _answers(backbone, Z)
    loud = torch.cat([Z[:6], Z[6:] * 4])
    others = {
        "again": (_answers(backbone, Z), slice(None)),
        "in another order": (
            {name: value.flip(0) for name, value in _answers(backbone, Z.flip(0)).items()},
            slice(None),
        ),
        "alone": (_answers(backbone, Z[:1]), slice(1)),
        "beside other windows": ({name: value[:6] for name, value in _answers(backbone, loud).items()}, slice(6)),
    }
    for how, (answers, rows) in others.items():
        for what, value in answers.items():
            away = _apart(value, whole[what][rows])
            if away > SAME:
                why = (
                    "something random is left in evaluation"
                    if how == "again"
                    else "nothing may be computed over the windows of a batch in evaluation"
                )
                raise _Broken(f"Asked {how}, a window's {what} differs by up to {away:.2g}; {why}.")
    return "Alone, in a batch, beside others and in another order a window has one answer, to 1e-5."


def _gradients(subject: _Subject) -> str:
    backbone = subject.made(training=True)
    _run(backbone, *subject.hidden(8))["loss"].backward()
    wanted = {name.removeprefix("module.net."): p.grad for name, p in backbone.named_parameters() if p.requires_grad}
    missing = [name for name, grad in wanted.items() if grad is None]
    if missing:
        raise _Broken(f"Its loss does not depend on {_listed(missing)}, so pretraining never changes it.")
    spoilt = [name for name, grad in wanted.items() if not torch.isfinite(grad).all()]
    if spoilt:
        raise _Broken(
            f"The gradient of {_listed(spoilt)} is not finite; look for 0/0, and for NaN behind a torch.where."
        )
    return "The loss has a finite gradient for every parameter."


def _learns(subject: _Subject) -> str:
    backbone, (train, val) = subject.made(), (subject.windows(64, seed) for seed in (0, 1))
    history = pretrain(
        backbone, train, val, rate=0.2, epochs=EPOCHS, patience=EPOCHS, batch_size=16, lr=3e-3, progress=None
    )
    if not min(history.loss[1:]) < history.loss[0]:
        raise _Broken(f"{EPOCHS} epochs on a toy do not lower its loss ({history.loss[0]:.3g} in the first).")
    if not min(history.validation[1:]) < history.validation[0]:
        raise _Broken(
            "Its loss falls on a toy, but its error on hidden values does not: does the loss measure the imputation?"
        )
    return f"{EPOCHS} epochs on a toy lower its loss, and its error on hidden values."


def _saved(subject: _Subject) -> str:
    backbone, (Z, Z_true) = subject.made(training=True), subject.hidden(8)
    with torch.no_grad():
        _run(backbone, Z, Z_true)
    before = _answers(backbone.eval(), Z)
    with tempfile.TemporaryDirectory() as folder:
        path = backbone.save(Path(folder) / "backbone.safetensors")
        after = _answers(load_backbone(path, own=subject.file.path), Z)
    for what, value in before.items():
        away = _apart(value, after[what])
        if away > SAME:
            raise _Broken(
                f"Saved and loaded, its {what} differs by up to {away:.2g}; what it keeps must be a parameter or a registered buffer."
            )
    return "Saved and loaded it answers the same."


def _extremes(subject: _Subject) -> str:
    full = torch.from_numpy(np.nan_to_num(subject.windows(4)))
    empty = torch.full_like(full, float("nan"))
    lone = empty.clone()
    lone[:, 0, 0] = 1.0
    for called, Z in {"without any value": empty, "with a single value": lone, "without any gap": full}.items():
        backbone = subject.made()
        with torch.no_grad():
            results = _run(backbone, Z)
        if not all(torch.isfinite(value).all() for value in (results["imputation"], *results["states"])):
            raise _Broken(f"For windows {called} its imputation or its states hold NaN or infinite values.")
        backbone = subject.made(training=True)
        loss = _run(backbone, Z, Z)["loss"]  # nothing is hidden either
        if loss.requires_grad:
            loss.backward()
        grads = [p.grad for p in backbone.parameters() if p.grad is not None]
        if not all(torch.isfinite(value).all() for value in (loss, *grads)):
            raise _Broken(
                f"For a batch of windows {called}, nothing of it hidden, its loss or a gradient is not finite; guard its divisions."
            )
    return "Windows without any value, with one, and without any gap have finite answers, losses and gradients."


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


CHECKS: dict[str, Callable[[_Subject], str]] = {
    "constructs": _constructs,
    "shapes": _shapes,
    "gaps": _gaps,
    "hidden values unseen": _unseen,
    "one window, one answer": _alone,
    "gradients": _gradients,
    "learns": _learns,
    "saved and loaded": _saved,
    "empty and full windows": _extremes,
}
