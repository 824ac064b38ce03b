"""Which code decides a number: the modules that a stage runs through, found by walking the package's imports, and a hash over them.

Nothing is kept by hand but where a stage begins (`ENTRIES`). A module that one of these imports, directly or not, counts, a new one too; a test
runs every stage and watches that what was executed is counted. Comments, docstrings and layout do not count.
"""

from __future__ import annotations

import ast
import contextlib
import itertools
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

from .files import key
from .owned import own_file

# Where a stage's stored units begin; a room stands for all its modules but those that a stage names itself.
_PRETRAIN = ("runs.seeding", "cohorts", "backbones.backbone", "learning.training")
_EXTRACT = (*_PRETRAIN, "backbones.latents")
ENTRIES = {
    "pretrain": _PRETRAIN,
    "extract": _EXTRACT,
    "heads": (*_EXTRACT, "learning.adaptation", "learning.sweep"),
    "end_to_end": (*_EXTRACT, "learning.adaptation"),
    "transfer": (*_EXTRACT, "learning.adaptation", "learning.sweep", "cohorts.alignment", "cohorts.synonyms"),
    "latency": (*_EXTRACT, "learning.adaptation", "serving.latency", "serving.predictor"),
    "baselines": ("runs.seeding", "cohorts", "learning.targets", "learning.baselines"),
}
ROWS = ("learning.intervals",)  # what turns stored predictions into rows, at every stage
BESIDE = {"heads": ("learning.fusion", "learning.baselines")}  # what a stage's runs go through beside its stored units
STUDY = (
    "study.artefacts",
    "study.arms",
    "study.units",
    "study.scoring",
    "study.fused",
    "study.moved",
    "study.experiments",
)  # what every stage of the study runs through
ANSWERS = ("study.effects", "learning.meta")  # what turns stored predictions into effects and verdicts
ONLY = {  # modules that only some backbones run through
    "backbones.loop": ("BRITS", "GRU-D", "CSAI"),
    "backbones.recurrent": ("BRITS", "GRU-D", "CSAI"),
    "backbones.attention": ("CSAI", "HELIX"),
    "backbones.blocks": ("SAITS", "TimesNet", "Autoformer", "HELIX"),
    "backbones.contrast": ("TS2Vec",),
    "backbones.helix": ("HELIX",),
    "backbones.own": ("own",),  # whatever the class
}
# An import that decides nothing for who does not name the module itself: Backbone.latents is a short way to modts.backbones.latents.
ASIDE = {
    ("backbones.backbone", "backbones.latents"),
    ("backbones.backbone", "backbones.exchange"),
    ("serving.predictor", "serving.saved"),
}
NEUTRAL = (
    "errors",
    "rooms",
    "runs.places",
    "runs.files",
    "runs.arrays",
    "runs.owned",
    "runs.code",
    "runs.provenance",
    "runs.protocol",
)  # where a number goes, not what it is


def code_hash(stage: str, backbone: str = "", rows: bool = False) -> str:
    """Twelve hex digits over the modules that decide a stage's stored units for a backbone; with `rows`, the rows of its runs.

    The file of a backbone of one's own counts as a whole, with its comments: its checkpoints ask for that very file.
    """
    modules, own = hash_of(*modules_of(stage, backbone, rows)), own_file(backbone)
    return key({"modts": modules, "class": own.cls, "file": own.sha256()}) if own else modules


@cache
def modules_of(stage: str, backbone: str = "", rows: bool = False) -> tuple[str, ...]:
    """Those modules, such as "learning.training", in alphabetical order."""
    backbone = "own" if own_file(backbone) else backbone
    return _reached([*ENTRIES[stage], *((*ROWS, *BESIDE.get(stage, ())) if rows else ())], backbone)


@cache
def protocol_modules() -> tuple[str, ...]:
    """All modules that decide a number of the study: every stage's for every backbone, and from predictions to verdicts."""
    return _reached([*itertools.chain(*ENTRIES.values()), *ROWS, *STUDY, *ANSWERS])


def _reached(entries: list[str], backbone: str = "") -> tuple[str, ...]:
    named = {name for names in ENTRIES.values() for name in names} - set(entries)
    waiting = [
        module for entry in entries for module in ([entry] if _file(entry) else _room(entry)) if module not in named
    ]
    found: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module in found or module in NEUTRAL or (backbone and backbone not in ONLY.get(module, (backbone,))):
            continue
        found.add(module)
        waiting += [other for other in _imports(module) if (module, other) not in ASIDE]
    return tuple(sorted(found))


def hash_of(*modules: str) -> str:
    """Twelve hex digits over modules of this package."""
    return key({module: _bare(_file(module).read_text(encoding="utf-8")) for module in modules})


def _package() -> Path:
    return Path(__file__).parent.parent


def _file(module: str) -> Path | None:
    path = _package().joinpath(*module.split(".")).with_suffix(".py")
    return path if path.is_file() else None


def _room(name: str) -> list[str]:
    return [f"{name}.{path.stem}" for path in sorted((_package() / name).glob("[!_]*.py"))]


def _imports(module: str) -> set[str]:
    """The package's modules that one of them imports, wherever the import stands in it."""
    room = module.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(_file(module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(
                *(
                    _named("", alias.name.removeprefix("modts."))
                    for alias in node.names
                    if alias.name.startswith("modts.")
                )
            )
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = ".".join(filter(None, (room, node.module)))
            elif node.module == "modts" or (node.module or "").startswith("modts."):
                base = node.module[len("modts.") :]
            else:
                continue
            found.update(*(_named(base, alias.name) for alias in node.names))
    return found


def _named(base: str, name: str) -> list[str]:
    """The modules behind `from modts.<base> import <name>`: a module, a room's offered name, or a whole room."""
    full = f"{base}.{name}" if base else name
    if _file(base):
        return [base]
    if _file(full):
        return [full]
    offered = _offers(base)
    if name in offered:
        return [f"{base}.{offered[name]}"]
    return _room(full)


@cache
def _offers(room: str) -> dict[str, str]:
    """name -> module, read from the call of `rooms.door` in a room's __init__."""
    path = _package().joinpath(*room.split("."), "__init__.py")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8") if path.is_file() else "")):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "door":
            return {name: module for module, names in ast.literal_eval(node.args[1]).items() for name in names.split()}
    return {}


@cache
def _bare(source: str) -> str:
    """Source without comments, docstrings and layout."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            node.body = body[1:] or [ast.Pass()]
    return ast.unparse(_FStrings().visit(tree))


class _FStrings(ast.NodeTransformer):
    """Every f-string as a name that reads like it, in quotes that stand nowhere in it: as Python 3.11 writes them. Later versions choose other
    quotes, and a hash must not depend on the Python at hand."""

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.FormattedValue:
        node.value = self.visit(node.value)
        if node.format_spec:
            self.generic_visit(node.format_spec)  # ".3f" is no string of its own
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.Name:
        self.generic_visit(node)
        texts, quotes = [], ["'", '"', '"""', "'''"]
        for part in node.values:
            written = ast.unparse(ast.JoinedStr([part]))[1:]
            n = 3 if written[:3] in quotes and len(written) > 5 else 1
            text = written[n:-n]
            quotes = [quote for quote in quotes if quote not in text] or ['"']
            quotes.sort(key=lambda quote, last=text[-1:]: quote[0] == last)
            texts.append(text)
        return ast.Name("f" + quotes[0] + "".join(texts) + quotes[0])


@cache
def code_version() -> str:
    """The git commit (with -dirty when modts differs from it), else the package's version."""
    folder = _package().parent
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        git = ["git", "-C", str(folder)]
        commit = subprocess.run(
            [*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, check=True, text=True
        ).stdout.strip()
        changes = subprocess.run(
            [*git, "status", "--porcelain", "modts"], capture_output=True, check=True, text=True
        ).stdout
        return commit + ("-dirty" if changes.strip() else "")
    return metadata.version("modts")
