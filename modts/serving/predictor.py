"""From a raw window with gaps to an answer, in one call: a frozen backbone and a head as one predictor.

The paper's promise is that the backbone is shared: several heads on one backbone cost one forward pass (`Predictor`
takes a dictionary of them).
"""

from __future__ import annotations

import warnings
from operator import attrgetter
from pathlib import Path

import numpy as np
import torch
from torch import nn

from modts.backbones import Backbone, Scaler, behind, cut, ends_on, read
from modts.cohorts import TASKS
from modts.errors import ModtsError, choose, whole
from modts.learning import Head, answer


class _Pass(nn.Module):
    """Raw values (B, T, F) -> what each head says: numbers (B, K), or probabilities (B,) or (B, K), as one module: what is traced."""

    def __init__(self, backbone: Backbone, heads, pooling: str, task: str):
        super().__init__()
        self.backbone, self.heads, self.pooling, self.task = backbone, nn.ModuleList(heads), pooling, task
        scaler = backbone.scaler
        # a feature never observed in training is ignored: divided by NaN it is missing
        std = scaler.std if scaler.seen is None else np.where(scaler.seen, scaler.std, np.float32(np.nan))
        for name, values in (("mean", scaler.mean), ("std", std)):
            self.register_buffer(name, torch.from_numpy(values).to(backbone.device))

    def forward(self, X: torch.Tensor, lengths: torch.Tensor | None = None) -> tuple[torch.Tensor, ...]:
        Z = self.backbone.scaler.cut((X - self.mean).div_(self.std))
        latents = read(self.backbone, Z, self.pooling, lengths)
        return tuple(answer(self.task, head(latents)) for head in self.heads)


class Predictor:
    """A backbone and its heads. Threads may share one, and one backbone: they take turns.

    Parameters
    ----------
    backbone : Backbone
        Pretrained (see load_backbone).
    heads : Head or dict of str to Head
        One Head, or a dictionary of name -> Head: all of them read the same latents.
    pooling : str
        The one the heads were trained on.
    target_scaler : Scaler, optional
        Of a regression target (see labels): all heads answer in its raw units then. None: a probability.
    task : {"classification", "multiclass", "multilabel", "stepwise", "regression"}, optional
        What the heads were trained for (see modts.cohorts.TASKS). Default: regression with a target scaler, else classification.
    classes : sequence of str, optional
        Names of the classes (multiclass) or labels (multilabel) in the order of the heads' outputs, or of the no and the yes of a
        classification; they are kept in the file.
    trace : int
        Batches of at most so many windows go through a trace of the pass (torch.jit.trace), which leaves the Python between its operations
        out: the same answers, at batch 1 in about half the time. Each batch size is traced when it first comes, and again after the weights
        have changed, which takes a moment.

    Raises
    ------
    ModtsError
        No head, a head that reads latents of another length or needs a target scaler, another kind of scaler, a trace that does not answer
        as the backbone does.
    """

    def __init__(
        self,
        backbone: Backbone,
        heads: Head | dict[str, Head],
        pooling: str = "paper",
        target_scaler: Scaler | None = None,
        trace: int = 0,
        task: str | None = None,
        classes=(),
    ):
        self.backbone, self.pooling, self.target_scaler = backbone.eval(), pooling, target_scaler
        self.trace, self._traces, self.card = whole(trace, "`trace`", least=0), {}, {}
        self.single = isinstance(heads, Head)
        named = {"": heads} if self.single else heads
        if not isinstance(named, dict) or not named or not all(isinstance(head, Head) for head in named.values()):
            raise ModtsError("A predictor needs a Head, or a dictionary of name -> Head with at least one of them.")
        if not isinstance(target_scaler, Scaler | None):
            raise ModtsError(f"The target scaler must be the Scaler that labels() returns, not {target_scaler!r}.")
        if target_scaler is not None and np.size(target_scaler.mean) != 1:
            raise ModtsError(
                f"The target scaler holds {np.size(target_scaler.mean)} means instead of one; give the one that "
                "labels() returns, not the backbone's."
            )
        self.heads = dict(named)
        self.task = choose(task or ("classification" if target_scaler is None else "regression"), TASKS, "task")
        self.classes = tuple(map(str, classes))
        self._check_task()
        empty = torch.full((1, backbone.n_steps, len(backbone.features)), float("nan"), device=backbone.device)
        with torch.inference_mode():
            some = read(backbone, empty, pooling)
        size, stepwise = some.shape[-1], some.ndim == 3
        if stepwise and self.task not in ("stepwise", "regression"):
            raise ModtsError(
                f"With pooling {pooling!r} a head answers at every step, and {self.task} asks once a window; give the pooling that it was "
                "trained on."
            )
        for name, head in self.heads.items():
            if head.mean.numel() != size:
                raise ModtsError(
                    f"The head {name!r} reads latents of length {head.mean.numel()}, but {backbone.name} with pooling "
                    f"{pooling!r} gives {size}; build it for the same backbone and pooling."
                )
            outputs = head.linears()[-1].out_features
            if stepwise and outputs > 1:
                raise ModtsError(
                    f"The head {name!r} has {outputs} outputs, but with pooling {pooling!r} it needs one, which it gives at every step."
                )
            if self.task == "classification" and outputs > 1:
                raise ModtsError(
                    f"The head {name!r} has {outputs} outputs, so its answer is no probability; give the target_scaler "
                    "that labels() returns, or the task and its classes."
                )
            if self.task != "classification" and self.classes and outputs != len(self.classes):
                raise ModtsError(f"The head {name!r} has {outputs} outputs, but there are {len(self.classes)} classes.")
            head.to(backbone.device).eval()
        self._pass = _Pass(backbone, self.heads.values(), pooling, self.task).eval()
        self._weights = list(self._pass.state_dict(keep_vars=True).values())
        if trace:
            self._traced(1)

    def _check_task(self) -> None:
        scaled, named = self.target_scaler is not None, self.task in ("multiclass", "multilabel")
        if self.task == "imputation" or scaled != (self.task == "regression"):
            raise ModtsError(
                f"A target scaler belongs to a regression and to no other task; the task is {self.task!r}."
            )
        pair = self.task == "classification" and len(self.classes) == 2
        if (named != bool(self.classes) and not pair) or len(set(self.classes)) != len(self.classes):
            raise ModtsError(
                f"For {self.task} the classes cannot be {self.classes}; multiclass and multilabel need their names."
            )

    @torch.inference_mode()
    def predict(
        self, X: np.ndarray, batch_size: int = 256, features=None, lengths=None
    ) -> np.ndarray | dict[str, np.ndarray]:
        """Raw windows X (N, T, F) with NaN -> probabilities (N,), of each class, label or step (N, K), or targets (N, K).

        Several heads give a dictionary. lengths (N,): steps of series that end before their window does, needed where windows are padded
        with NaN (see Backbone.latents); an answer at every step is NaN behind the end.

        Raises
        ------
        ModtsError
            Wrong shape, feature list or scale (see Backbone.check), a window without any value, or a batch size below 1.

        Warns
        -----
        ModtsWarning
            Windows that end in steps without any value, without lengths; and, of fewer than 32 windows, a variable that may be in another
            unit: its median in a window lies more than 8 deviations from the training mean, or more than 3 and is over 6 times that mean or
            under a sixth of it.
        """
        whole(batch_size, "The batch size")
        if self.backbone.training:  # somebody has trained it since
            self.backbone.eval()
        steps = np.shape(X)[1] if np.ndim(X) == 3 else None
        X, lengths = cut(X, lengths, self.backbone.n_steps)
        X = np.require(self.backbone.check(X, features), requirements=("C", "W"))  # PyTorch takes no other array
        values = torch.from_numpy(X).to(self.backbone.device)
        if lengths is None:
            parts = [self._run(part) for part in (values.split(batch_size) if len(values) > batch_size else [values])]
        else:
            every = range(0, len(values), batch_size)
            parts = [self._to_the_end(values, lengths, slice(start, start + batch_size)) for start in every]
        outputs = parts[0] if len(parts) == 1 else map(torch.cat, zip(*parts, strict=True))
        answers = {name: self._answer(output) for name, output in zip(self.heads, outputs, strict=True)}
        if lengths is not None and self.task in ("stepwise", "regression"):
            nothing = behind(lengths, self.backbone.n_steps)
            for name, answer_ in answers.items():
                if answer_.shape == nothing.shape and answer_.shape[1] > 1:  # an answer at every step
                    answers[name] = np.where(nothing, np.float32(np.nan), answer_)[:, :steps]
        return answers[""] if self.single else answers

    def save(self, path: str | Path, **notes) -> Path:
        """Write backbone, heads, pooling, target scaler and trace setting as one whole safetensors file, and its card beside it as <file>.json.

        Parameters
        ----------
        path : str or Path
            Ends in .safetensors; "~" is your home. A file that modts did not write is never overwritten.
        **notes
            What else the card shall say, such as cohort="mine".

        Returns
        -------
        Path
            What modts.load_predictor reads, on any machine.

        Raises
        ------
        ModtsError
            See Backbone.save; and heads whose names are not words.
        """
        from .saved import save

        return save(self, path, **notes)

    def _to_the_end(self, values: torch.Tensor, lengths: np.ndarray, rows: slice) -> tuple[torch.Tensor, ...]:
        return self._pass(values[rows], ends_on(self.backbone.device, lengths, rows))

    def _run(self, X: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (self._traced(len(X)) if len(X) <= self.trace else self._pass)(X)

    def _traced(self, n: int):
        """The pass for n windows as TorchScript, its weights constants in it, once it has given the same answers as the pass itself
        on other windows."""
        made_of, traced = sum(map(attrgetter("_version"), self._weights)), self._traces.get(n)
        if traced is None or traced[0] != made_of:
            shape = (n, self.backbone.n_steps, len(self.backbone.features))
            generator = torch.Generator().manual_seed(0)
            gaps = (torch.rand(shape, generator=generator) < share for share in (0.5, 0.0, 0.8, 0.98, 1.0))
            windows = [torch.randn(shape, generator=generator).masked_fill(gap, float("nan")) for gap in gaps]
            first, *others = (window.to(self.backbone.device) * self._pass.std + self._pass.mean for window in windows)
            with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
                # of deprecation; and that what Python reads becomes constant: see below
                warnings.simplefilter("ignore")
                frozen = torch.jit.freeze(torch.jit.trace(self._pass, first.clone(), check_trace=False))
                pairs = [pair for X in others for pair in zip(frozen(X), self._pass(X), strict=True)]
                same = all(torch.allclose(ours, plain, rtol=1e-4, atol=1e-5) for ours, plain in pairs)
            if not same:
                raise ModtsError(
                    f"{self.backbone.name} decides by its input what to compute, which a trace cannot hold; leave `trace` at 0."
                )
            traced = self._traces[n] = made_of, frozen
        return traced[1]

    def _answer(self, output: torch.Tensor) -> np.ndarray:
        answer = output.cpu().numpy()
        return answer if self.target_scaler is None else self.target_scaler.inverse(answer[..., None])[..., 0]
