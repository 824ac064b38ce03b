"""The page on status: what of the study is here and what is missing; when, where and with what every stored run was made."""

from __future__ import annotations

import html
from functools import partial

import pandas as pd

from modts import runs
from modts.backbones import BACKBONES, SIX
from modts.study import arm_name, tuned_path

from . import checks, fragments
from .columns import ROWS_AGAIN
from .prose import count, plural
from .results import ABOUT, PROFILES, Results, rank, written
from .tables import Cell, Table, number, percent, signed

STUDY = PROFILES[0]
BESIDE = (checks.HEADLINE, checks.CROSSING, "cpu")  # other profiles that the pages speak of
HALF = 5e-4  # of the third digit

SHORT = 7  # characters of a commit's hash, as git shows it


def plan() -> list[dict]:
    """What the study is to hold, as `book/data/plan.csv` lists it: by which networks, and what was cut, with the reason."""
    return written("plan")


def missing(found: Results) -> str:
    """What of the plan has its runs and what has not, with the reason."""
    every, body, whole = found.runs, [], 0
    records = [record for record in every.values() if record.get("profile") == STUDY]
    for row in plan():
        stages, of = row["stages"].split(), (row["cohort"], row["source"])
        params = [(r["stage"], r.get("params", {})) for r in records]
        ran = [(stage, p.get("backbone", "")) for stage, p in params if (p.get("cohort"), p.get("source", "")) == of]
        names = [""] if stages == ["baselines"] else row.get("of", "").split() or list(BACKBONES)
        here = [name for name in names if all((stage, name) in ran for stage in stages)]
        some = [name for name in names if name not in here and any((stage, name) in ran for stage in stages)]
        whole += here == names
        said = [*(name or "all of them" for name in here), *(f"{name} in part" for name in some)]
        left = [name or "all of them" for name in names if name not in (*here, *some)]
        left = ["every backbone"] if left == names and len(left) > 1 else left
        body.append([row["what"], *(Cell(", ".join(words) or "–", absent=not words) for words in (said, left))])
    planned = {name for row in plan() for name in row.get("of", "").split()}
    bare = [name for name in BACKBONES if name in planned and not tuned_path(name).is_file()]
    begun = sum(not line[1].absent for line in body)
    words = (
        f"Of {plural(len(body), 'part')} of the study {count(whole, 'none')} {'is' if whole == 1 else 'are'} whole and "
    )
    words += f"{count(begun - whole, 'none')} begun. What is missing has not had its computing time yet"
    words += f"; first, settings must be searched for {', '.join(bare)}." if bare else "."
    words += _beside(found)
    table = Table("What of the study is here", ["Part", "Here", "Missing"], body)
    return f"{words}\n\n{fragments.tables(table)}{fragments.bullets(_cut())}"


def _cut() -> list[str]:
    """What is not to run, so that the rest fits: a line a reason; the one of most parts is told last, of all others."""
    reasons: dict[str, list[str]] = {}
    for row in plan():
        if row.get("cut"):
            reasons.setdefault(row["cut"], []).append(row["what"])
    last = max(reasons, key=lambda why: len(reasons[why]), default="")
    few = [f"Cut from {', '.join(parts)}: {why}." for why, parts in reasons.items() if why != last]
    return [
        *few,
        *([f"Cut from {plural(len(reasons[last]), 'part')}{' more' if few else ''}: {last}."] if last else []),
    ]


def _beside(found: Results) -> str:
    """What runs beside the study, profile by profile, in a sentence."""
    said, every = [], found.runs
    for profile in BESIDE:
        some = [record for record in every.values() if record.get("profile") == profile]
        names = [name for name in BACKBONES if name in {one.get("params", {}).get("backbone") for one in some}]
        cohorts = dict.fromkeys(found.title(one.get("cohort") or one["params"]["cohort"]) for one in some)
        who = " and ".join(names) if len(names) < len(SIX) else plural(len(names), "network")
        said += [f"{who} on {' and '.join(cohorts)} ({ABOUT[profile]}, profile {profile})"] if names else []
    return f" Beside it: {'; '.join(said)}." if said else ""


def freezes(found: Results) -> str:
    """When the protocol was frozen, and each time why."""
    record = runs.frozen()
    if record is None:
        return fragments.note("No protocol is frozen yet.")
    every = [*record["before"], record]
    return fragments.bullets(
        [f"{one['frozen'].replace('T', ' ').removesuffix('Z')} UTC: {one['why'] or 'the first'}." for one in every]
    )


def again(found: Results) -> str:
    """Published rows that were made again: how many came back on their own split, and how far new splits fall."""
    rows = found.again
    if rows.empty:
        return fragments.note(
            "No published row has been made again yet: `python benchmarks/again.py` draws some and does."
        )
    apart = pd.to_numeric(rows["difference"])
    same, new = rows[rows["kind"] == "same split"], rows[rows["kind"] == "new split"]
    words = []
    left = ROWS_AGAIN - len(new)
    if left > 0:
        words.append(
            f"{count(len(new), 'none').capitalize()} of {count(ROWS_AGAIN)} rows drawn by lot have been made again so far."
        )
    if len(same):
        far = apart[same.index].abs()
        words.append(
            f"On a split of the published run, {count(int((far < HALF).sum()))} of {plural(len(same), 'number')} came back to the third digit; "
            f"the largest difference is {number(float(far.max()))}. (A head's third digit depends on what is trained in the same pass.)"
        )
    if len(new):
        inside, reach = int(pd.to_numeric(new["inside"]).sum()), apart[new.index]
        words.append(
            f"On a split that nobody used, {count(inside, 'none')} of {plural(len(new), 'number')} "
            f"{'lies' if inside == 1 else 'lie'} inside the published interval, which is of a mean over splits (one "
            f"split strays further); the differences reach from {signed(float(reach.min()))} to {signed(float(reach.max()))}."
        )
    body = [
        [
            f"{row.backbone or row.arm}, {arm_name(row.arm, row.head, row.pooling)}, {percent(float(row.label_fraction or 1))}, {row.test}",
            row.kind,
            number(float(row.published)),
            Cell(number(row.value), signed(float(row.difference))),
        ]
        for row in rows.itertuples()
    ]
    table = Table("Published numbers made again", ["Row", "On", "Published", "Again"], body)
    shown = fragments.bullets(words) + fragments.fold(
        "Row by row", fragments.tables(table) + fragments.downloads("again", rows, [table])
    )
    return fragments.heading(2, "Made again") + shown


def status(found: Results) -> str:
    """What is missing; when, where and with what every stored run was made."""
    if not found.runs:
        return fragments.note("No run has been stored yet.")
    out, every = [fragments.heading(2, "What is here and what is missing"), missing(found), again(found)], found.runs
    profiles = {record.get("profile", "") for record in every.values()}
    for profile in sorted(profiles, key=lambda name: (not name, rank(name), name)):
        records = [record for record in every.values() if record.get("profile", "") == profile]
        heading = f"Profile {profile}" if profile else "Benchmarks"  # those have no profile
        out.append(fragments.heading(2, heading))
        minutes = sum(_took(record) or 0 for record in records) / 60
        words = f"{len(records)} run{'' if len(records) == 1 else 's'}"
        places = sorted({record["place"] for record in records})
        words += f", {places[0]}" if len(places) == 1 else ""
        out.append(f"{words}; {minutes:.0f} minutes, all trainings added up.\n" if minutes else f"{words}.\n")
        kinds: dict[str, int] = {}
        for record in records:
            words = ", ".join(f"{name} {version}" for name, version in record.get("packages", {}).items())
            kinds[words] = kinds.get(words, 0) + 1
        machines = sorted({str(record.get("hardware", "")) for record in records})
        out.append(
            fragments.bullets(
                [
                    *(f"{number} run{'' if number == 1 else 's'} with {words}" for words, number in kinds.items()),
                    *(
                        f"Machine {number}: {machine}" if len(machines) > 1 else f"On {machine}"
                        for number, machine in enumerate(machines, 1)
                    ),
                ]
            )
        )
        columns = {
            "Started, UTC": lambda record: str(record.get("started", ""))[:16].replace("T", " "),
            "Took, s": lambda record: _known(_took(record)),
            "Memory, MB": lambda record: _known(record.get("peak_memory_mb")),
            "At cap": _capped,
            "Code": lambda record: str(record.get("code_version", ""))[:SHORT],
            **({"From": lambda record: record["place"]} if len(places) > 1 else {}),
            **({"Machine": partial(_place, machines)} if len(machines) > 1 else {}),
        }
        body = []
        for record in sorted(records, key=lambda record: record["run"]):
            cells = "".join(
                f'<td data-label="{name}">{html.escape(cell(record))}</td>' for name, cell in columns.items()
            )
            name = html.escape(record["run"])
            whole = html.escape(
                str(record.get("params", {}).get("backbone", ""))
            )  # a long run's name does not break inside this one
            name = name.replace(whole, f'<span class="modts-nowrap">{whole}</span>') if whole else name
            body.append(f'<tr id="{fragments.anchor(record["run"])}"><th scope="row">{name}</th>{cells}</tr>')
        head = "".join(f'<th scope="col">{name}</th>' for name in ("Run", *columns))
        out.append(
            fragments.raw(
                '<div class="modts-table modts-status" role="region" tabindex="0" '
                f'aria-label="Runs: {html.escape(heading)}"><table class="modts-stacks">'
                f"<thead><tr>{head}</tr></thead><tbody>" + "\n".join(body) + "</tbody></table></div>"
            )
        )
    return "\n".join(out)


def _took(record: dict) -> float | None:
    """Seconds of a run: from its last start to its end, or those of all its trainings where more than one start made them."""
    known = [record.get("seconds"), sum((record.get("timings") or {}).values()) or None]
    return max((value for value in known if value is not None), default=None)


def _known(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _place(machines: list[str], record: dict) -> str:
    """The number of a run's machine in the list above its table."""
    return str(machines.index(str(record.get("hardware", ""))) + 1)


def _capped(record: dict) -> str:
    """How many trainings of a run ended at their cap of epochs; a dash where it trains nothing or does not say."""
    capped = record.get("capped")
    return "–" if capped is None else str(len(capped)) if capped else "no"
