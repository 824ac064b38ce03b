"""The house style, where a machine can read it."""

import ast
import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "modts").rglob("*.py"))


def tracked():
    """Every file in git; outside a clone, every source file."""
    try:
        listed = (
            subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
            .stdout.decode()
            .split("\0")
        )
    except (OSError, subprocess.CalledProcessError):
        return [path for path in ROOT.rglob("*") if path.suffix in {".py", ".md", ".ipynb", ".yaml", ".yml", ".toml"}]
    return [ROOT / name for name in listed if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_short_and_says_what_it_is(path):
    text = path.read_text()
    assert text.count("\n") < 400
    assert ast.get_docstring(ast.parse(text)), "no docstring"


ROOMS = {
    name: import_module(f"modts.{name}")
    for name in ("book", "study", "asked", "serving", "learning", "backbones", "cohorts", "runs")
}


def imports(source):
    """(where from, name) of every import from the package, absolute ones only: those that cross from one room into another."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] == "modts":
            for alias in node.names:
                yield node.module.removeprefix("modts").removeprefix("."), alias.name
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("modts."):
                    yield alias.name.removeprefix("modts."), ""


ESTIMATORS = ROOT / "modts" / "sklearn.py"  # a room of one module


@pytest.mark.parametrize(
    "path", [p for p in MODULES if p.parent.name in ROOMS or p == ESTIMATORS], ids=lambda p: str(p.relative_to(ROOT))
)
def test_a_room_takes_from_others_what_they_offer(path):
    for module, name in imports(path.read_text()):
        if module in ("errors", "rooms"):
            continue
        if not module:  # `from modts import runs`, whose names are then checked one by one
            assert name == "runs", f"from modts import {name}: import from its room"
            used = re.findall(r"\bruns\.(\w+)", path.read_text())
            assert set(used) <= set(ROOMS["runs"].__all__) | set(PIECES["runs"]), f"{used}"
            continue
        assert module in ROOMS, f"from modts.{module} import {name}: import from the room, not from a module inside it"
        assert name in ROOMS[module].__all__, f"modts.{module} does not offer {name}"


PIECES = {room: [path.stem for path in (ROOT / "modts" / room).glob("[!_]*.py")] for room in ROOMS}


@pytest.mark.parametrize("room", ROOMS)
def test_what_a_room_offers_is_there_and_is_no_module(room):
    for name in ROOMS[room].__all__:
        assert getattr(ROOMS[room], name) is not None
        assert name not in PIECES[room], f"modts.{room}.{name} is a module too"
    assert ast.get_docstring(ast.parse((ROOT / "modts" / room / "__init__.py").read_text())).count("\n") >= 2
    with pytest.raises(AttributeError, match=f"modts.{room}' has no attribute 'nothing'"):
        ROOMS[room].nothing  # noqa: B018


def lint_imports(folder):
    command = [Path(sys.executable).with_name("lint-imports"), "--config", ROOT / "pyproject.toml", "--no-cache"]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(folder)}
    )


def test_no_arrow_runs_upwards(tmp_path):
    pytest.importorskip("importlinter", reason="the contract is checked with the extra `dev`")
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout
    shutil.copytree(ROOT / "modts", tmp_path / "modts", ignore=shutil.ignore_patterns("__pycache__"))
    with open(tmp_path / "modts" / "cohorts" / "splits.py", "a") as file:
        file.write("\nfrom modts.learning import pretrain\n")
    done = lint_imports(tmp_path)
    assert done.returncode == 1 and "modts.cohorts is not allowed to import modts.learning" in done.stdout, done.stdout


def test_no_file_names_a_folder_of_one_machine():
    pattern = re.compile(r"(?<![\w.$}/-])/(?:work|root|home/\w+|Users/\w+)/")
    found = []
    for path in tracked():
        if path.suffix in {".png", ".npz", ".gz"} or path.name.endswith("ignore") or path == Path(__file__):
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {pattern.search(line)[0]}")
    assert not found, "\n".join(found[:20])


def test_no_large_file_is_tracked():
    large = [(path.name, path.stat().st_size) for path in tracked() if path.stat().st_size > 5_000_000]
    assert not large
