"""An imputer of one's own: two GRUs read values and mask, one forward and one backward, and one layer fills the gaps."""

import torch
from torch import nn
from torch.nn.functional import pad


class MyImputer(nn.Module):
    kind = "recurrent"  # a latent is the last state of each direction
    small = {"hidden": 32}  # the constructor's further arguments

    def __init__(self, n_steps, n_features, hidden):
        super().__init__()
        self.forwards, self.backwards = (nn.GRU(2 * n_features, hidden, batch_first=True) for _ in range(2))
        self.fill = nn.Linear(2 * hidden, n_features)

    def forward(self, Z, Z_true=None):  # (B, T, F) z-scores, NaN where missing
        seen, values = ~torch.isnan(Z), torch.nan_to_num(Z)
        read = torch.cat([values, seen.to(Z)], -1)
        ahead, back = self.forwards(read)[0], self.backwards(read.flip(1))[0]  # (B, T, hidden) each
        past, future = pad(ahead[:, :-1], (0, 0, 1, 0)), pad(back.flip(1)[:, 1:], (0, 0, 0, 1))
        guess = self.fill(torch.cat([past, future], -1))  # from the steps before and after, not from the step itself
        results = {"imputation": torch.where(seen, values, guess), "states": [ahead, back]}
        if Z_true is not None:
            known = (~torch.isnan(Z_true)).to(Z)
            errors = (guess - torch.nan_to_num(Z_true)) ** 2
            results["loss"] = (errors * known).sum() / known.sum().clamp(min=1)
        return results
