"""scikit-learn's way: pretraining as a transformer, pretraining and a head as a classifier and a regressor.

X is (N, T, F) with NaN where nothing was measured, as in aeon and tslearn. What a pretraining is made from (recipe, windows, code) names its
result, and the same is not made twice: a search over the head's parameters, or a pipeline behind the latents, pretrains once a fold.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    RegressorMixin,
    TransformerMixin,
)
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    check_array,
    check_consistent_length,
    check_is_fitted,
    check_random_state,
    column_or_1d,
)

from modts.backbones import Scaler
from modts.cohorts import class_name, lacking, seeded, strata, task_of
from modts.errors import ModtsError, choose
from modts.learning import ARMS, Labels, Recipe, Setting, Training, adapt, held_out, train_heads
from modts.serving import Predictor

ADAPTATIONS = tuple(name for name, arm in ARMS.items() if arm.train in ("head", "all"))


def _take(estimator, given: dict) -> None:
    """Set the parameters that an __init__ was given, as they are: scikit-learn's convention, and all that an __init__ may do."""
    vars(estimator).update({name: value for name, value in given.items() if name not in ("self", "__class__")})


def _enough(X: np.ndarray) -> None:
    if len(X) < 2:
        raise ModtsError(f"Fitting holds out some of the windows, and X has n_samples = {len(X)}.")


class _Pretraining(BaseEstimator):
    """What every estimator here does: checks windows, holds some out, pretrains or finds the result of the same pretraining."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array, tags.input_tags.allow_nan = False, True, True
        return tags

    def _windows(self, X, fitting: bool = False) -> np.ndarray:
        X = check_array(
            X, dtype=np.float32, allow_nd=True, ensure_2d=False, ensure_all_finite="allow-nan", input_name="X"
        )
        if X.ndim != 3 or 0 in X.shape:
            raise ModtsError(f"X must have shape (windows, steps, features) with no empty side, not {X.shape}.")
        if fitting:
            self.n_steps_in_, self.n_features_in_ = X.shape[1:]
            _enough(X)
        return X

    def _names(self, n: int) -> tuple[str, ...]:
        names = tuple(f"x{i}" for i in range(n)) if self.features is None else tuple(map(str, self.features))
        if len(names) != n or len(set(names)) != n:
            raise ModtsError(f"X has {n} features, but `features` gives {len(set(names))} different names.")
        return names

    def _seed(self) -> int:
        state = self.random_state
        return int(state) if isinstance(state, (int, np.integer)) else int(check_random_state(state).randint(2**31))

    def _recipe(self, X: np.ndarray, seed: int) -> Recipe:
        given = {part.name: getattr(self, part.name) for part in fields(Recipe) if part.name != "seed"}
        return Recipe(**given | {"features": self._names(X.shape[2]), "seed": seed})


class ImputerLatents(ClassNamePrefixFeaturesOutMixin, TransformerMixin, _Pretraining):
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
        How states become a latent: see modts.backbones.latents.
    pattern, rate
        How values are hidden while pretraining, and which share of the observed ones: see modts.mask.
    epochs, patience, batch_size, lr, schedule, clip
        Of pretraining; it stops after `patience` epochs without a better validation error: see modts.pretrain.
    validation : float
        Share of the windows that fit holds out to stop by: seeded, stratified by y, whole groups if `groups` are given.
    features : sequence of str, optional
        Names of the F variables; default "x0", "x1", ...
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
        random_state=0,
        device="cpu",
        cache="memory",
    ):
        _take(self, locals())

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def fit(self, X, y=None, groups=None):
        """Pretrain on X (N, T, F); y (N,) only stratifies the held-out windows where it holds classes, groups (N,) keeps patients together."""
        X, seed = self._windows(X, fitting=True), self._seed()
        train, val = held_out(len(X), self.validation, seed, _few(y), groups)
        with seeded(seed):
            self.backbone_ = self._recipe(X, seed).pretrained(X[train], X[val], self.cache)
        self._n_features_out = self.backbone_.latents(X[:1], self.pooling).shape[1]
        return self

    def transform(self, X):
        """Latents (N, D) of windows X (N, T, F)."""
        check_is_fitted(self)
        return self.backbone_.latents(self._windows(X), self.pooling)

    def impute(self, X):
        """Windows X (N, T, F) with their gaps filled, in raw units; observed values stay as they are."""
        check_is_fitted(self)
        return self.backbone_.impute(self._windows(X))


class _Modular(_Pretraining):
    """A backbone and a head, trained as one of the arms of modts.learning.ARMS."""

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
        random_state=0,
        device="cpu",
        cache="memory",
    ):
        _take(self, locals())

    def _fit(self, X: np.ndarray, targets: Labels, rows, scaler: Scaler | None, seed: int) -> None:
        """Train on the targets of all windows; rows: positions of the training and of the held-out windows."""
        arm = ARMS[choose(self.adaptation, ADAPTATIONS, "adaptation")]
        parts = dict(zip(("train", "val"), (X[r] for r in rows), strict=True))
        task, classes = targets.task, targets.classes
        targets = dict(zip(("train", "val"), (targets.take(r) for r in rows), strict=True))
        every = np.arange(len(parts["train"]))
        with seeded(seed):
            if arm.start == "pretrained":
                backbone = self._recipe(X, seed).pretrained(*parts.values(), self.cache)
            else:
                backbone = self._recipe(X, seed).fresh(parts["train"])
            if arm.train == "head":
                latents = {name: backbone.latents(part, self.pooling) for name, part in parts.items()}
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
                    seed=seed,
                )
                windows = parts | {"test": parts["val"][:1]}  # `adapt` predicts a test split; there is none here
                given = {"backbone": backbone, "windows": windows, "pooling": self.pooling, "training": training}
                outcome = adapt(self.adaptation, self.head, targets, every, **given)
                head, history = outcome.model.head, outcome.history
        self.backbone_, self.validation_score_ = backbone, float(history.best)
        self.predictor_ = Predictor(backbone, head, self.pooling, scaler, task=task, classes=classes)

    def save(self, path: str | Path, **notes) -> Path:
        """Write the trained predictor as one file that modts.load_predictor reads (see Predictor.save)."""
        check_is_fitted(self, "predictor_")
        return self.predictor_.save(path, **{**self._notes(), **notes})

    def _notes(self) -> dict:
        return {"adaptation": self.adaptation}

    def _answer(self, X) -> np.ndarray:
        check_is_fitted(self, "predictor_")
        return self.predictor_.predict(self._windows(X))


class ModularClassifier(ClassifierMixin, _Modular):
    """Pretrain an imputer, read its latents, train a head for a class; or one of the other arms from random weights to end to end.

    Parameters
    ----------
    backbone, size, scaling, centre, criterion, options, pooling, pattern, rate, epochs, patience, batch_size, lr, schedule, clip
        Of pretraining: see ImputerLatents.
    validation, features, random_state, device, cache
        See ImputerLatents.
    adaptation : {"untrained", "frozen", "finetune", "e2e"}
        What starts pretrained and what trains: see modts.learning.adaptation.
    head : {"simple", "complex"}
        One linear layer, or an MLP.
    head_lr, head_weight_decay, head_epochs, head_patience
        Of a head on frozen latents ("untrained", "frozen").
    whole_lr, whole_epochs, whole_patience, whole_schedule, whole_clip
        Of backbone and head together ("finetune", "e2e").
    auxiliary : float
        Weight of the reconstruction loss beside the task's ("finetune", "e2e").
    class_weight : {None, "balanced"} or dict
        What a class counts in the loss: see modts.labels.

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

    def fit(self, X, y, groups=None):
        """Train on windows X (N, T, F) and labels y (N,) of two classes or more; groups (N,), such as patients, are held out whole.

        y (N, K) of 0 and 1, NaN where not known: a yes or no to each of K labels, or at every step where K is the number of steps.
        """
        X, y = self._windows(X, fitting=True), _given(self, y)
        if y.ndim == 2 and y.shape[1] > 1:
            targets = self._marks(X, y)
        else:
            targets = self._one(X, column_or_1d(y, warn=True))
        seed = self._seed()
        rows = held_out(len(X), self.validation, seed, strata(targets.task, targets.y), groups)
        for part, side in zip(rows, ("trained on", "held out"), strict=True):
            lacks = lacking(targets.task, targets.y[part], targets.classes)
            if lacks:
                raise ModtsError(f"What is {side} {lacks}; give more windows, or another random_state.")
        self._fit(X, targets, rows, None, seed)
        return self

    def _one(self, X, y) -> Labels:
        """One class a window."""
        if y.dtype.kind == "f" and not np.isfinite(y).all():
            raise ModtsError("Input y contains NaN or infinity; every window needs a label.")
        check_classification_targets(y)
        check_consistent_length(X, y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ModtsError(f"y must hold two classes or more, not 1 class: {self.classes_.tolist()}.")
        task = "classification" if len(self.classes_) == 2 else "multiclass"
        names = tuple(class_name(name) for name in self.classes_.tolist())
        return Labels(task, labels.astype(np.int64), names, self.class_weight)

    def _marks(self, X, y) -> Labels:
        """A yes or no to each label, or at every step."""
        y = check_array(y, dtype=np.float32, ensure_all_finite="allow-nan", input_name="y")
        check_consistent_length(X, y)
        task = task_of(y, X.shape[1])
        if task == "regression":
            raise ModtsError("y of several columns must hold 0, 1 and NaN alone (unknown label type otherwise).")
        self.classes_ = np.arange(y.shape[1])
        names = tuple(map(str, self.classes_)) if task == "multilabel" else ()
        return Labels(task, y, names, self.class_weight)

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

    def fit(self, X, y, groups=None):
        """Train on windows X (N, T, F) and targets y (N,) or (N, K), NaN where one of several is not known; groups (N,) are held out whole."""
        X = self._windows(X, fitting=True)
        if self.class_weight is not None:
            raise ModtsError("class_weight is for classes, not for numbers.")
        y = check_array(_given(self, y), dtype=np.float64, ensure_2d=False, ensure_all_finite="allow-nan")
        check_consistent_length(X, y)
        self._flat = y.ndim == 1 or y.shape[1] == 1
        y = column_or_1d(y, warn=True)[:, None] if self._flat else y
        if self._flat and np.isnan(y).any():
            raise ModtsError("Input y contains NaN; a window with one target needs it.")
        seed = self._seed()
        rows = held_out(len(X), self.validation, seed, None, groups)
        if np.isnan(y[rows[0]]).all() or np.isnan(y[rows[1]]).all():
            raise ModtsError("y holds no number in the training or in the held-out windows.")
        scaler = Scaler.fit(y[rows[0]][..., None])
        self._fit(X, Labels("regression", scaler.transform(y[..., None])[..., 0]), rows, scaler, seed)
        return self

    def predict(self, X):
        """Targets (N,) or (N, K), in the units of y."""
        answer = self._answer(X)
        return answer[:, 0] if self._flat else answer


def _few(y) -> np.ndarray | None:
    """y, if it holds classes that both sides of a split can have."""
    y = None if y is None else np.asarray(y)
    if y is None or y.ndim != 1:
        return None
    values, counts = np.unique(y, return_counts=True)
    return y if 2 <= len(values) <= 20 and counts.min() >= 2 else None


def _given(estimator, y):
    """y as an array; its absence in scikit-learn's words."""
    if y is None:
        raise ModtsError(f"{type(estimator).__name__} requires y to be passed, but the target y is None.")
    return np.asarray(y)
