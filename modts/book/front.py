"""The front page: yes, no or partly in two sentences, how sure and on what, and one forest plot."""

from __future__ import annotations

import pandas as pd

from modts.study import ALL, LEVEL, SEARCHED, margin

from . import answers, beyond, checks, effects, fragments, prediction
from .prose import listed, plural, seeds
from .results import ABOUT, SINGLE, Results, at, fractions, rank, training_record
from .tables import number

PAPER = "2411.03941"
QUESTIONS = ("frozen - e2e", "frozen - finetune", "frozen - untrained", "frozen - LightGBM")


def front_rows(results: Results) -> tuple[pd.DataFrame, bool]:
    """The classification rows the front page speaks of, and whether they are the real data's.

    PhysioNet 2012 from the largest published profile, else the simulated stays of the quick profile.
    """
    rows = checks.pick(results, cohort="physionet_2012", task="classification", metric="auroc")
    if len(rows[rows["arm"] != "baseline"]):
        return rows, True
    rows = results.summary
    rows = rows[
        (rows["cohort"] == "simulated_icu")
        & (rows["metric"] == "auroc")
        & (rows["source"] == "")
        & rows["pooling"].isin(SINGLE)
    ]
    return rows, False


WORDS = ("Yes", "Partly", "No")


def front(found: Results) -> str:
    """Yes, no or partly in two sentences, how sure, on what; one picture."""
    rows, real = front_rows(found)
    effects_ = _main_effects(found, rows)
    out = ["\n\n".join(verdict(found, rows, effects_, real))]
    if len(rows):
        key = tuple(rows[["cohort", "profile", "device"]].iloc[0])
        out.append(fragments.bullets(how_sure(found, rows, effects_), markup=True))
        out.append(effects.forest(found, key, "auroc", "front", QUESTIONS, slide=_slide(found, key, rows)))
        more = fragments.bullets(further(found, rows, effects_), markup=True)
        out.append(fragments.fold("Each network, larger ones, other data and tests", more))
    return "\n".join(out)


def _slide(found: Results, key, rows: pd.DataFrame) -> str:
    """The title of the figure for slides: what is predicted, from what data, by how many networks; and of which paper."""
    models = rows[(rows["arm"] != "baseline") & (rows["source"] == "")]
    splits = models["seeds"].max()
    return (
        f"Who dies in hospital, told from two days in intensive care: a linear layer on a frozen imputer beside other ways. "
        f"{found.title(key[0])}, {_stays(found, key, models):,.0f} test stays, {plural(int(splits), 'split')}, "
        f"{plural(models['backbone'].nunique(), 'network')}, profile {key[1]}. After arXiv {PAPER}."
    )


def _stays(found: Results, key, models: pd.DataFrame) -> float:
    """The test stays that decide: those from outside, where there are some."""
    outside = prediction.same(found.external, key)
    return (outside if len(outside) else models)["n_test"].max()


def _main_effects(found: Results, rows: pd.DataFrame) -> dict[float, dict[str, pd.Series]]:
    """Share of the labels -> question -> the mean over backbones."""
    if rows.empty:
        return {}
    some = _of(effects.effects_of(found, rows["cohort"].iloc[0], rows["profile"].iloc[0]), _networks(found, rows))
    every = {share: answers.means(some, "auroc", share) for share in fractions(rows)}
    return {share: part for share, part in every.items() if part}


def _of(some: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """The effects of these networks, and of the means those that are over just these."""
    asked = some[some["backbone"] != ALL].groupby("question")["backbone"].agg(set)
    mean = (some["backbone"] == ALL) & some["question"].map(lambda name: asked.get(name) == set(names)).astype(bool)
    return some[some["backbone"].isin(names) | mean]


def word(effects_: dict[float, dict[str, pd.Series]]) -> str:
    """Yes: nowhere worse than end to end, and no other way, all asked, is better. No: everywhere worse than end to end. Else: partly."""
    apart = [
        row["verdict"] for part in effects_.values() for name, row in part.items() if name.startswith("frozen - e2e")
    ]
    rivals = [part[name]["verdict"] for part in effects_.values() for name in QUESTIONS[1:] if name in part]
    if apart and all(verdict == "worse" for verdict in apart):
        return "No"
    held = apart and not {"worse", "cannot tell"} & set(apart)
    asked = all(name in part for part in effects_.values() for name in QUESTIONS[1:])
    return "Yes" if held and asked and "worse" not in rivals else "Partly"


def _clause(effects_, question: str, other: str, it: str = "it") -> str:
    """ "does as well as X with all labels, and cannot be told from it with 10 % of the labels"; "" where nothing was asked."""
    said: dict[str, list[float]] = {}
    for share, part in effects_.items():
        if question in part:
            said.setdefault(answers.verb(part[question]), []).append(share)
    clauses = []
    for verb, shares in said.items():
        whole = len(said) == 1 and len(shares) == len(effects_)
        where = "" if whole else f" with {' and '.join(map(effects.labels, shares))}"
        clauses.append(f"{verb} {it if clauses else other}{where}")
    return ", and ".join(clauses)


def verdict(found: Results, rows: pd.DataFrame, effects_, real: bool) -> list[str]:
    """The answer: a word and two sentences, without a number but the shares of the labels."""
    if rows.empty or not effects_:
        return [
            "No results are here yet: `make book` makes the quick ones. The published results have not been made yet."
        ]
    where = fragments.plain(found.title(rows["cohort"].iloc[0]))
    lead = f"On {where}" if real else f"The results on real data are not here yet; on {where}, which is generated"
    first = _clause(effects_, QUESTIONS[0], "training everything end to end") or "was not compared with end to end yet"
    untrained = _clause(effects_, "frozen - untrained", "the same layer on an untrained network")
    if untrained == f"{answers.VERBS['better']} the same layer on an untrained network":
        untrained += ", so what was learnt by filling gaps is of use"
    tuned = _clause(effects_, "frozen - finetune", "fine-tuning the pretrained network")
    trees = _clause(effects_, "frozen - LightGBM", "boosted trees on simple statistics of the same windows", "them")
    rest = "; it ".join(words for words in (untrained, tuned, trees) if words)
    names = _networks(found, rows)
    subject = (
        f"a linear layer on a frozen {names[0]}, the first network of the study," if len(names) == 1 else answers.FROZEN
    )
    sentences = [f"{lead}, {subject} {first}.", *([f"It {rest}."] if rest else []), *_apart(found, rows, effects_)]
    return [f"**{word(effects_)}.** {' '.join(sentences)}"]


def _apart(found: Results, rows: pd.DataFrame, effects_) -> list[str]:
    """A sentence where the networks of the mean do not agree among themselves: whose mean it is."""
    names = _networks(found, rows)
    some = effects.singles(effects.effects_of(found, *rows[["cohort", "profile"]].iloc[0]), QUESTIONS[0])
    agree = all(at(some, share)["verdict"].nunique() < 2 for share in effects_)
    if agree or len(names) < 2:
        return []
    told = listed([fragments.plain(name) for name in names])
    return [f"That is a mean of {told}, which do not agree: the picture shows each."]


def _networks(found: Results, rows: pd.DataFrame) -> list[str]:
    """The networks that the answer is about: those that were also trained end to end, or if none was, all."""
    models = rows[(rows["arm"] != "baseline") & (rows["source"] == "")]
    every = list(dict.fromkeys(models["backbone"]))
    some = effects.effects_of(found, *rows[["cohort", "profile"]].iloc[0])
    whole = set(effects.singles(some, QUESTIONS[0])["backbone"])
    return [name for name in every if name in whole] or every


def how_sure(found: Results, rows: pd.DataFrame, effects_) -> list[str]:
    """On what, how sure, what else was found, and what to do with it."""
    models = rows[(rows["arm"] != "baseline") & (rows["source"] == "")]
    alone = len(_networks(found, rows)) == 1
    out = [_on_what(found, rows, models, effects_)]
    some = effects.effects_of(found, *rows[["cohort", "profile"]].iloc[0])
    for share, part in effects_.items():
        if QUESTIONS[0] in part:
            row = part[QUESTIONS[0]]
            words = _surely(row, len(effects_), alone)
            between = f"Frozen minus end to end: a difference in AUROC of {answers.interval(row)}."
            out.append(f"**How sure, with {effects.labels(share)}.** {between} {words}{_by_auprc(some, share, row)}")
    names = _networks(found, rows)
    return [*out, *_advice(effects_, names, _of(some, names))]


def _surely(row: pd.Series, tests: int, alone: bool) -> str:
    """What an interval rules out, and what stands after the correction for so many tests; alone: of one network, not of a mean."""
    stands = f"after the correction for {'this one test' if tests == 1 else 'its two shares of the labels' if tests == 2 else f'{tests} tests'}"
    allowed = margin("auroc", 0.0)
    if row["verdict"] not in ("equivalent", "cannot tell"):
        open_ = row["low"] < allowed < row["high"] or row["low"] < -allowed < row["high"]
        return f"The difference stands {stands}{f'; whether it is more than {number(allowed, 2)} cannot be told' * bool(open_)}."
    matters = f"A {'' if alone else 'mean '}difference that would matter (of more than {number(allowed, 2)}) is"
    if row["verdict"] == "cannot tell":
        return f"{matters} not ruled out."
    return f"{matters} ruled out{f'; that it is not zero stands {stands}' * bool(row['p_holm'] < LEVEL)}."


def further(found: Results, rows: pd.DataFrame, effects_) -> list[str]:
    """What each network, other data, larger networks, more of them, and other tests say; and what may change the answer."""
    cohort, models = rows["cohort"].iloc[0], rows[(rows["arm"] != "baseline") & (rows["source"] == "")]
    mine = _of(effects.effects_of(found, *rows[["cohort", "profile"]].iloc[0]), _networks(found, rows))
    out = [*_one_by_one(mine, effects_), *_heads_alone(found, rows, effects_)]
    out += [
        *beyond.elsewhere(found, rows),
        *beyond.larger(found, cohort),
        *_others(found, rows),
        *_own_splits(found, rows),
    ]
    records = [record for name, record in found.runs.items() if name in set(models["run"])]
    small = "small" in {record.get("params", {}).get("size") for record in records}
    short = any(training_record(found.runs, record["run"]).get("capped") for record in records)
    out += beyond.read_otherwise(found, cohort)
    if small or short:
        what = "The networks here are small" + (", and training of some ended at its cap" if short else "")
        what = what if small else "Training of some networks ended at its cap"
        out.append(
            f"**What may change it.** {what}. Larger ones may give another answer; [](status.md) lists what ran."
        )
    return out


def _heads_alone(found: Results, rows: pd.DataFrame, effects_) -> list[str]:
    """What the networks say that have heads but were not trained end to end yet, which are no part of the answer."""
    answered = _networks(found, rows)
    some = effects.effects_of(found, *rows[["cohort", "profile"]].iloc[0])
    some = some[(some["metric"] == "auroc") & (some["backbone"] != ALL) & ~some["backbone"].isin(answered)]
    said = [words for question in QUESTIONS[2:] if (words := _tallies(some, question, effects_))]
    names = [fragments.plain(name) for name in dict.fromkeys(some["backbone"])]
    verb, be = ("has", "is") if len(names) == 1 else ("have", "are")
    return (
        [f"**Heads alone.** {listed(names)} {verb} no end to end yet and {be} no part of the answer. {' '.join(said)}"]
        if said
        else []
    )


def _tallies(some: pd.DataFrame, question: str, effects_) -> str:
    """ "Frozen minus untrained: with all labels, GRU-D better (+0.019).": the single networks of these effects; "" where there are none."""
    part = some[some["question"] == question]
    each = [
        f"with {effects.labels(share)}, {effects.each(at(part, share))}" for share in effects_ if len(at(part, share))
    ]
    return f"Frozen minus {NAMED[question]}: {'; '.join(each)}." if each else ""


def _one_by_one(some: pd.DataFrame, effects_) -> list[str]:
    """What each of several networks says to each question."""
    some = some[(some["metric"] == "auroc") & (some["backbone"] != ALL)]
    said = [words for question in QUESTIONS if (words := _tallies(some, question, effects_))]
    return [f"**Network by network.** {' '.join(said)}"] if said and some["backbone"].nunique() > 1 else []


def _on_what(found: Results, rows: pd.DataFrame, models: pd.DataFrame, effects_) -> str:
    """Whose stays, how many of them and of their labels train, choose and test; by how many networks and splits."""
    cohort, key, names = (
        rows["cohort"].iloc[0],
        tuple(rows[["cohort", "profile", "device"]].iloc[0]),
        _networks(found, rows),
    )
    networks = f"One network, {names[0]}" if len(names) == 1 else plural(len(names), "network").capitalize()
    about = found.cohorts.get(cohort, {})
    shares = sorted(share for share, part in effects_.items() if share < 1 and QUESTIONS[0] in part)
    outside = {found.runs.get(run, {}).get("params", {}).get("external") for run in models["run"]} - {None, ""}
    others = f" of {' and '.join(fragments.plain(found.title(name)) for name in sorted(outside))}" if outside else ""
    trained = ""
    if about.get("train"):
        few = f" ({effects.labels(shares[0])}: {int(shares[0] * about['train'])})" if shares else ""
        trained = (
            f" A split trains on the labels of {about['train']:,} stays{few}, and {about['val']:,} more labelled stays choose settings and "
            "say when to stop."
        )
    params = [found.runs.get(run, {}).get("params", {}) for run in models["run"]]
    searched = " and ".join(fragments.plain(found.title(name)) for name in SEARCHED)
    if trained and any(each.get("config") for each in params):
        trained += f" The networks' settings had been searched before, on labelled stays of {searched}; the trees had no such search."
    no_others, mean = (
        ("this network", "") if len(names) == 1 else ("these networks", "; each difference is a mean over the networks")
    )
    return (
        "**On what.** Who dies in hospital, told from the first two days in intensive care. "
        f"{networks}; {seeds(models).replace('seed', 'split')}.{trained} The test: {_stays(found, key, models):,.0f} stays{others}, "
        f"the same for both sides of every difference{mean}. It is about {no_others} and these patients, no others. The score is "
        "{term}`AUROC`: one half is a coin, one is perfect."
    )


def _by_auprc(some: pd.DataFrame, share: float, row: pd.Series) -> str:
    """What the other score says of the same difference, where it says another word."""
    other = answers.means(some, "auprc", share, QUESTIONS[:1]).get(QUESTIONS[0])
    if other is None or other["verdict"] == row["verdict"]:
        return ""
    return f" By {{term}}`AUPRC` the verdict is *{other['verdict']}*: {answers.interval(other)}."


NAMED = {
    "frozen - e2e": "end to end",
    "frozen - finetune": "fine-tuning",
    "frozen - untrained": "untrained",
    "frozen - LightGBM": "boosted trees",
}


def _own_splits(found: Results, rows: pd.DataFrame) -> list[str]:
    """Where the cohort's own test splits give another word than the external test, which decides."""
    cohort, profile = rows[["cohort", "profile"]].iloc[0]
    deciding = effects.effects_of(found, cohort, profile)
    if not (deciding["test"] == "external").any():
        return []
    names, other = _networks(found, rows), []
    own, deciding = _of(effects.on_own_splits(found, cohort, profile), names), _of(deciding, names)
    for share in fractions(rows):
        beside, decided = (_told(some, share) for some in (own, deciding))
        other += [
            f"minus {NAMED[question]}{who}, {effects.labels(share)}, {answers.interval(row)}: {row['verdict']}"
            for (question, who), row in effects.said_otherwise(beside, decided).items()
        ]
    if not other:
        return []
    return [
        f"**Where the cohort's own test splits say something else.** Frozen {'; '.join(other)}. They are smaller; the external test decides."
    ]


def _told(some: pd.DataFrame, share: float) -> dict[tuple[str, str], pd.Series]:
    """(Question, "") -> the mean over these networks; where there is none, (question, ", GRU-D") -> each network."""
    means = answers.means(some, "auroc", share, QUESTIONS)
    told = {(question, ""): row for question, row in means.items()}
    for question in QUESTIONS:
        if question not in means:
            single = at(effects.singles(some, question), share)
            told |= {(question, f", {fragments.plain(row['backbone'])}"): row for _, row in single.iterrows()}
    return told


def _others(found: Results, rows: pd.DataFrame) -> list[str]:
    """What the profile that comes next says of more networks than these, on the same data, in words."""
    named = rows.loc[rows["arm"] != "baseline", "backbone"].nunique()
    shown = rows["profile"].iloc[0]
    others = found.summary[(found.summary["cohort"] == rows["cohort"].iloc[0]) & (found.summary["profile"] != shown)]
    for profile in sorted(set(others["profile"]), key=rank):
        some = others[(others["profile"] == profile) & (others["arm"] == "frozen")]
        more = effects.effects_of(found, rows["cohort"].iloc[0], profile)
        means = {share: answers.means(more, "auroc", share, QUESTIONS) for share in fractions(some)}
        means = {share: part for share, part in means.items() if QUESTIONS[0] in part}
        if some["backbone"].nunique() > named and means:
            said = [
                _clause(means, question, NAMED[question]) for question in QUESTIONS if question != "frozen - untrained"
            ]
            networks = plural(some["backbone"].nunique(), "network").capitalize()
            by = f"{networks} by {ABOUT.get(profile, profile)}{EARLIER * (profile == 'cpu')}, in the mean"
            return [
                f"**More networks.** {by}: frozen {'; '.join(filter(None, said))}, each on the cohort's own test splits "
                "([](results/classification.md))."
            ]
    return []


EARLIER = " (small, most training ended at a cap, settings not searched)"


def _advice(effects_, names: list[str], some: pd.DataFrame) -> list[str]:
    """What a reader can do with it, from how frozen heads and boosted trees compare at each share of the labels.

    some : the effects of these networks, which speak one by one where no mean over just them was taken.
    """
    trees = {share: part[QUESTIONS[3]]["verdict"] for share, part in effects_.items() if QUESTIONS[3] in part}
    single = effects.singles(some, QUESTIONS[3])
    head, first = (
        f"a head on a frozen {names[0] if len(names) == 1 else 'imputer'}",
        "Begin with boosted trees on simple statistics",
    )
    ahead = [share for share, word in trees.items() if word == "better"]
    if not trees and single.empty:
        return []
    better = {share: at(single[single["verdict"] == "better"], share) for share in effects_}
    said = [
        f"{fragments.plain(row['backbone'])} with {effects.labels(share)}, {answers.interval(row)}"
        for share, some in better.items()
        for _, row in some.iterrows()
    ]
    if not trees:
        words = (
            f"{first}; ahead of them was a head on a frozen {'; '.join(said)}"
            if said
            else f"{first}: no head was ahead of them here"
        )
    elif len(ahead) == len(trees):
        words = f"A{head[1:]} came out ahead of boosted trees here; run both on your data"
    elif ahead:
        words = f"{first}; add {head} where labels are few (here: {listed(list(map(effects.labels, ahead)))})"
    else:
        words = f"{first}: {head} was not ahead of them here" + f" in the mean; ahead alone: {'; '.join(said)}" * bool(
            said
        )
    return [
        f"**What to do with it.** {words}. [](results/best.md) shows what both together reach, [](which.md) which network fills gaps best."
    ]
