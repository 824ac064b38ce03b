"""The house style, where a machine can read it."""

import ast
import re
import subprocess
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
