"""From a raw window with gaps to an answer, in one call: a frozen backbone and a head as one predictor.

The paper's promise is that the backbone is shared: several heads on one backbone cost one forward pass (`Predictor`
takes a dictionary of them).
"""

from __future__ import annotations

import numpy as np
import torch

from .backbones import Backbone
from .errors import ModtsError
from .heads import Head
from .latents import live
from .scaling import Scaler


class Predictor:
    """A backbone and its heads.

    Parameters
    ----------
    backbone : pretrained (see load_backbone).
    heads : one Head, or a dictionary of name -> Head: all of them read the same latents.
    pooling : the one the heads were trained on.
    target_scaler : of a regression target (see labels): all heads answer in its raw units then. None: a probability.

    Raises
    ------
    ModtsError : no head, a head that reads latents of another length or needs a target scaler, another kind of scaler.
    """

    def __init__(
        self,
        backbone: Backbone,
        heads: Head | dict[str, Head],
        pooling: str = "paper",
        target_scaler: Scaler | None = None,
    ):
        self.backbone, self.pooling, self.target_scaler = backbone.eval(), pooling, target_scaler
        self.single = isinstance(heads, Head)
        named = {"": heads} if self.single else heads
        if not isinstance(named, dict) or not named or not all(isinstance(head, Head) for head in named.values()):
            raise ModtsError("A predictor needs a Head, or a dictionary of name -> Head with at least one of them.")
        if target_scaler is not None and np.size(target_scaler.mean) != 1:
            raise ModtsError(
                f"The target scaler holds {np.size(target_scaler.mean)} means instead of one; give the one that "
                "labels() returns, not the backbone's."
            )
        self.heads = dict(named)
        empty = torch.full((1, backbone.n_steps, len(backbone.features)), float("nan"), device=backbone.device)
        with torch.inference_mode():
            size = live(backbone, empty, pooling)[1].shape[1]
        for name, head in self.heads.items():
            if head.mean.numel() != size:
                raise ModtsError(
                    f"The head {name!r} reads latents of length {head.mean.numel()}, but {backbone.name} with pooling "
                    f"{pooling!r} gives {size}; build it for the same backbone and pooling."
                )
            outputs = head.linears()[-1].out_features
            if target_scaler is None and outputs > 1:
                raise ModtsError(
                    f"The head {name!r} has {outputs} outputs, so its answer is no probability; give the target_scaler "
                    "that labels() returns."
                )
            head.to(backbone.device).eval()

    @torch.inference_mode()
    def predict(self, X: np.ndarray, batch_size: int = 256, features=None) -> np.ndarray | dict[str, np.ndarray]:
        """Raw windows X (N, T, F) with NaN -> probabilities (N,) or targets (N, K); several heads give a dictionary.

        Raises
        ------
        ModtsError : wrong shape, feature list or scale (see Backbone.check), or a batch size below 1.
        """
        if batch_size < 1:
            raise ModtsError(f"The batch size must be at least 1, got {batch_size}.")
        if self.backbone.training:  # somebody has trained it since
            self.backbone.eval()
        Z = self.backbone.tensor(X, features)
        parts = [live(self.backbone, part, self.pooling)[1] for part in Z.split(batch_size)]
        latents = parts[0] if len(parts) == 1 else torch.cat(parts)
        answers = {name: self._answer(head(latents)) for name, head in self.heads.items()}
        return answers[""] if self.single else answers

    def _answer(self, output: torch.Tensor) -> np.ndarray:
        if self.target_scaler is None:
            return torch.sigmoid(output[:, 0]).cpu().numpy()
        return self.target_scaler.inverse(output.cpu().numpy()[..., None])[..., 0]
