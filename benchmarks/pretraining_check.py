"""Does our training loop reach what PyPOTS's `fit` reaches? Same data, split, sizes, optimiser, epochs; validation MAE of both.

    python benchmarks/pretraining_check.py [COHORT] [--epochs 20] [--seeds 0 1 2]

Each backbone is trained by PyPOTS's own class and by modts.training, both with the masking PyPOTS uses in training (20 % of the values for
SAITS, TimesNet and Autoformer, 10 % non-uniform for CSAI, none for BRITS and GRU-D), and scored on the same hidden validation values.
Writes results/pretraining_check.json. Three seeds a backbone, because one differs from the next by more than two per cent.
"""

import argparse
import time

import numpy as np
import torch

from modts import backbones, runs, training
from modts.cohorts import load_cohort
from modts.missingness import mask

MASKING = {
    "SAITS": ("point", 0.2),
    "TimesNet": ("point", 0.2),
    "Autoformer": ("point", 0.2),
    "CSAI": ("mnar_nonuniform", 0.1),
}
CLASSES = {"GRU-D": "grud.GRUD"}


def theirs(name, Z_train, Z_val, hidden, config, fixed, epochs, batch, lr, seed):
    """Validation MAE and seconds of PyPOTS's fit."""
    package, cls = CLASSES.get(name, f"{name.lower()}.{name}").split(".")
    model_class = getattr(backbones.pypots(f"imputation.{package}"), cls)
    MAE, Adam = backbones.pypots("nn.modules.loss").MAE, backbones.pypots("optim").Adam
    fixed = {k: v for k, v in fixed.items() if k != "diagonal_attention_mask"}
    if name == "CSAI":
        fixed |= {"removal_percent": 0.1, "increase_factor": 0.1}
    runs.seed_everything(seed)
    model = model_class(
        n_steps=Z_train.shape[1], n_features=Z_train.shape[2], **config, **fixed, batch_size=batch, epochs=epochs, optimizer=Adam(lr=lr),
        training_loss=MAE, validation_metric=MAE, device="cpu", verbose=False, model_saving_strategy=None,
    )  # fmt: skip
    start = time.perf_counter()
    model.fit({"X": Z_train}, {"X": hidden, "X_ori": Z_val})
    seconds = time.perf_counter() - start
    return model.model, seconds


def ours(name, cohort, epochs, batch, lr, seed):
    """A backbone trained by our loop with PyPOTS's masking, and the seconds it took."""
    backbone = backbones.build(name, cohort, criterion="mae", options={"last_observation": "zero"}, seed=seed)
    pattern, rate = MASKING.get(name, ("point", 0.0))
    Z = backbone.tensor(cohort.part("train")[0])
    X, Z_val, hidden = cohort.part("train")[0], *validation(backbone, cohort)
    scored = torch.isnan(hidden) & ~torch.isnan(Z_val)
    now = {}

    def on_epoch(epoch_start):
        now["Z"] = backbone.tensor(mask(X, pattern, rate, seed=epoch_start))

    def step(i):
        return backbone.run(backbone.inputs(now["Z"][i], Z[i]))[0]["loss"]

    start = time.perf_counter()
    training.fit(
        backbone, step, lambda: error(backbone, hidden, Z_val, scored), n=len(Z), epochs=epochs, patience=epochs, batch_size=batch, lr=lr,
        seed=seed, on_epoch=on_epoch,
    )  # fmt: skip
    return backbone, time.perf_counter() - start


def validation(backbone, cohort):
    X = cohort.part("val")[0]
    return backbone.tensor(X), backbone.tensor(mask(X, "point", 0.1, seed=1))


@torch.no_grad()
def error(backbone, hidden, Z_val, scored):
    backbone.eval()
    filled = torch.cat([backbone.run(backbone.inputs(part))[0]["imputation"] for part in hidden.split(256)])
    return (filled - torch.nan_to_num(Z_val))[scored].abs().mean().item()


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("cohort", nargs="?", default="simulated_icu")
    arguments.add_argument("--epochs", type=int, default=20)
    arguments.add_argument("--batch", type=int, default=32)
    arguments.add_argument("--lr", type=float, default=1e-3)
    arguments.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    chosen = arguments.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name, row in backbones.BACKBONES.items():
        pairs = []
        for seed in chosen.seeds:
            cohort = load_cohort(chosen.cohort, seed=0)
            mine, my_seconds = ours(name, cohort, chosen.epochs, chosen.batch, chosen.lr, seed)
            Z_val, hidden = validation(mine, cohort)
            scored = torch.isnan(hidden) & ~torch.isnan(Z_val)
            Z_train = mine.tensor(cohort.part("train")[0]).numpy()
            module, their_seconds = theirs(
                name,
                Z_train,
                Z_val.numpy(),
                hidden.numpy(),
                mine.config,
                row.fixed,
                chosen.epochs,
                chosen.batch,
                chosen.lr,
                seed,
            )
            my_error = error(mine, hidden, Z_val, scored)
            mine.module.load_state_dict(module.state_dict())
            pairs.append((my_error, error(mine, hidden, Z_val, scored), my_seconds, their_seconds))
        mean = np.mean(pairs, axis=0)
        rows.append({
            "backbone": name, "ours": mean[0], "pypots": mean[1], "ratio": mean[0] / mean[1], "our_seconds": mean[2],
            "pypots_seconds": mean[3], "seeds": [list(map(float, pair)) for pair in pairs],
        })  # fmt: skip
        print(
            f"{name:10s} ours {mean[0]:.4f}  PyPOTS {mean[1]:.4f}  ratio {mean[0] / mean[1]:.3f}  seconds {mean[2]:.1f} / {mean[3]:.1f}",
            flush=True,
        )
    record = {
        "cohort": chosen.cohort, "data_hash": cohort.content_hash, "epochs": chosen.epochs, "batch_size": chosen.batch, "lr": chosen.lr,
        "seeds": chosen.seeds, "metric": "validation MAE on hidden values, z-scores", "rows": rows, "hardware": runs.hardware(),
        "code_version": runs.code_version(), "packages": runs.packages(), "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }  # fmt: skip
    runs.write_json(runs.results_dir() / "pretraining_check.json", record)


if __name__ == "__main__":
    main()
