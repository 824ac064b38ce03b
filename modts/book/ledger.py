"""The ledger: every claim of the paper, suspicion, open question and next check, a row or more each, with figures, verdict and runs.

    python -m modts.book.ledger      # writes results/claims.csv from the published results

A suspicion is *supported* or *not supported* by the differences that the study names beforehand (results/effects.csv), on the test that
decides; where intervals or verdicts do not say so it *cannot* be told *yet*, and where nothing ran it is *not tested here yet*.
"""

from __future__ import annotations

import itertools

import pandas as pd

from modts import runs
from modts.backbones import SIX
from modts.study import ALL, HEAD_NAMES, question_name

from . import checks, effects, long, missingness, moves, verdicts
from .checks import CANNOT_TELL, UNTESTED
from .prose import plural, said
from .results import ABOUT, BETWEEN, PROFILES, Results, at, collect, fractions, rank, run_ids, written
from .tables import number, signed

COLUMNS = ("claim", "kind", "statement", "paper", "ours", "low", "high", "verdict", "why", "size", "run")
SUPPORTED, NOT_SUPPORTED = "supported", "not supported"
MEASURED = "measured"  # an open question whose answer is a size, not a yes or a no
CREDENTIALS = "MIMIC and the whole of eICU need credentials"
NOT_RUN = {  # why a question has no row yet
    "Q1": "the pretrainings under other patterns have not been run on real data",
    "Q2": "no transfer between real cohorts has been run yet",
    "N1": f"{CREDENTIALS}; of eICU the open demo stands among the cohorts here, too small to tell much",
    "N2": "on real data, heads on the latents of each pretraining have not been run; what pretraining changes in the error stands with Q1",
    "N3": "no series of more than 1,000 steps has been run yet",
}


def questions() -> list[dict]:
    """The suspicions, open questions and next checks as `book/data/questions.csv` lists them."""
    return written("questions")


def rows(found: Results) -> list[dict]:
    """The whole ledger, in the paper's order."""
    out = []
    for one in verdicts.verdicts(found):
        about = {"claim": one.id, "kind": "claim", "statement": one.claim, "verdict": one.word}
        if not one.parts:
            out.append(about | {"why": one.found})
        for part in one.parts:
            numbers = {"paper": part.theirs, "ours": part.ours, "low": part.low, "high": part.high}
            words = "; ".join(filter(None, (part.found.rstrip("."), one.why, part.apart)))
            out.append(about | numbers | {"why": words, "size": sizes(found, part.runs), "run": ",".join(part.runs)})
    for question in questions():
        about = {"claim": question["id"], "kind": question["kind"], "statement": question["statement"]}
        answers = ANSWERS[question["id"]](found) if question["id"] in ANSWERS else []
        if not answers:
            answers = [
                {"verdict": UNTESTED, "why": NOT_RUN.get(question["id"], "nothing that answers it has been run yet")}
            ]
        out += [about | answer | {"size": sizes(found, run_ids([answer.get("run", "")]))} for answer in answers]
    return [
        dict.fromkeys(COLUMNS, "") | {key: "" if value is None else value for key, value in row.items()} for row in out
    ]


def csv_of(some: list[dict]) -> str:
    """The ledger as a CSV file, numbers to six significant digits."""
    safe = [{name: runs.cell(value) for name, value in row.items()} for row in some]
    return pd.DataFrame(safe, columns=list(COLUMNS)).to_csv(index=False, float_format="%.6g", lineterminator="\n")


def sizes(found: Results, ran) -> str:
    """The sizes of the networks of these runs: "paper", "small", or both."""
    records = found.runs
    named = {records.get(name, {}).get("params", {}).get("size") for name in ran}
    return " and ".join(sorted(named - {None}))


def _differences(found: Results, question: str, supporting: tuple[str, ...], every: bool = False) -> list[dict]:
    """A row a profile that asked, of the mean over its backbones (with `every`, of each); `supporting`: the verdicts that do so."""
    asked = pd.concat([found.effects, found.external_effects])
    asked = asked[
        (asked["question"] == question) & (asked["metric"] == "auroc") & ~asked["cohort"].str.startswith("simulated")
    ]
    asked = asked[asked["profile"] != "quick"]
    if not every:
        asked = asked[asked["profile"] != BETWEEN]  # its fine-tuning is the study's, on fewer splits
    out = []
    for cohort, profile in sorted(
        set(zip(asked["cohort"], asked["profile"], strict=True)), key=lambda key: (key[0], rank(key[1]))
    ):
        some = effects.effects_of(found, cohort, profile)
        some = some[(some["question"] == question) & (some["metric"] == "auroc")]
        mean = some[some["backbone"] == ALL]
        own = effects.on_own_splits(found, cohort, profile)
        own = own[(own["question"] == question) & (own["metric"] == "auroc")]
        for _, row in (some if every or mean.empty else mean).iterrows():
            word = SUPPORTED if row["verdict"] in supporting else NOT_SUPPORTED
            word = CANNOT_TELL if row["verdict"] == "cannot tell" else word
            who = "mean over backbones" if row["backbone"] == ALL else row["backbone"]
            where = f"{found.title(cohort)}, {effects.labels(row['label_fraction'])}, {ABOUT.get(profile, f'profile {profile}')}"
            side = " for the frozen network" * question.startswith("frozen")
            why = f"{question_name(question)}, AUROC, {who}: {effects.span(row)}{side} ({where})"
            beside = at(own[own["backbone"] == row["backbone"]], row["label_fraction"])
            if len(beside) and beside.iloc[0]["verdict"] != row["verdict"]:
                why += f"; on the cohort's own test splits, which are smaller, {effects.span(beside.iloc[0])}"
            out.append(
                {
                    "ours": row["difference"],
                    "low": row["low"],
                    "high": row["high"],
                    "verdict": word,
                    "why": why,
                    "run": row["run"],
                }
            )
    return out


def _shipped(found: Results) -> list[dict]:
    """SAITS as shipped: weaker than the end to end done here, if their intervals lie apart, by profile and share; and whether it is at P3."""
    out, told = [], set()
    for test, where in ((found.external, "the external test"), (found.summary, "the test splits")):
        some = test[(test["backbone"] == "SAITS") & (test["metric"] == "auroc") & (test["cohort"] == "physionet_2012")]
        for profile, share in itertools.product((checks.HEADLINE, PROFILES[0]), fractions(some)):
            mine = at(some[some["profile"] == profile], share)
            pair = [mine[mine["arm"] == arm] for arm in ("e2e", "e2e_shipped")]
            if (profile, share) in told or any(part.empty for part in pair):
                continue
            told.add((profile, share))
            kept, shipped = (part.iloc[0] for part in pair)
            word = CANNOT_TELL
            if shipped["high"] < kept["low"] or shipped["low"] > kept["high"]:
                word = SUPPORTED if shipped["value"] < kept["value"] else NOT_SUPPORTED
            lead = f"AUROC of SAITS on {where}, {effects.labels(share)} ({ABOUT[profile]}): as shipped {said(shipped)}"
            numbers = {name: shipped[column] for name, column in (("ours", "value"), ("low", "low"), ("high", "high"))}
            numbers["run"] = shipped["run"]
            head = f"with a {HEAD_NAMES[kept['head']]} head"
            weaker = f"Weaker: {lead}, end to end as done here, {head}, {said(kept)}; not paired"
            out.append(numbers | {"verdict": word, "why": weaker})
            if profile == checks.HEADLINE:
                figure = verdicts.near_chance()["SAITS"]
                explains = SUPPORTED if shipped["low"] <= figure <= shipped["high"] else NOT_SUPPORTED
                words = f"It explains P3: {lead}, the paper {number(figure)}"
                out.append(numbers | {"paper": figure, "verdict": explains, "why": words})
    return out


def _trees(found: Results) -> list[dict]:
    """Boosted trees on statistics beside the figure of P5, both with their errors."""
    (figure,) = (row["figures"]["auroc"] for row in verdicts.claims() if row["id"] == "P5")
    some = checks.pick(found, cohort="physionet_2012", metric="auroc", backbone="LightGBM", label_fraction=1.0)
    out = []
    for _, row in some.iterrows():
        apart, error = row["value"] - figure, checks.figure_error(found, row["cohort"], "auroc", figure)
        both = ((row["high"] - row["low"]) ** 2 / (2 * 1.96) ** 2 + (error or float("nan")) ** 2) ** 0.5
        clear = abs(apart) > 1.96 * both
        word = (SUPPORTED if apart > 0 else NOT_SUPPORTED) if clear else checks.NOISE
        why = f"LightGBM on {found.title(row['cohort'])}, all labels: AUROC {said(row)}, P5 {number(figure)}"
        why += f"; the two lie {signed(apart)} apart, with a standard error of {number(both)}"
        numbers = {"paper": figure, "ours": row["value"], "low": row["low"], "high": row["high"]}
        out.append(numbers | {"verdict": word, "why": why, "run": row["run"]})
    return out


def _patterns(found: Results, heads: bool) -> list[dict]:
    """A row a real cohort on which patterns were crossed: what pretraining on single values costs on natural gaps, or how far heads move."""
    out, made = [], found.missingness
    for cohort, part in made[~made["cohort"].astype(str).str.startswith("simulated")].groupby("cohort", sort=False):
        lost = missingness.on_natural(missingness.table(part))
        words = missingness.heads(part) if heads else missingness.answer(missingness.table(part))
        if words and (heads or len(lost)):
            numbers = {} if heads else {"ours": lost.mean(), "low": lost.min(), "high": lost.max()}
            lead = (
                ""
                if heads
                else "Error on natural gaps, pretrained on single values, above that pretrained on them: mean and range over networks. "
            )
            out.append(numbers | {"verdict": MEASURED, "why": f"{found.title(cohort)}: {lead}{' '.join(words)}"})
    return out


def _interpolation(found: Results) -> list[dict]:
    """On each series, by each profile that ran it: for how many of the six the error on hidden values is above that of linear interpolation."""
    records, out = found.runs, []
    some = checks.pick(found, every=True, task="imputation", metric="mae", cohort=checks.SERIES, pattern="point")
    for (cohort, profile), part in some.groupby(["cohort", "profile"], sort=False):
        line, six = part[part["backbone"] == "Linear interpolation"], part[part["backbone"].isin(SIX)]
        if line.empty or six.empty:
            continue
        row, behind, ahead = (
            line.iloc[0],
            (six["low"] > line.iloc[0]["high"]).sum(),
            (six["high"] < line.iloc[0]["low"]).sum(),
        )
        half = len(SIX) / 2  # most of the six is asked: those that were not run count for neither side
        word = SUPPORTED if behind > half else NOT_SUPPORTED if ahead >= half else CANNOT_TELL
        centred = any(records.get(run, {}).get("params", {}).get("centre") for run in six["run"])
        where = (
            f"{found.title(cohort)} ({ABOUT.get(profile, profile)}), windows {'centred' if centred else 'not centred'}"
        )
        why = f"{where}: mean absolute error of interpolation {said(row)}; of {plural(len(six), 'backbone')} run {behind} "
        why += f"{'is' if behind == 1 else 'are'} clearly behind it, {ahead} clearly ahead"
        ran = ",".join(dict.fromkeys([row["run"], *six["run"]]))
        out.append(
            {"ours": row["value"], "low": row["low"], "high": row["high"], "verdict": word, "why": why, "run": ran}
        )
    return out


def _moved(found: Results) -> list[dict]:
    """What goes with a gain, over all pairs of real cohorts that were looked at; or how many pairs there are."""
    known = moves.pairs(found)
    if len(known):
        said, *others = (line.replace("**", "") for line in moves.answer(known))
        verdict = CANNOT_TELL if any(words in said for words in (moves.UNTOLD, moves.TOO_FEW)) else MEASURED
        return [{"verdict": verdict, "why": " ".join([said, *others]), "run": ",".join(run_ids(known["run"]))}]
    rows = found.summary
    rows = rows[(rows["arm"] == "transfer") & (rows["metric"] == "auroc") & ~rows["cohort"].str.startswith("simulated")]
    ways = dict.fromkeys(zip(rows["source"], rows["cohort"], strict=True))
    if not ways:
        return []
    why = f"what goes with a gain has not been looked at over {plural(len(ways), 'pair')} of real cohorts"
    return [{"verdict": CANNOT_TELL, "why": why, "run": ",".join(dict.fromkeys(rows["run"]))}]


def _from_eicu(found: Results) -> list[dict]:
    """What moving from eICU's open demo costs on each other hospital, against an imputer pretrained there."""
    out = {}
    for test in (found.external_effects, found.effects):
        some = test[
            (test["source"] == "eicu") & (test["question"] == "transfer - frozen") & (test["metric"] == "auroc")
        ]
        for _, row in some[some["label_fraction"] == 1.0].iterrows():
            why = f"{row['backbone']}, moved and frozen, minus {row['backbone']} pretrained there: {effects.span(row)}"
            why += f" (from the open demo of eICU to {found.title(row['cohort'])}, all labels, {ABOUT[row['profile']]}); {CREDENTIALS}"
            figures = {"ours": row["difference"], "low": row["low"], "high": row["high"], "run": row["run"]}
            out.setdefault((row["cohort"], row["backbone"]), figures | {"verdict": MEASURED, "why": why})
    return list(out.values())


ANSWERS = {
    "S1": _shipped,
    "S2": lambda found: _differences(found, "frozen - finetune", ("worse",)),
    "S3": _trees,
    "S4": _interpolation,
    "Q1": lambda found: _patterns(found, heads=False),
    "N1": _from_eicu,
    "N2": lambda found: _patterns(found, heads=True),
    "N3": lambda found: [
        {"verdict": MEASURED, "why": f"{found.title(name)}: {' '.join(long.answer(long.typed(part)))}"}
        for name, part in found.long.groupby("cohort", sort=False)
    ],
    "Q2": _moved,
    "Q3": lambda found: [
        row
        for question in ("norm - frozen", "last_block - frozen", "lora - frozen")
        for row in _differences(found, question, ("better",), every=True)
    ],
}


def main() -> None:
    path = runs.results_dir() / "claims.csv"
    runs.atomic_write(path, csv_of(rows(collect())))
    print(f"{path} written")


if __name__ == "__main__":
    main()
