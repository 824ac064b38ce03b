"""The generated parts of the book: `python -m modts.pages` reads result files and writes `book/_generated`.

Pages never train. Everything with a number in it (sentences, tables, pictures, downloads) is made here from rows; the
pages of `book/` hold the words around them and include these pieces. When nothing the pages read has changed since the
last time, nothing is written.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from modts import (
    diagram,
    figures,
    fragments,
    prose,
    record_pages,
    results,
    runs,
    score_pages,
    speed_pages,
    study_pages,
    tables,
)  # fmt: skip
from modts.results import Results

CODE = (
    "pages", "score_pages", "study_pages", "speed_pages", "record_pages", "fragments", "prose", "figures", "diagram",
    "tables", "verdicts", "results",
)  # fmt: skip


def front(found: Results) -> str:
    """Three sentences and one picture."""
    out = [fragments.bullets(prose.front(found))]
    rows, _ = prose.front_rows(found)
    rows = score_pages.for_figure(rows[rows["source"] == ""])
    if len(rows[rows["arm"] != "baseline"]):
        title = found.title(rows["cohort"].iloc[0])
        panels = [
            (f"{tables.percent(value)} of the labels", score_pages.at(rows, value))
            for value in score_pages.fractions(rows)
        ]
        out.append(
            fragments.picture(
                figures.save(
                    lambda narrow: figures.dots(panels, "auroc", narrow),
                    "front",
                    score_pages.alt(title, rows, "auroc"),
                    f"AUROC on {title}: each backbone trained in several ways, with 95 % intervals; lines "
                    "are simple models on summary statistics.",
                    fragments.out_dir(),
                )
            )
        )
    return "\n".join(out)


def flow() -> str:
    """The picture of the method."""
    return fragments.picture(figures.save(diagram.flow, "flow", diagram.ALT, diagram.CAPTION, fragments.out_dir()))


def fingerprint() -> str:
    """A hash of everything the generated pieces depend on: result files, the figures of others, and this code."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    code = [here / f"{name}.py" for name in CODE]
    data = sorted((runs.root() / "book" / "data").glob("*.csv"))
    for path in [*results.inputs(), *code, *data]:
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def build(force: bool = False) -> bool:
    """Write all generated pieces; returns False when they were up to date.

    Parameters
    ----------
    force : bool
        Write even if nothing has changed.
    """
    stamp, now = fragments.out_dir() / ".stamp", fingerprint()
    if not force and stamp.is_file() and stamp.read_text(encoding="utf-8") == now:
        return False
    found = results.collect()
    for name, text in {
        "front": front(found),
        "flow": flow(),
        "classification": score_pages.scored(found, "classification", ("auroc", "auprc")),
        "regression": score_pages.scored(found, "regression", ("mae", "mse")),
        "scarcity": score_pages.scarcity(found),
        "imputation": study_pages.imputation(found),
        "transfer": study_pages.transfer(found),
        "latency": study_pages.latency(found),
        "speed": speed_pages.speed(found),
        "cohorts": record_pages.cohorts(found),
        "claims": record_pages.claims(found),
        "status": record_pages.status(found),
    }.items():
        fragments.write(f"{name}.md", text)
    runs.atomic_write(stamp, now)
    return True


def main() -> int:
    """`python -m modts.pages [--force]`."""
    written = build(force="--force" in sys.argv[1:])
    print(f"{fragments.out_dir()}: {'written' if written else 'up to date'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
