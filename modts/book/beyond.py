"""What the front page says beyond its answer: other ways to read latents, larger networks, other cohorts and transfers, a clause each."""

from __future__ import annotations

import pandas as pd

from modts.cohorts import EXTERNAL
from modts.study import ALL, SEARCHED

from . import answers, best, checks, effects, fragments
from .prose import count, listed, plural
from .results import ABOUT, Results, rank

TREES = "frozen - LightGBM"
OTHERWISE = "heads on latents, mean, maximum and last"  # a recipe of `best`


def read_otherwise(found: Results, cohort: str) -> list[str]:
    """How near to boosted trees the heads come when latents are read in the other way, with all labels; the mixtures are of this cohort."""
    rows = best.typed(found.best)
    rows = rows[(rows["recipe"] == OTHERWISE) & (rows["test"] == EXTERNAL) & (rows["metric"] == "auroc")]
    rows = rows[rows["label_fraction"] == 1.0]
    if rows.empty or cohort != "physionet_2012":
        return []
    row = rows.iloc[0]
    return [
        "**Read otherwise.** From mean, maximum and last state in place of the paper's reading, heads with all labels lie "
        f"{best.span(row)} from boosted trees: looked at afterwards, "
        "so it decides nothing ([](results/best.md))."
    ]


AT_SIZE = {
    "frozen - e2e_shipped": "the end-to-end classifier {term}`as PyPOTS ships it <As shipped>`",
    "frozen - LightGBM": "boosted trees on statistics",
}


def larger(found: Results, cohort: str) -> list[str]:
    """What the networks at their published sizes say, a line each, on the test that decides."""
    some = effects.effects_of(found, cohort, checks.HEADLINE)
    some = some[(some["metric"] == "auroc") & (some["backbone"] != ALL) & some["question"].isin(AT_SIZE)]
    out = []
    for name, part in some.groupby("backbone", sort=False):
        said = []
        for question, other in AT_SIZE.items():
            for _, row in part[part["question"] == question].iterrows():
                draws = f", {plural(int(row['n_draws']), 'draw')} of them" if row["label_fraction"] < 1 else ""
                said.append(
                    f"{answers.verb(row)} {other} with {effects.labels(row['label_fraction'])}{draws}: "
                    f"{answers.interval(row)}"
                )
        splits = plural(int(part["n_splits"].max()), "split")
        out.append(
            f"**The published size.** {fragments.plain(name)} alone, as large as in its paper, on a GPU ({splits}{effects.on_external(part)}). "
            f"The linear layer {'; it '.join(said)}."
        )
    return out


def elsewhere(found: Results, rows: pd.DataFrame) -> list[str]:
    """What was found on other cohorts, other tasks and of transfers, in words: a line a kind, what has the same answer told together."""
    summary, out = found.summary, []
    real = summary[~summary["cohort"].str.startswith("simulated") & ~summary["cohort"].isin(SEARCHED)]
    real = real[(real["profile"] != "quick") & (real["cohort"] != rows["cohort"].iloc[0]) & (real["arm"] == "frozen")]
    for task, what in (("regression", "A number instead of an outcome"), ("classification", "Other patients")):
        alike: dict = {}
        behind: list[str] = []
        for cohort in dict.fromkeys(real.loc[real["task"] == task, "cohort"]):
            profile = min(real.loc[(real["cohort"] == cohort) & (real["task"] == task), "profile"], key=rank)
            some, title = effects.effects_of(found, cohort, profile), fragments.plain(found.title(cohort))
            clause, whose = _first(some, answers.OTHERS)
            if clause:
                alike.setdefault(clause, []).append(f"{title} ({whose})")
            if _first_answer(some, {TREES: answers.OTHERS[TREES]}).startswith(answers.VERBS["worse"]):
                behind.append(title)
        said = [f"frozen {clause} on {listed(titles)}" for clause, titles in alike.items()]
        said += [f"boosted trees are ahead of it on {listed(behind)}"] if behind else []
        out += [f"**{what}** ([](results/{task}.md)): {'; '.join(said)}."] if said else []
    return [*out, *_moved(found)]


def _moved(found: Results) -> list[str]:
    """Transfers: how many ways have which answer, by the profile that speaks first; where another profile says something else, that too."""
    moved = pd.concat([found.external_effects, found.effects])
    moved = moved[(moved["source"] != "") & ~moved["cohort"].str.startswith("simulated")]
    ways: dict = {}
    for cohort, profile, source in dict.fromkeys(zip(moved["cohort"], moved["profile"], moved["source"], strict=True)):
        clause = _first_answer(effects.effects_of(found, cohort, profile, source), answers.MOVED_OTHERS)
        if clause:
            ways.setdefault((source, cohort), {})[profile] = clause
    alike, others, spoken = {}, [], set()
    for (source, cohort), clauses in ways.items():
        first = min(clauses, key=rank)
        there = (moved["cohort"] == cohort) & (moved["source"] == source) & (moved["profile"] == first)
        spoken |= set(moved.loc[there, "backbone"]) - {ALL}
        title = f"{fragments.plain(found.title(source))} to {fragments.plain(found.title(cohort))}"
        alike.setdefault(clauses[first], []).append(title)
        others += [
            f"{title}, {ABOUT.get(profile, f'profile {profile}')}: it {clause}"
            for profile, clause in clauses.items()
            if clause != clauses[first]
        ]
    several = len(ways) > 1
    said: list[str] = []
    for clause, titles in sorted(alike.items(), key=lambda pair: -len(pair[1])):
        told = next((side for side in answers.MOVED_OTHERS.values() if said and side in said[0]), "")
        words = clause.removesuffix(told) + "it" if told and clause.endswith(told) else clause
        said.append(
            words + (f" in {count(len(titles))} of {plural(len(ways), 'way')}" if several else f" ({titles[0]})")
        )
    if not said:
        return []
    names = listed(sorted(map(fragments.plain, spoken)))
    start = f"**Moved to other patients** ([](results/transfer.md), {names}): the frozen imputer"
    lost = "A moved network also loses the variables that two cohorts do not share."
    return [f"{start} {'; it '.join(said)}. {''.join(f'{other}. ' for other in others)}{lost}"]


def _first(some: pd.DataFrame, sides: dict[str, str]) -> tuple[str, str]:
    """The leading question that these effects answer with all labels, in words: "does worse than training everything end to end"; and who
    answers it, on how many splits or origins of a series: "GRU-D, three splits"."""
    for metric in ("auroc", "mae"):
        for question, row in answers.means(some, metric, 1.0, tuple(sides)).items():
            names = set(some.loc[some["question"] == question, "backbone"]) - {ALL}
            who = plural(len(names), "network") if row["backbone"] == ALL else fragments.plain(row["backbone"])
            return f"{answers.verb(row)} {sides[question]}", f"{who}, {plural(int(row['n_splits']), 'split')}"
    return "", ""


def _first_answer(some: pd.DataFrame, sides: dict[str, str]) -> str:
    return _first(some, sides)[0]
