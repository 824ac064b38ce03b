"""Does our training loop reach what PyPOTS's `fit` reaches? Same data, split, sizes, optimiser, epochs; validation MAE of both.

    .venv/bin/python -m pytest -c benchmarks/pytest.ini --rootdir benchmarks benchmarks/check_training_loop.py

Not part of `make bench`: it takes a quarter of an hour of its own. Each backbone is trained by PyPOTS's own class and by modts.training, both
with the masking PyPOTS uses in training (20 % of the values for SAITS, TimesNet and Autoformer, 10 % non-uniform for CSAI, none for BRITS and
GRU-D), and scored on the same hidden validation values. Means of three seeds, because one differs from the next by more than two per cent.
"""

import numpy as np
import peers
import pytest
import torch

from modts import backbones, runs
from modts.cohorts import load_cohort, mask
from modts.learning import batches, training

EPOCHS, BATCH, LR, SEEDS = 10, 32, 1e-3, (0, 1, 2)
MASKING = {
    "SAITS": ("point", 0.2),
    "TimesNet": ("point", 0.2),
    "Autoformer": ("point", 0.2),
    "CSAI": ("mnar_nonuniform", 0.1),
}


def theirs(backbone, Z_train, Z_val, hidden, seed):
    """The module that PyPOTS's fit trains."""
    MAE, Adam = backbones.pypots("nn.modules.loss").MAE, backbones.pypots("optim").Adam
    runs.seed_everything(seed)
    model = peers.untrained_imputer(
        backbone, batch_size=BATCH, epochs=EPOCHS, optimizer=Adam(lr=LR), training_loss=MAE, validation_metric=MAE
    )
    model.fit({"X": Z_train}, {"X": hidden, "X_ori": Z_val})
    return model.model


def ours(backbone, X, validate, seed):
    """The backbone, trained by our loop with PyPOTS's masking."""
    pattern, rate = MASKING.get(backbone.name, ("point", 0.0))
    windows = batches.Windows(backbone, X, pattern, rate)

    def step(i, batch_seed):
        return backbone.run(backbone.inputs(*windows.masked(i.numpy(), batch_seed)))[0]["loss"]

    training.fit(
        backbone,
        step,
        validate,
        n=len(windows),
        epochs=EPOCHS,
        patience=EPOCHS,
        batch_size=BATCH,
        lr=LR,
        seed=seed,
    )


@pytest.mark.parametrize("name", [name for name, row in backbones.BACKBONES.items() if row.imputes])
def bench_validation_error_of_the_loop(name, record):
    torch.set_num_threads(1)
    cohort, errors = load_cohort("simulated_icu", seed=0), []
    X, X_val = cohort.part("train")[0], cohort.part("val")[0]
    for seed in SEEDS:
        backbone = backbones.build(name, cohort, criterion="mae", options={"last_observation": "zero"}, seed=seed)
        Z_val, hidden = backbone.tensor(X_val), backbone.tensor(mask(X_val, "point", 0.1, seed=1))
        scored = torch.isnan(hidden) & ~torch.isnan(Z_val)

        @torch.no_grad()
        def error(backbone=backbone, hidden=hidden, Z_val=Z_val, scored=scored):
            backbone.eval()
            filled = [backbone.run(backbone.inputs(part))[0]["imputation"] for part in hidden.split(256)]
            return (torch.cat(filled) - torch.nan_to_num(Z_val))[scored].abs().mean().item()

        ours(backbone, X, error, seed)
        mine = error()
        module = theirs(backbone, backbone.tensor(X).numpy(), Z_val.numpy(), hidden.numpy(), seed)
        backbone.module.load_state_dict(module.state_dict())
        errors.append((mine, error()))
    mine, other = np.mean(errors, axis=0)
    record(
        f"validation MAE after {EPOCHS} epochs, {name}",
        "PyPOTS fit",
        mine,
        other,
        "s.d.",
        "0.98",
        len(SEEDS),
        f"simulated_icu, mean of seeds {', '.join(map(str, SEEDS))}",
    )
