"""What a search came to: its trials as rows of results/search.csv, its winners as blocks of settings in profiles/tuned/<backbone>.yaml.

A profile that says `tuned: true` takes each backbone's winners below its own settings, and those of baselines (profiles/tuned/GRU.yaml) for
its baselines. The arms between frozen and fine-tuned have no search of their own: they take fine-tuning's winner and runner-up.
"""

from __future__ import annotations

import json

import yaml

from modts import runs

from .collect import read_table, table
from .profiles import tuned_path
from .search import Search, finished, journal, studies, study_of, winner
from .spaces import AS_FINETUNED, BASELINE

SEARCH_COLUMNS = (
    "search", "cohort", "backbone", "arm", "trial", "value", "auroc", "auroc_few", "mae", "capped", "settings", "seconds", "hardware", "recipe",
)  # fmt: skip


def rows(search: Search) -> list[dict]:
    """Every finished trial, in the order in which they were made."""
    found = []
    for backbone, arm in (pair for pair in studies(search) if journal(search, *pair).is_file()):
        study = study_of(search, backbone, arm)
        for number, trial in enumerate(finished(study)):
            known = {**trial.user_attrs, "settings": json.dumps(trial.user_attrs["settings"], sort_keys=True)}
            fixed = {"search": search.search, "cohort": search.cohort, "backbone": runs.backbone_label(backbone)}
            known |= fixed | {
                "arm": arm,
                "trial": number,
                "value": trial.value,
                "recipe": study.user_attrs["recipe"],
            }
            found.append({name: known.get(name, "") for name in SEARCH_COLUMNS})
    return found


def publish_search(search: Search) -> list[str]:
    """Write the trials into results/search.csv (those of other searches stay) and the winners into profiles/tuned/. Returns lines on it."""
    path, mine, said = runs.results_dir() / "search.csv", rows(search), []
    others = [row for row in read_table(path) if row["search"] != search.search]
    runs.atomic_write(path, table([*others, *mine], SEARCH_COLUMNS))
    said.append(f"results/search.csv: {len(mine)} trials of {search.search}")
    for backbone in dict.fromkeys(backbone for backbone, _ in studies(search)):
        label = runs.backbone_label(backbone)
        made = {
            arm: sum((row["backbone"], row["arm"]) == (label, arm) for row in mine)
            for other, arm in studies(search)
            if other == backbone
        }
        if min(made.values()) < search.trials:
            missing = ", ".join(f"{arm} {search.trials - n}" for arm, n in made.items() if n < search.trials)
            said.append(f"{backbone}: nothing is frozen, trials are missing ({missing})")
            continue
        runs.atomic_write(tuned_path(backbone), _tuned(search, backbone, list(made)))
        said.append(f"{backbone}: the winners are in {tuned_path(backbone).relative_to(runs.root())}")
    return said


def _pretraining(search: Search, backbone: str) -> dict:
    """The winning pretraining; of a schedule that falls to zero at the cap of epochs, the cap is a part."""
    chosen = winner(search, backbone, "frozen")
    cap = search.params("heads", backbone, chosen).epochs
    return chosen | ({"epochs": cap} if chosen.get("schedule") == "cosine" else {})


def _tuned(search: Search, backbone: str, arms: list[str]) -> str:
    """The winners as blocks of a profile; what trains whole has winner and runner-up, to be chosen from on each split's validation."""

    def best_two(arm):
        return [winner(search, backbone, arm, place) for place in (0, 1)]

    if arms == [BASELINE]:
        blocks = {"baselines": {"gru_settings": best_two(BASELINE)}}
    else:
        per_arm = {arm: best_two(arm) for arm in arms if arm != "frozen"}
        per_arm |= {arm: best_two("finetune") for arm in AS_FINETUNED if "finetune" in arms}
        blocks = {"pretrain": _pretraining(search, backbone), "end_to_end": {"per_arm": per_arm}}
    words = (
        f"# What `modts search {search.search}` chose by validation on {search.cohort}, {search.trials} trials an arm (results/search.csv).\n"
        "# The grid reads it where a profile says `tuned: true`. Written by the program; a new search writes it anew.\n"
    )
    return words + yaml.safe_dump(blocks, sort_keys=False, default_flow_style=None, width=140)
