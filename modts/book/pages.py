"""The generated parts of the book: `python -m modts.book.pages` reads result files and writes `book/_generated`.

Pages never train. Everything with a number in it (sentences, tables, pictures, downloads) is made from rows by the module of its page; the
pages of `book/` hold the words around them and include these pieces. When nothing the pages read has changed since the last time, nothing is
written.
"""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

from modts import runs
from modts.errors import ModtsError
from modts.study import check_published

from . import (
    auprc,
    best,
    between,
    careless,
    choices,
    claims,
    cohorts,
    diagram,
    drift,
    fragments,
    front,
    imputation,
    internals,
    latency,
    latents,
    learn,
    long,
    missingness,
    moves,
    own_backbone,
    play,
    prediction,
    quiz,
    results,
    search,
    speed,
    status,
    teach,
    transfer,
    which,
)
from .figures import save

PAGES = {  # piece -> results -> its text
    "front": front.front,
    "flow": lambda found: fragments.picture(
        save(diagram.flow, "flow", diagram.ALT, diagram.CAPTION, fragments.out_dir())
    ),
    "auprc": auprc.twice,
    "house": lambda found: fragments.picture(diagram.house()),
    "classification": lambda found: prediction.scored(found, "classification", ("auroc", "auprc")),
    "regression": lambda found: prediction.scored(found, "regression", ("mae", "mse")),
    "scarcity": prediction.scarcity,
    "imputation": imputation.imputation,
    "choices": choices.choices,
    "missingness": missingness.missingness,
    "long": long.long,
    "best": best.best,
    "between": between.between,
    "why": careless.careless,
    "drift": drift.drift,
    "transfer": transfer.transfer,
    "moves": moves.moves,
    "latency": latency.latency,
    "speed": speed.speed,
    "internals": internals.internals,
    "own_backbone": own_backbone.own_backbone,
    "cohorts": cohorts.cohorts,
    "claims": claims.claims,
    "search": search.search,
    "status": status.status,
    "freezes": status.freezes,
    **learn.PIECES,
    **latents.PIECES,
    **play.PIECES,
    **quiz.PIECES,
    **teach.PIECES,
    **which.PIECES,
}


def fingerprint() -> str:
    """A hash of everything the generated pieces depend on: result files, the figures of others, this room's code and the names of arms, and
    for the chapters under "Learn", which compute, their text and the code of cohorts, latents and scores."""
    digest = hashlib.sha256()
    room = Path(__file__).parent
    code = [*sorted(room.glob("*.py")), room.parent / "study" / "names.py", diagram.contract()]
    data = sorted(
        path
        for path in (runs.root() / "book" / "data").glob("*")
        if path.suffix in (".csv", ".json", ".yaml", ".safetensors")
    )
    for stage, backbone in (("baselines", ""), ("extract", "BRITS")):
        digest.update(runs.code_hash(stage, backbone, rows=True).encode())
    for path in [*results.inputs(), *code, *data, *learn.sources()]:
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def included() -> list[list[str]]:
    """The pieces of each page of the book, in the order in which it includes them."""
    pages = sorted(path for path in (runs.root() / "book").rglob("*.md") if "_generated" not in path.parts)
    return [re.findall(r"_generated/([\w-]+)\.md", path.read_text(encoding="utf-8")) for path in pages]


def build(force: bool = False) -> bool:
    """Write all generated pieces; returns False when they were up to date.

    Parameters
    ----------
    force : bool
        Write even if nothing has changed.

    Raises
    ------
    ModtsError
        The published results do not agree with themselves, or a file cannot be read.
    """
    stamp, now = fragments.out_dir() / ".stamp", fingerprint()
    if not force and stamp.is_file() and stamp.read_text(encoding="utf-8") == now:
        return False
    check_published()
    found = results.collect()
    pieces = fragments.number({name: page(found) for name, page in PAGES.items()}, included())
    for name, text in pieces.items():
        fragments.write(f"{name}.md", text)
    runs.atomic_write(stamp, now)
    return True


def main() -> int:
    """`python -m modts.book.pages [--force]`: exit status 2 after a mistake."""
    try:
        written = build(force="--force" in sys.argv[1:])
    except ModtsError as error:
        print(f"modts: {error}", file=sys.stderr)
        return 2
    print(f"{fragments.out_dir()}: {'written' if written else 'up to date'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
