"""The best that modular can do: latents of several backbones beside simple statistics, against boosted trees on these alone.

    MODTS_DATA=/data/tsdb python benchmarks/best.py          # writes results/best.csv; after `modts grid best`, from its predictions in work/

No weight is trained and nothing is chosen here. The log-odds of each ingredient are averaged, those of an ingredient first, with equal weights
that were written down before any of it was scored; what each is worth is told by leaving it out.
"""

from __future__ import annotations

import argparse
import itertools
import sys

import numpy as np

from modts import runs
from modts.book.columns import BEST
from modts.cohorts import EXTERNAL, SPLIT, by_test, load_cohort
from modts.learning import contrasts, score_seeds
from modts.study.arms import labelled
from modts.study.artefacts import baseline_for, tested
from modts.study.collect import read_runs, table
from modts.study.params import Baselines

COHORT, OUTSIDE, SHARES = "physionet_2012", "physionet_2012_c", (1.0, 0.1)
INGREDIENTS = {  # arm, head, pooling as the keys of predictions begin
    "boosted trees on statistics": ("LightGBM||statistics",),
    "logistic regression on statistics": ("Logistic regression||statistics",),
    "heads on latents, the paper's pooling": ("frozen|simple|paper", "frozen|complex|paper"),
    "heads on latents, mean, maximum and last": ("frozen|simple|mean+max+last", "frozen|complex|mean+max+last"),
    "trees on latents beside statistics": ("stacked||paper", "stacked||mean+max+last"),
}
ALL, BARE, RIVAL = "all of them", "without any latents", "boosted trees on statistics"


def predictions(profile: str) -> tuple[list[dict[str, np.ndarray]], list[dict]]:
    """What heads of each backbone predict for the cohort, and the records of their runs."""
    folder = runs.work_dir() / profile
    records = [
        record
        for record in read_runs(folder / "runs")
        if record["cohort"] == COHORT and record["stage"] == "heads" and not record["params"].get("variant")
    ]
    return [runs.read_arrays(folder / "predictions" / f"{record['run']}.npz") for record in records], records


def statistics(found: list[dict]) -> dict[str, np.ndarray]:
    """What trees and the linear model on statistics predict from the labels of every place of the heads, under keys like theirs.

    They are the baselines' own, from disk where the grid has fitted them.
    """
    start = INGREDIENTS["heads on latents, the paper's pooling"][0] + "|"
    places = sorted({key.removeprefix(start) for arrays in found for key in arrays if key.startswith(start)})
    made = {}
    for place in (place for place in places if not place.endswith(f"|{EXTERNAL}")):
        share, seed, _, draw = place.split("|")
        params = Baselines(cohort=COHORT, external=OUTSIDE, seeds=[int(seed)])
        cohort = tested(COHORT, OUTSIDE, int(seed))
        rows = labelled(cohort, float(share), int(seed), int(draw))
        for (key,) in (INGREDIENTS[name] for name in recipes()[BARE]):
            said = baseline_for(params, key.split("|")[0], int(seed), rows)[0]["test"]
            for test, which in by_test(cohort).items():
                made[f"{key}|{place}" + (f"|{EXTERNAL}" if test == EXTERNAL else "")] = said[which]
    return made


def log_odds(p: np.ndarray) -> np.ndarray:
    p = np.clip(p.astype(np.float64), 1e-4, 1 - 1e-4)
    return np.log(p / (1 - p))


def mixed(found: list[dict], place: str, ingredients) -> np.ndarray | None:
    """The mean log-odds of these ingredients for one share, split, draw and test (as the keys of predictions end); None if one is not there."""
    parts = []
    for name in ingredients:
        some = [
            arrays[f"{start}|{place}"]
            for start in INGREDIENTS[name]
            for arrays in found
            if f"{start}|{place}" in arrays
        ]
        if not some:
            return None
        parts.append(np.mean([log_odds(p) for p in some], axis=0))
    return 1 / (1 + np.exp(-np.mean(parts, axis=0)))


def recipes() -> dict[str, tuple[str, ...]]:
    """All ingredients; those without latents; all but one; each alone."""
    every = tuple(INGREDIENTS)
    made = {ALL: every, BARE: tuple(name for name in every if "latents" not in name)}
    made |= {f"without {one}": tuple(name for name in every if name != one) for one in every}
    return made | {one: (one,) for one in every}


def entries(found: list[dict], share: float, test: str) -> tuple[list[tuple], list[int]]:
    """[(outcomes, {recipe: prediction})] of every split and draw of labels, and the split of each."""
    (rival,) = INGREDIENTS[RIVAL]
    ends = sorted(
        {key[len(rival) + 1 :] for arrays in found for key in arrays if key.startswith(f"{rival}|{share:g}|")}
    )
    out, splits, outcomes = [], [], {}
    for place in (end for end in ends if end.endswith(f"|{EXTERNAL}") == (test == EXTERNAL)):
        seed = int(place.split("|")[1])
        if seed not in outcomes:
            outcomes[seed] = (
                load_cohort(OUTSIDE).y if test == EXTERNAL else load_cohort(COHORT, seed=seed).part("test")[1]
            )
        made = {name: mixed(found, place, ingredients) for name, ingredients in recipes().items()}
        if all(p is not None for p in made.values()):
            out.append((outcomes[seed], made))
            splits.append(seed)
    return out, splits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="best")
    args = parser.parse_args()
    found, records = predictions(args.profile)
    if not found:
        sys.exit(
            f"No heads of the profile {args.profile!r} in {runs.work_dir()}; `modts grid {args.profile}` trains them."
        )
    found.append(statistics(found))
    names = [record["run"] for record in records]
    backbones = sorted({record["params"]["backbone"] for record in records})
    every = {"backbones": " ".join(backbones), "runs": " ".join(names), "code": runs.code_version()}
    pairs = {name: [(name, RIVAL)] for name in recipes()}
    lacking = [name for name in recipes() if name.startswith("without ")]
    pairs |= {f"share of {name.removeprefix('without ')}": [(ALL, name)] for name in lacking}
    rows = []
    for share, test in itertools.product(SHARES, (EXTERNAL, SPLIT)):
        some, splits = entries(found, share, test)
        own = {
            name: score_seeds("classification", [(y, p[name]) for y, p in some], splits=splits) for name in recipes()
        }
        about = every | {"label_fraction": share, "test": test, "splits": len(set(splits)), "draws": len(splits)}
        for metric, told in contrasts("classification", some, pairs, splits=splits).items():
            for name, effect in told.items():
                value, low, high = own[name][metric] if name in own else ("", "", "")
                numbers = {
                    "value": value,
                    "low": low,
                    "high": high,
                    "difference": effect["difference"],
                    "p": effect["p"],
                }
                numbers |= {"low_difference": effect["low"], "high_difference": effect["high"]}
                rows.append(
                    about | {"metric": metric, "recipe": name} | {key: _text(one) for key, one in numbers.items()}
                )
                if name == ALL:
                    print(
                        *(rows[-1][key] for key in ("label_fraction", "test", "metric", "value", "difference")),
                        flush=True,
                    )
    runs.atomic_write(
        runs.results_dir() / "best.csv", table([{name: str(row[name]) for name in BEST} for row in rows], BEST)
    )


def _text(value) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"


if __name__ == "__main__":
    main()
