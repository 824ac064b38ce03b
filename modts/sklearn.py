"""scikit-learn's way: pretraining as a transformer, pretraining and a head as a classifier and a regressor.

X is (N, T, F) with NaN where nothing was measured, as in aeon and tslearn. What a pretraining is made from (recipe, windows, code) names its
result, and the same is not made twice: a search over the head's parameters, or a pipeline behind the latents, pretrains once a fold.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.base import (
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    RegressorMixin,
    TransformerMixin,
)
from sklearn.utils.validation import check_is_fitted

from modts.asked import (
    PADDED,
    PaddedPredictor,
    Predictor,
    Pretraining,
    all_known,
    every_class,
    held,
    plain_targets,
    r2,
    settings,
    share_right,
    spelt,
    take,
    turn,
    whose,
)
from modts.backbones import Scaler
from modts.cohorts import seeded
from modts.errors import choose
from modts.learning import (
    ARMS,
    Setting,
    Training,
    adapt,
    given_classes,
    given_halves,
    given_numbers,
    train_heads,
    vector_width,
)

ADAPTATIONS = tuple(name for name, arm in ARMS.items() if arm.train != "shipped")


class ImputerLatents(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Pretraining):
    """Pretrain an imputer on windows with gaps; transform windows to its latents, or fill their gaps.

    Parameters
    ----------
    backbone : str
        A key of modts.BACKBONES.
    size : {"small", "paper"}
    scaling : {"plain", "winsorised"}
        Standardisation by plain means and deviations, or by those of winsorised values: see modts.backbones.scaling.
    centre : bool
        Take each window's own level from it before it is read: for series that drift (see modts.Backbone).
    criterion : {"mse", "mae"}
    options : dict, optional
        See modts.Backbone.
    pooling : {"paper", "mean+max+last"}
        How states become a latent: see modts.backbones.latents; "steps" is for estimators with a target at every step.
    pattern, rate
        How values are hidden while pretraining, and which share of the observed ones: see modts.mask.
    epochs, patience, batch_size, lr, schedule, clip
        Of pretraining; it stops after `patience` epochs without a better validation error: see modts.pretrain.
    validation : float
        Share of the windows that fit holds out to stop by: seeded, stratified by y, whole groups if `groups` are given.
    features : sequence of str, optional
        Names of the F variables; default "x0", "x1", ...
    padded : bool
        True: a series ends with its last step that holds a value, as in aeon and tslearn, where series of unequal length are padded with
        NaN; X may then also be a list of (T_i, F) arrays. What lies behind an end is not read and not filled, and windows shorter than those
        of fit are read too. False: all windows are full, and a last step without a value is missing.
    random_state : int, RandomState or None
        Weights, masks, batches and the held-out windows start from it.
    device : str
        Such as "cpu" or "cuda".
    cache : {"memory", None} or a folder
        Where the result of a pretraining is kept, so that the same one is not made again; in a folder it outlives the process.

    Attributes
    ----------
    backbone_ : Backbone
    n_steps_in_, n_features_in_ : int
        T and F.

    Raises
    ------
    ModtsError
        Windows or parameters that do not fit, when fit is called.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(30, 6, 3))
    >>> X[X > 1] = np.nan
    >>> latents = ImputerLatents("GRU-D", epochs=1).fit_transform(X)
    >>> latents.shape
    (30, 64)
    """

    @spelt
    def __init__(
        self,
        backbone="SAITS",
        *,
        size="small",
        scaling="plain",
        centre=False,
        criterion="mse",
        options=None,
        pooling="paper",
        pattern="point",
        rate=0.1,
        epochs=50,
        patience=10,
        batch_size=128,
        lr=1e-3,
        schedule="constant",
        clip=0.0,
        validation=0.2,
        features=None,
        padded=False,
        random_state=0,
        device="cpu",
        cache="memory",
    ):
        take(self, locals())

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def fit(self, X, y=None, groups=None):
        """Pretrain on X (N, T, F); y (N,) only stratifies the held-out windows where it holds classes, groups (N,) keeps patients together."""
        X, seed = self._windows(X, fitting=True), self._seed()
        train, val = given_halves(self, X, y, seed, whose(groups))
        with seeded(seed):
            ends = (self._ends(X[train]), self._ends(X[val])) if self.padded else None
            self.backbone_ = self._recipe(X, seed).pretrained(X[train], X[val], self.cache, ends)
        self._n_features_out = vector_width(self.backbone_, X[:1], self.pooling)
        return self

    def transform(self, X):
        """Latents (N, D) of windows X (N, T, F)."""
        check_is_fitted(self)
        X = self._windows(X)
        with turn(self.backbone_):
            return self.backbone_.latents(X, self.pooling, lengths=self._ends(X))

    def impute(self, X):
        """Windows X (N, T, F) with their gaps filled, in raw units; observed values stay as they are."""
        check_is_fitted(self)
        X = self._windows(X)
        with turn(self.backbone_):
            return self.backbone_.impute(X, lengths=self._ends(X))

    def save(self, path: str | Path, **notes) -> Path:
        """Write the pretrained backbone as one file that modts.load_backbone reads (see Backbone.save)."""
        check_is_fitted(self)
        return self.backbone_.save(path, **notes)


class _Modular(Pretraining):
    """A backbone and a head, trained as one of the arms of modts.learning.ARMS."""

    @spelt
    def __init__(
        self,
        backbone="SAITS",
        *,
        adaptation="frozen",
        head="simple",
        head_lr=1e-2,
        head_weight_decay=0.0,
        head_epochs=200,
        head_patience=20,
        whole_lr=1e-3,
        whole_epochs=50,
        whole_patience=8,
        whole_schedule="constant",
        whole_clip=0.0,
        auxiliary=1.0,
        lora_rank=4,
        class_weight=None,
        size="small",
        scaling="plain",
        centre=False,
        criterion="mse",
        options=None,
        pooling="paper",
        pattern="point",
        rate=0.1,
        epochs=50,
        patience=10,
        batch_size=128,
        lr=1e-3,
        schedule="constant",
        clip=0.0,
        validation=0.2,
        features=None,
        padded=False,
        random_state=0,
        device="cpu",
        cache="memory",
    ):
        take(self, locals())

    def _fit(self, X: np.ndarray, targets, rows, scaler: Scaler | None, seed: int) -> None:
        """Train on the targets (Labels) of all windows; rows: positions of the training and of the held-out windows."""
        arm = ARMS[choose(self.adaptation, ADAPTATIONS, "adaptation")]
        settings({name: value for name, value in vars(self).items() if name.startswith(("head_", "whole_"))})
        parts = dict(zip(("train", "val"), (X[r] for r in rows), strict=True))
        ends = {name: self._ends(part) for name, part in parts.items()} if self.padded else {}
        task, classes = targets.task, targets.classes
        targets = dict(zip(("train", "val"), (targets.take(r) for r in rows), strict=True))
        every = np.arange(len(parts["train"]))
        with seeded(seed):
            if arm.start == "pretrained":
                backbone = self._recipe(X, seed).pretrained(*parts.values(), self.cache, tuple(ends.values()) or None)
            else:
                backbone = self._recipe(X, seed).fresh(parts["train"])
            if arm.train == "head":
                latents = {n: backbone.latents(part, self.pooling, lengths=ends.get(n)) for n, part in parts.items()}
                setting = Setting(every, self.head_lr, self.head_weight_decay, seed)
                limits = {"epochs": self.head_epochs, "patience": self.head_patience}
                ((head, history),) = train_heads(self.head, latents, targets, [setting], **limits)
            else:
                training = Training(
                    lr=self.whole_lr,
                    epochs=self.whole_epochs,
                    patience=self.whole_patience,
                    batch_size=self.batch_size,
                    schedule=self.whole_schedule,
                    clip=self.whole_clip,
                    auxiliary=self.auxiliary,
                    pattern=self.pattern,
                    rate=self.rate,
                    lora_rank=self.lora_rank,
                    seed=seed,
                )
                windows = parts | {"test": parts["val"][:1]}  # `adapt` predicts a test split; there is none here
                ends |= {"test": ends["val"][:1]} if ends else {}
                given = {"backbone": backbone, "windows": windows, "pooling": self.pooling, "training": training}
                outcome = adapt(self.adaptation, self.head, targets, every, lengths=ends, **given)
                head, history = outcome.model.head, outcome.history
        self.backbone_, self.validation_score_ = backbone, float(history.best)
        made = PaddedPredictor if self.padded else Predictor
        self.predictor_ = made(backbone, head, self.pooling, scaler, task=task, classes=classes)
        self.predictor_.ending = PADDED

    def save(self, path: str | Path, **notes) -> Path:
        """Write the trained predictor as one file that modts.load_predictor reads (see Predictor.save)."""
        check_is_fitted(self, "predictor_")
        return self.predictor_.save(path, **{"adaptation": self.adaptation, **notes})

    def _answer(self, X) -> np.ndarray:
        check_is_fitted(self, "predictor_")
        X = self._windows(X)
        return self.predictor_.predict(X, lengths=self._ends(X))


class ModularClassifier(ClassifierMixin, _Modular):
    """Pretrain an imputer, read its latents, train a head for a class; or one of the other arms from random weights to end to end.

    Parameters
    ----------
    backbone, size, scaling, centre, criterion, options, pooling, pattern, rate, epochs, patience, batch_size, lr, schedule, clip
        Of pretraining: see ImputerLatents.
    validation, features, padded, random_state, device, cache
        See ImputerLatents.
    adaptation : {"untrained", "frozen", "norm", "last_block", "lora", "finetune", "e2e"}
        What starts pretrained and what trains: see modts.learning.adaptation.
    head : {"simple", "complex"}
        One linear layer, or an MLP.
    head_lr, head_weight_decay, head_epochs, head_patience
        Of a head on frozen latents ("untrained", "frozen").
    whole_lr, whole_epochs, whole_patience, whole_schedule, whole_clip
        Of backbone and head together (all but "untrained" and "frozen").
    auxiliary : float
        Weight of the reconstruction loss beside the task's, where the backbone trains too.
    lora_rank : int
        Of the low-rank additions of "lora".
    class_weight : {None, "balanced"} or dict
        What a class counts in the loss: see modts.labels. With weights predict_proba is not calibrated.

    Attributes
    ----------
    classes_ : (K,) array
        The classes in the order of the probabilities; of several labels or steps their numbers.
    predictor_ : Predictor
        From raw windows to probabilities.
    backbone_ : Backbone
    validation_score_ : float
        AUROC on the held-out windows (the mean over several classes or labels).
    n_steps_in_, n_features_in_ : int
        T and F.

    Raises
    ------
    ModtsError
        Windows, labels or parameters that do not fit, when fit is called.
    """

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def fit(self, X, y=None, groups=None):
        """Train on windows X (N, T, F) and labels y (N,) of two classes or more; groups (N,), such as patients, are held out whole.

        y (N, K) of 0 and 1, NaN where not known: a yes or no to each of K labels, or at every step where K is the number of steps.
        """
        X, seed = self._windows(X, fitting=True), self._seed()
        self.classes_, targets, rows = given_classes(self, X, every_class(y), seed, whose(groups))
        self._fit(X, targets, rows, None, seed)
        return self

    def predict_proba(self, X):
        """Probabilities (N, K), in the order of `classes_`."""
        answer = self._answer(X)
        return np.stack([1 - answer, answer], axis=1) if answer.ndim == 1 else answer

    def predict(self, X):
        """The likeliest class of each window, (N,); of several labels or steps 0 or 1 each, (N, K)."""
        answer = self._answer(X)
        if self.predictor_.task == "multiclass":
            return self.classes_[answer.argmax(1)]
        return self.classes_[(answer > 0.5).astype(int)] if answer.ndim == 1 else (answer > 0.5).astype(int)

    def score(self, X, y, sample_weight=None):
        """Accuracy, as scikit-learn has it; where some of several labels or steps are not known (NaN), the share right of those that are."""
        return super().score(X, y, sample_weight) if all_known(y) else share_right(y, self._answer(X), sample_weight)


class ModularRegressor(RegressorMixin, _Modular):
    """Pretrain an imputer, read its latents, train a head for a number a window, or several (one a step, say).

    Parameters
    ----------
    backbone, adaptation, head and all others
        See ModularClassifier.

    Attributes
    ----------
    predictor_ : Predictor
        From raw windows to raw units.
    backbone_ : Backbone
    validation_score_ : float
        Mean squared error, of z-scores, on the held-out windows.
    n_steps_in_, n_features_in_ : int
        T and F.

    Raises
    ------
    ModtsError
        Windows, targets or parameters that do not fit, when fit is called.
    """

    def fit(self, X, y=None, groups=None):
        """Train on windows X (N, T, F) and targets y (N,) or (N, K), NaN where one of several is not known; groups (N,) are held out whole."""
        X, seed = self._windows(X, fitting=True), self._seed()
        y = plain_targets(y)
        targets, scaler, rows = given_numbers(self, X, y, seed, whose(groups))
        held(np.asarray(y, dtype=np.float64).reshape(len(X), -1), range(targets.n_outputs), "target")
        self._flat = targets.n_outputs == 1
        self._fit(X, targets, rows, scaler, seed)
        return self

    def predict(self, X):
        """Targets (N,) or (N, K), in the units of y."""
        answer = self._answer(X)
        return answer[:, 0] if self._flat else answer

    def score(self, X, y, sample_weight=None):
        """R2, as scikit-learn has it; where some of several targets or steps are not known (NaN), the mean over columns of that of the known."""
        return super().score(X, y, sample_weight) if all_known(y) else r2(y, self.predict(X), sample_weight)
