"""The generated parts of the pages that keep the record: data sets, the paper's claims, status."""

from __future__ import annotations

import html
import json

import pandas as pd

from modts import fragments, prose, tables, verdicts
from modts.results import Results
from modts.tables import Cell, Table


def cohorts(found: Results) -> str:
    """The data sets that stored results come from."""
    if not found.cohorts:
        return fragments.note("No cohort has been described yet. `make book` describes the embedded ones.")
    order = sorted(found.cohorts.values(), key=lambda row: (row["name"].startswith("simulated"), row["name"]))
    body = []
    for row in order:
        target = row.get("target", "") + (f" [{row['target_unit']}]" if row.get("target_unit") else "")
        share = (
            f"{100 * row['prevalence']:.1f} % positive"
            if row.get("prevalence") is not None
            else f"mean {tables.number(row.get('target_mean'), 2)}, s.d. {tables.number(row.get('target_std'), 2)}"
        )
        body.append(
            [
                row.get("title", row["name"]),
                f"{row['n']:,}",
                " / ".join(f"{row.get(name, 0):,}" for name in ("train", "val", "test")),
                row.get("split_by", ""),
                f"{row['n_steps']} × {row['n_features']}",
                f"{100 * row['missing_rate']:.1f} %",
                Cell(target, share),
            ]
        )
    table = Table(
        "Windows, splits (split seed 0), size, share of missing cells, and target of every cohort behind the results",
        ["Cohort", "Windows", "Train / val / test", "Split", "Steps × features", "Missing", "Target"],
        body,
    )
    out = [fragments.raw(table.html()), fragments.downloads("cohorts", _flat(order), [table])]
    for row in order:
        source = html.escape(str(row.get("source", "")))
        source = f"<{row['source']}>" if source.startswith("http") else source
        out.append(f'## {row.get("title", row["name"])}\n\n`modts.load_cohort("{row["name"]}")`\n')
        out.append(
            fragments.bullets(
                [
                    f"Licence: {row.get('licence', '')}",
                    f"Cite: {row.get('citation', '')}",
                    *([f"Source: {source}"] if source else []),
                    f"Content hash: `{str(row.get('content_hash', ''))[:16]}`",
                    *(
                        f"{str(name).replace('_', ' ').capitalize()}: {_note(value)}"
                        for name, value in (row.get("notes") or {}).items()
                    ),
                ]
            )
        )
    return "\n".join(out)


def _note(value) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else f"`{json.dumps(value)}`"


def _flat(rows: list[dict]) -> pd.DataFrame:
    return pd.json_normalize(
        [{key: value for key, value in row.items() if key not in ("features", "units", "notes")} for row in rows]
    )


def claims(found: Results) -> str:
    """The paper's claims, each with the verdict of our rows."""
    outcome = verdicts.verdicts(found)
    kinds = {
        verdicts.AGREES: "agrees",
        verdicts.DIFFERS: "differs",
        verdicts.PARTLY: "partly",
        verdicts.NOISE: "noise",
        verdicts.CANNOT_TELL: "noise",
    }
    tested = [one for one in outcome if one.word != verdicts.UNTESTED]
    lines = [
        f"{prose.count(len(tested)).capitalize()} of the {prose.count(len(outcome))} claims have been tested so far.\n"
    ]
    for one in outcome:
        kind = kinds.get(one.word, "untested")
        lines.append(
            f":::{{div}} modts-claim\n**{one.id}.** {one.claim}\n\n"
            f"[{one.word}]{{.modts-verdict .modts-{kind}}} {one.found}\n:::\n"
        )
    rows = pd.DataFrame(
        [
            {"id": one.id, "claim": one.claim, "verdict": one.word, "found": one.found, "runs": ",".join(one.runs)}
            for one in outcome
        ]
    )
    lines += [
        fragments.downloads("claims", rows, []),
        fragments.how_made([run for one in outcome for run in one.runs], found.runs, "status.html"),
    ]
    return "\n".join(lines)


def status(found: Results) -> str:
    """When, where and with what every stored run was made."""
    if not found.runs:
        return fragments.note("No run has been stored yet.")
    out = []
    profiles = {record.get("profile", "") for record in found.runs.values()}
    for profile in sorted(profiles, key=lambda name: (not name, name)):
        records = [record for record in found.runs.values() if record.get("profile", "") == profile]
        heading = f"Profile {profile}" if profile else "Benchmarks"  # those have no profile
        out.append(f"## {heading}\n")
        minutes = sum(record.get("seconds") or 0 for record in records) / 60
        words = f"{len(records)} run{'' if len(records) == 1 else 's'}"
        places = sorted({record["place"] for record in records})
        words += f", {places[0]}" if len(places) == 1 else ""
        out.append(f"{words}; {minutes:.0f} minutes of computing in all.\n" if minutes else f"{words}.\n")
        kinds: dict[str, int] = {}
        for record in records:
            words = ", ".join(f"{name} {version}" for name, version in record.get("packages", {}).items())
            kinds[words] = kinds.get(words, 0) + 1
        machines = sorted({str(record.get("hardware", "")) for record in records})
        out.append(
            fragments.bullets(
                [
                    *(f"{number} runs with {words}" for words, number in kinds.items()),
                    *(f"On {machine}" for machine in machines),
                ]
            )
        )
        columns = {
            "Started, UTC": lambda record: str(record.get("started", ""))[:16].replace("T", " "),
            "Took": lambda record: _known(record.get("seconds"), "s"),
            "Memory": lambda record: _known(record.get("peak_memory_mb"), "MB"),
            "Code": lambda record: str(record.get("code_version", "")),
            **({"From": lambda record: record["place"]} if len(places) > 1 else {}),
            **({"Hardware": lambda record: str(record.get("hardware", ""))} if len(machines) > 1 else {}),
        }
        body = []
        for record in sorted(records, key=lambda record: record["run"]):
            cells = "".join(f"<td>{html.escape(cell(record))}</td>" for cell in columns.values())
            name = html.escape(record["run"])
            body.append(f'<tr id="{fragments.anchor(record["run"])}"><th scope="row">{name}</th>{cells}</tr>')
        head = "".join(f'<th scope="col">{name}</th>' for name in ("Run", *columns))
        out.append(
            fragments.raw(
                '<div class="modts-table modts-status" role="region" tabindex="0" '
                f'aria-label="Runs: {heading}"><table>'
                f"<thead><tr>{head}</tr></thead><tbody>" + "\n".join(body) + "</tbody></table></div>"
            )
        )
    return "\n".join(out)


def _known(value: float | None, unit: str) -> str:
    return "–" if value is None else f"{value:,.0f} {unit}"
