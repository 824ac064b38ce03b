"""What stored rows say to each of the paper's claims P1-P10: one check a claim, which gives its parts (see verdicts).

The paper's figure has an error of its own, that of one AUROC on one test set (Hanley and McNeil 1982); of a mean absolute error none is known.
Only real data count: the simulated cohorts prove nothing about the paper.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import NormalDist

import pandas as pd

from modts.backbones import SIX
from modts.study import SEARCHED, margin

from . import timing
from .effects import interval
from .prose import plural, said
from .results import ABOUT, Results, device, rank, run_ids
from .tables import auroc_standard_error, number, signed

AGREES, DIFFERS, SMALL, NOISE = "agrees", "differs", "differs at small size", "inside the noise"
MOST = 4  # backbones of the six, below which nothing is said of every backbone
PARTLY_AGREES, PARTLY_DIFFERS, MIXED = "partly agrees", "partly differs", "agrees in part, differs in part"
CANNOT_TELL, UNTESTED = "cannot tell yet", "not tested here yet"
STAYS = ("physionet_2012", "physionet_2019", "eicu", "mimic")
SERIES = ("beijing_air", "italy_air", "ett_h1", "traffic")


@dataclass(frozen=True)
class Part:
    """One comparison that a claim rests on.

    Attributes
    ----------
    word : str
        The verdict if p does not say that it differs.
    found : str
        What was found, in a sentence.
    runs : tuple of str
    p : float
        Of no difference, both errors counted; 1 where they are not known.
    ours, our_error, theirs, their_error : float, optional
        The two figures, each with its standard error where one is known.
    low, high : float, optional
        Our 95 % interval.
    no_error : str
        Why ours has none, in a few words.
    digits : int
        Of the two figures, behind the point.
    change : bool
        The two are changes, which have a sign.
    apart : str
        What is other here than in the paper, in a few words.
    name : str
        What the part is of, where a claim has several.
    tally : str
        What stands for our figure where there is none: how many pairs say what.
    """

    word: str
    found: str
    runs: tuple[str, ...]
    p: float = 1.0
    ours: float | None = None
    our_error: float | None = None
    theirs: float | None = None
    their_error: float | None = None
    low: float | None = None
    high: float | None = None
    no_error: str = ""
    digits: int = 3
    change: bool = False
    apart: str = ""
    name: str = ""
    tally: str = ""


HEADLINE, CROSSING = "headline", "crossing"  # the profiles that give P3, P4 and P5, and P9, the published sizes


def pick(results: Results, first: str = "", every: bool = False, **want) -> pd.DataFrame:
    """Summary rows of real data with these columns, from the profile `first`, else the first of results.PROFILES that ran each cohort.

    `every` takes those of all profiles.
    A backbone of one's own says nothing about the paper, which did not have it.
    """
    rows = results.summary
    rows = rows[~rows["cohort"].str.startswith("simulated") & (rows["profile"] != "quick")]
    rows = rows[rows["pooling"].isin(["", "paper", "statistics"])]
    rows = rows[rows["backbone"].isin(SIX) | (rows["arm"] == "baseline")]
    for name, value in want.items():
        if isinstance(value, (tuple, list)):
            rows = rows[rows[name].isin(value)]
        elif isinstance(value, float):
            rows = rows[(rows[name] - value).abs() < 1e-9]
        else:
            rows = rows[rows[name] == value]
    rows = rows[~rows["cohort"].isin(SEARCHED)]
    order = rows.assign(rank=[rank(profile, first) for profile in rows["profile"]])
    best = order.groupby("cohort")["rank"].transform("min") if len(order) else order["rank"]
    return order[every | (order["rank"] == best)].drop(columns="rank")


def _against(results: Results, row: pd.Series, figure: float, what: str) -> Part:
    """Our row beside the paper's figure: the part's word, and p from both errors."""
    ran, low, high = tuple(run_ids([row["run"]])), row["low"], row["high"]
    theirs, ours = figure_error(results, row["cohort"], row["metric"], figure), (high - low) / (2 * 1.96)
    two = {"ours": row["value"], "our_error": None if pd.isna(ours) else ours, "theirs": figure, "their_error": theirs}
    if pd.isna(low):
        two["no_error"] = "no interval of ours yet"
        return Part(NOISE, f"{what}: {said(row)}, without an interval yet.", ran, **two)
    two |= {"low": low, "high": high}
    if low <= figure <= high:
        word, words = _holds(row["metric"], figure, low, high)
        return Part(word, f"{what}: {said(row)}{words}.", ran, **two)
    side = f"{what}: {said(row)}, {'above' if row['value'] > figure else 'below'} the paper's {number(figure)}"
    if theirs is None:
        return Part(CANNOT_TELL, f"{side}, of which no error is known.", ran, **two)
    p = 2 * NormalDist().cdf(-abs(row["value"] - figure) / (ours**2 + theirs**2) ** 0.5)
    return Part(
        NOISE, f"{side}, which has a standard error of {number(theirs)} itself (p {p_words(p)}).", ran, p, **two
    )


def _holds(metric: str, figure: float, low: float, high: float) -> tuple[str, str]:
    """The word for an interval that holds the paper's figure, and what to say of it: one that is wide enough holds every figure."""
    wide = (high - low) / 2 > 2 * margin(metric, figure)
    too_wide = ", an interval that holds the paper's figure and is too wide to agree with it"
    return (NOISE, too_wide) if wide else (AGREES, "")


def _outside(results: Results, row: pd.Series) -> str:
    """The same networks on stays from outside, in a sentence; "" where there are none."""
    rows = results.external
    same = ("run", "backbone", "arm", "head", "pooling", "label_fraction", "metric", "source")
    rows = rows[(rows[list(same)] == row[list(same)]).all(axis=1)]
    return f" On the {rows['n_test'].max():,.0f} stays of the external test: {said(rows.iloc[0])}." if len(rows) else ""


def figure_error(results: Results, cohort: str, metric: str, figure: float) -> float | None:
    """The standard error of one published AUROC on a test set of the size ours has; None where it cannot be known."""
    about = results.cohorts.get(cohort, {})
    positives, n_test = (about.get("positives") or {}).get("test"), about.get("test")
    if metric != "auroc" or not positives or not n_test:
        return None
    return auroc_standard_error(figure, positives, n_test - positives)


def p_words(value: float) -> str:
    """A p-value as it is told."""
    return "below 0.0001" if value < 0.0001 else f"{value:.2g}"


def _extreme(results, task, metric, figure, largest):
    rows = pick(results, every=True, task=task, metric=metric, arm="frozen").dropna(subset=["value"])
    if task == "regression":
        rows = rows[~rows["cohort"].str.startswith(STAYS)]  # the paper's numbers are of series
    if rows.empty:
        return []
    row = rows.loc[rows["value"].idxmax() if largest else rows["value"].idxmin()]
    cohorts = list(dict.fromkeys(results.title(name) for name in rows["cohort"]))
    of = "the one cohort run here" if len(cohorts) == 1 else f"the cohorts run here ({', '.join(cohorts)})"
    own = "its" if len(cohorts) == 1 else "their"
    where = f"{row['backbone']} on {results.title(row['cohort'])}"
    what = f"Best of {of}, with the paper's pooling, on {own} own test splits: {where}"
    part = _against(results, row, figure, what)
    reached = row["value"] >= figure if largest else row["value"] <= figure
    missing = set(STAYS if task == "classification" else SERIES) - set(rows["cohort"])
    if part.word != AGREES and (reached or missing):
        return [replace(part, word=AGREES if reached else CANNOT_TELL, p=1.0)]
    return [part]


def p1(results, figures):
    return _extreme(results, "classification", "auroc", figures["auroc"], largest=True)


def p2(results, figures):
    return _extreme(results, "regression", "mae", figures["mae"], largest=False)


def p3(results, figures):
    """As PyPOTS ships it is what the paper ran; the end to end of this book is told beside it, in short."""
    shipped, kept = [], []
    for backbone in ("SAITS", "CSAI"):
        asked = {"cohort": "physionet_2012", "metric": "auroc", "backbone": backbone, "label_fraction": 0.1}
        rows = pick(results, HEADLINE, **asked)
        for arm, words, parts in (
            ("e2e_shipped", "as PyPOTS ships it", shipped),
            ("e2e", "end to end as done here, with a Complex head", kept),
        ):
            some = rows[rows["arm"] == arm]
            if len(some):
                row, what = some.iloc[0], f"{backbone} {words}"
                part = _against(results, row, figures[backbone.lower()], what)
                told = part.found if arm == "e2e_shipped" else f"{what}: {said(row)}."
                parts.append(replace(part, found=told + _outside(results, row), name=backbone))
    if not shipped:
        return kept
    beside = "".join(f" {part.found}" for part in kept) + _chance_given(results, shipped[-1].runs)
    return [*shipped[:-1], replace(shipped[-1], found=shipped[-1].found + beside)]


def _chance_given(results: Results, ran: tuple[str, ...]) -> str:
    """How many draws of labels and learning rates whole networks had in these runs, in a sentence."""
    records = results.runs
    of = [
        record["params"] for name, record in records.items() if name in ran and "e2e_draws" in record.get("params", {})
    ]
    if not of:
        return ""
    draws, rates = plural(of[0]["e2e_draws"], "draw"), plural(len(of[0]["e2e_lrs"]), "learning rate")
    chose = f"chose {'between' if len(of[0]['e2e_lrs']) == 2 else 'among'} {rates} and when to stop"
    return f" Each split had {draws} of the labels, and its validation stays {chose}."


def _csai(results, figure, fraction):
    rows = pick(
        results,
        HEADLINE,
        cohort="physionet_2012",
        metric="auroc",
        arm="frozen",
        head="complex",
        backbone="CSAI",
        label_fraction=fraction,
    )
    if rows.empty:
        return []
    part = _against(results, rows.iloc[0], figure, "CSAI, frozen + Complex")
    return [replace(part, found=part.found + _outside(results, rows.iloc[0]))]


def p4(results, figures):
    return _csai(results, figures["auroc"], 0.1)


def p5(results, figures):
    return _csai(results, figures["auroc"], 1.0)


def p6(results, figures):
    """The claim is of a change, from one head to the other on the same latents: what our targets' scale is does not enter its sign."""
    asked = {"cohort": "beijing_air", "metric": "mae", "backbone": "Autoformer"}
    rows = pick(results, arm="frozen", **asked)
    changes = results.effects.merge(rows[["profile"]].drop_duplicates(), on="profile")
    changes = changes[(changes["question"] == "complex - simple") & (changes["label_fraction"] == 1.0)]
    changes = changes[(changes[list(asked)] == pd.Series(asked)).all(axis=1)]
    levels = " to ".join(f"{value:.3f}" for value in rows.set_index("head")["value"].reindex(["simple", "complex"]))
    said_, pair = "Autoformer, frozen: Complex minus Simple", (figures["simple"], figures["complex"])
    return [_beside(results, row, pair, f"{said_} {interval(row)} (from {levels})") for _, row in changes.iterrows()]


def _heads(results, cohorts, metric):
    """The paired tests of Complex against Simple on these cohorts, backbone by backbone, and how many are decided, in words."""
    rows = results.effects[results.effects["cohort"].isin(cohorts) & results.effects["backbone"].isin(SIX)]
    rows = rows[(rows["question"] == "complex - simple") & (rows["metric"] == metric) & (rows["label_fraction"] == 1.0)]
    largest = pick(results, cohort=cohorts, metric=metric, arm="frozen")[["profile", "cohort"]].drop_duplicates()
    mine = rows.merge(largest, on=["profile", "cohort"])
    better, worse = (mine[mine["verdict"] == word] for word in ("better", "worse"))
    names = ", ".join(dict.fromkeys(results.title(cohort) for cohort in mine["cohort"]))
    words = f"On {names}, paired on the same windows and corrected, Complex is {_tally(mine)}."
    words += " The correction over all the claims comes on top." if len(better) or len(worse) else ""
    others = rows[~rows["profile"].isin([*mine["profile"], "quick"])]
    for profile, part in others.groupby("profile", sort=False):
        words += f" By {ABOUT.get(profile, f'the profile {profile}')} it is {_tally(part)}."
    tally = f"{len(better)} better, {len(worse)} worse of {len(mine)}"
    return mine, better, worse, words, tally, tuple(run_ids(mine["run"]))


def _tally(rows: pd.DataFrame) -> str:
    """ "better in 1 of 2 pairs of a backbone and a cohort, equivalent in 1"; what is in none is not told."""
    kinds = {word: int((rows["verdict"] == word).sum()) for word in ("better", "worse", "equivalent")}
    left = len(rows) - sum(kinds.values())
    if len(rows) == 1:
        only = rows.iloc[0]
        return f"{'not told apart' if left else only['verdict']} for {only['backbone']}, the one backbone run there"
    first = f"better in {kinds['better']} of {len(rows)} pairs of a backbone and a cohort"
    told = [f"{word} in {kinds[word]}" for word in ("worse", "equivalent") if kinds[word]]
    return ", ".join([first, *told, *([f"and in {left} it cannot be told"] if left else [])])


def _undecided(rows: pd.DataFrame) -> str:
    """The word for pairs that decide nothing: of few backbones nothing is said of all."""
    return NOISE if rows["backbone"].nunique() >= MOST else CANNOT_TELL


def p7(results, figures):
    """The claim is about every backbone: one in which the heads are equal is a pair in which it does not hold."""
    rows, better, worse, words, tally, ran = _heads(results, SERIES, "mae")
    if rows.empty:
        return []
    every = len(better) == len(rows) and rows["backbone"].nunique() >= MOST
    open_ = len(better) and not rows["verdict"].isin(["worse", "equivalent"]).any()
    word = AGREES if every else PARTLY_AGREES if open_ else _undecided(rows)
    return [Part(word, words, ran, float(worse["p_holm"].min()) if len(worse) else 1.0, tally=tally)]


def p8(results, figures):
    rows, better, worse, words, tally, ran = _heads(results, ("eicu", "mimic"), "auroc")
    if rows.empty:
        return []
    against = float(better["p_holm"].min()) if len(better) and not len(worse) else 1.0
    often = AGREES if 2 * len(worse) >= len(rows) else PARTLY_AGREES  # the claim says "often"
    return [Part(often if len(worse) else _undecided(rows), words, ran, against, tally=tally)]


def p9(results, figures):
    """The claim is of two changes, from a native backbone to a moved one, with all labels."""
    asked = {"cohort": "physionet_2019", "metric": "auroc", "label_fraction": 1.0, "source": ("", "physionet_2012")}
    rows = pick(results, CROSSING, arm=("frozen", "transfer"), backbone=("CSAI", "GRU-D"), **asked)
    changes = results.effects.merge(rows[["profile", "backbone"]].drop_duplicates(), on=["profile", "backbone"])
    changes = changes[(changes["question"] == "transfer - frozen") & (changes["test"] == "split")]
    changes = changes[(changes["metric"] == "auroc") & (changes["label_fraction"] == 1.0)]
    changes = changes[(changes["cohort"] == "physionet_2019") & (changes["source"] == "physionet_2012")]
    found = [
        _change(results, change, rows[rows["backbone"] == change["backbone"]], figures)
        for _, change in changes.iterrows()
    ]
    apart = "the paper does not name its source, ours is PhysioNet 2012; our target is set B, stays of 48 hours or more, the paper's is set A; "
    apart += "its head is not known"
    return [replace(part, apart=apart) for part in found]


def _change(results: Results, change: pd.Series, rows: pd.DataFrame, figures: dict[str, float]) -> Part:
    """What moving a backbone changes here, beside what it changes in the paper."""
    name, levels = change["backbone"].replace("-", "").lower(), []
    for head in ("simple", "complex"):
        one = rows[rows["head"] == head].set_index("arm")["value"]
        levels += (
            [f"from {one['frozen']:.3f} to {one['transfer']:.3f}"] if {"frozen", "transfer"} <= set(one.index) else [""]
        )
    what = f"{change['backbone']}, moved and frozen, + Simple: {interval(change)} against native{f' ({levels[0]})' * bool(levels[0])}"
    what += f", and + Complex {levels[1]}" * bool(levels[1])
    return _beside(results, change, (figures[f"{name}_native"], figures[f"{name}_transfer"]), what)


def _beside(results: Results, change: pd.Series, pair: tuple[float, float], what: str) -> Part:
    """A change here beside the one between two of the paper's figures, whose errors are independent at most."""
    errors = [figure_error(results, change["cohort"], change["metric"], figure) for figure in pair]
    ours, theirs = change["difference"], round(pair[1] - pair[0], 6)
    error = (change["high"] - change["low"]) / (2 * 1.96)
    their_error = sum(one**2 for one in errors) ** 0.5 if all(errors) else None
    two = {
        "ours": ours,
        "our_error": error,
        "theirs": theirs,
        "their_error": their_error,
        "change": True,
        "name": change["backbone"],
        "low": change["low"],
        "high": change["high"],
    }
    ran = tuple(run_ids([change["run"]]))
    if change["low"] <= theirs <= change["high"]:
        word, words = _holds(change["metric"], pair[0], change["low"], change["high"])
        return Part(word, f"{what}{words}.", ran, **two)
    side = f"{what}; the paper has {signed(theirs)} (from {number(pair[0])} to {number(pair[1])})"
    if their_error is None:
        return Part(CANNOT_TELL, f"{side}, of which no error is known.", ran, **two)
    p = 2 * NormalDist().cdf(-abs(ours - theirs) / (error**2 + their_error**2) ** 0.5)
    same = "if its test set is like ours and its two figures err independently"
    return Part(
        NOISE, f"{side}, with a standard error of some {number(their_error)} {same} (p {p_words(p)}).", ran, p, **two
    )


def p10(results, figures):
    ratios = timing.latency_ratios(results)
    ratios = ratios[~ratios["cohort"].str.startswith("simulated")]
    if ratios.empty:
        return []
    high = ratios.loc[ratios["ratio"].idxmax()]
    near = 0.75 * figures["ratio"] <= high["ratio"] <= 1.25 * figures["ratio"]
    words = f"Latency's median end to end over its median modular, over all batch sizes: from {timing.ends(ratios)}."
    two = {"ours": float(high["ratio"]), "theirs": figures["ratio"], "digits": 2}
    kinds = " and ".join(sorted({device(text) for text in ratios["hardware"]}))
    two["no_error"] = f"no error of either: ours is one run on a {kinds} whose single calls are not stored"
    timed = results.latency[results.latency["run"].isin(ratios["run"])]
    shares = timing.stage_shares(timed)
    two["no_error"] += f", and whose stages add up to {timing.span_of(shares)} of their total" if len(shares) else ""
    return [Part(AGREES if near else CANNOT_TELL, words, tuple(dict.fromkeys(ratios["run"])), **two)]


CHECKS = {"P1": p1, "P2": p2, "P3": p3, "P4": p4, "P5": p5, "P6": p6, "P7": p7, "P8": p8, "P9": p9, "P10": p10}
