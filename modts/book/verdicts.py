"""What the paper claims (arXiv 2411.03941, claims P1-P10) and what the stored results say to each.

A verdict is computed from rows and never typed. What stored rows say to the parts of a claim is in `checks`. So:

- *agrees*: our 95 % interval holds the paper's figure and is no wider than four margins of equivalence, or its statement holds for every pair;
- *differs*: both errors together say so, after Holm's correction over all that is compared for the claims, by runs that had the chance of the
  paper's arm: its size, and training that ended because it was done;
- *differs at small size*: the same by runs of less chance, which decide nothing against the paper;
- *inside the noise*: the data cannot decide;
- *partly agrees*, *partly differs*: one of a claim's parts does, and of the others nothing can be said;
- *cannot tell yet*: the figure has no known error, or all data sets or backbones are asked and few were run;
- *not tested here yet*: no row answers.

Only real data count: the simulated cohorts prove nothing about the paper.
"""

from __future__ import annotations

from dataclasses import dataclass

from modts.study import LEVEL, holm

from .checks import (
    AGREES,
    CANNOT_TELL,
    CHECKS,
    DIFFERS,
    MIXED,
    PARTLY_AGREES,
    PARTLY_DIFFERS,
    SMALL,
    UNTESTED,
    Part,
    p_words,
)
from .results import Results, run_ids, training_record, written


@dataclass(frozen=True)
class Verdict:
    """One claim, the verdict's word, what was found in a sentence, the runs that say so, its parts, and why it may differ from the paper."""

    id: str
    claim: str
    word: str
    found: str
    runs: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    why: str = ""
    short: str = ""


def claims() -> list[dict]:
    """The claims as `book/data/claims.csv` lists them: id, claim, figures (name to number)."""
    rows = written("claims")
    for row in rows:
        pairs = (part.split("=") for part in row["figures"].split(";") if part)
        row["figures"] = {name: float(value) for name, value in pairs}
    return rows


def near_chance() -> dict[str, float]:
    """The figures of P3: backbone to AUROC."""
    (row,) = (row for row in claims() if row["id"] == "P3")
    return {name.upper(): value for name, value in row["figures"].items()}


def had_its_chance(results: Results, ran: tuple[str, ...]) -> tuple[bool, str]:
    """Whether these runs had the paper's size and ended because they were done; and what they lacked, in words."""
    sizes, capped, unknown, records = set(), set(), False, results.runs
    for name in ran:
        record = records.get(name, {})
        params, stage = record.get("params", {}), record.get("stage")
        sizes |= {params["size"]} if params.get("size") else set()
        record = training_record(records, name)
        if stage in ("heads", "transfer", "end_to_end", "pretrain"):
            unknown |= record.get("capped") is None
            capped |= (
                {str(params.get("e2e_epochs" if stage == "end_to_end" else "epochs"))}
                if record.get("capped")
                else set()
            )
    lacks = [f"size {' and '.join(sorted(sizes))}"] if sizes - {"paper"} else []
    lacks += [f"training ended at its cap of {' and '.join(sorted(capped))} epochs"] if capped else []
    lacks += ["it is not stored whether training had ended"] if unknown and not capped else []
    return not lacks, "; ".join(lacks)


def verdicts(results: Results) -> list[Verdict]:
    """The verdict on each claim, in the paper's order."""
    rows = claims()
    return decided(results, rows, [CHECKS[row["id"]](results, row["figures"]) for row in rows])


def decided(results: Results, rows: list[dict], parts: list[list[Part]]) -> list[Verdict]:
    """Verdicts from the parts of each claim: p is corrected over all parts of all claims (Holm), of which an untested claim counts as one."""
    every = [[part.p for part in some] or [1.0] for some in parts]
    corrected = iter(holm([p for some in every for p in some]))
    each = [[next(corrected) for _ in some] for some in every]
    out = []
    for row, some, least in zip(rows, parts, each, strict=True):
        if not some:
            none = "No stored result answers this claim yet."
            out.append(Verdict(row["id"], row["claim"], UNTESTED, none, why="not run here", short=row.get("short", "")))
            continue
        ran = tuple(run_ids(run for part in some for run in part.runs))
        words = [DIFFERS if p < LEVEL else part.word for part, p in zip(some, least, strict=True)]
        word = together(words)
        found = " ".join(part.found for part in some) + _corrected(some, least)
        fair, lacks = had_its_chance(results, ran)
        if DIFFERS in words:
            word = word if fair or word != DIFFERS else SMALL
            found += "" if fair else f" Less chance than the paper's: {lacks}."
        out.append(
            Verdict(row["id"], row["claim"], word, found, ran, tuple(some), "" if fair else lacks, row.get("short", ""))
        )
    return out


def together(words: list[str]) -> str:
    """The word for a claim from those for its parts.

    >>> together([DIFFERS, "inside the noise"]), together([AGREES, CANNOT_TELL]), together([AGREES, DIFFERS])
    ('partly differs', 'partly agrees', 'agrees in part, differs in part')
    """
    if len(set(words)) == 1:
        return words[0]
    if {AGREES, DIFFERS} <= set(words):
        return MIXED
    return PARTLY_DIFFERS if DIFFERS in words else PARTLY_AGREES if AGREES in words else CANNOT_TELL


def _corrected(some: list[Part], least: list[float]) -> str:
    """What the correction over the claims makes of p, where p alone would say that the two differ."""
    told = [f"{part.name} {p_words(p)}".strip() for part, p in zip(some, least, strict=True) if part.p < LEVEL]
    return f" Corrected over all that is compared for the claims, p is {' and '.join(told)}." if told else ""
