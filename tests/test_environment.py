"""pyproject.toml, uv.lock, environment.yml and what is installed agree; the project's files name what exists."""

import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK_TEXT = (ROOT / "uv.lock").read_text(encoding="utf-8")
LOCK = tomllib.loads(LOCK_TEXT)
LOCKED = {}  # name -> versions; a name has several where they depend on the Python version
for _package in LOCK["package"]:
    LOCKED.setdefault(_package["name"], []).append(_package["version"])
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
DIRECT = [
    (extra, Requirement(line))
    for extra, lines in [("", PROJECT["dependencies"]), *PROJECT["optional-dependencies"].items()]
    for line in lines
]
each_direct = pytest.mark.parametrize("requirement", [r for _, r in DIRECT], ids=[r.name for _, r in DIRECT])


def _pins(lines):
    return {canonicalize_name(r.name): r.specifier for r in map(Requirement, lines)}


def _pip_lines():
    return next(part["pip"] for part in CONDA["dependencies"] if isinstance(part, dict))


@each_direct
def test_a_direct_dependency_is_pinned_to_the_locked_version(requirement):
    (version,) = LOCKED[canonicalize_name(requirement.name)]
    (pin,) = requirement.specifier
    assert pin.operator == "==", f"{requirement} in pyproject.toml is no pin"
    assert requirement.specifier.contains(version), (
        f"{requirement} in pyproject.toml, {version} in uv.lock: run `uv lock`"
    )


@each_direct
def test_conda_pins_the_same(requirement):
    pins = _pins(line for line in _pip_lines() if not line.startswith("-e"))
    name = canonicalize_name(requirement.name)
    assert name in pins, f"environment.yml lacks {requirement}"
    assert pins[name] == requirement.specifier, (
        f"{name}{pins[name]} in environment.yml, {requirement} in pyproject.toml"
    )


def test_conda_has_nothing_else():
    lines = _pip_lines()
    assert [line for line in lines if line.startswith("-")] == ["-e ."]
    extra = set(_pins(line for line in lines if line != "-e .")) - {canonicalize_name(r.name) for _, r in DIRECT}
    assert not extra, f"environment.yml pins what pyproject.toml does not name: {sorted(extra)}"


def test_conda_python_is_allowed():
    python = next(part for part in CONDA["dependencies"] if isinstance(part, str) and part.startswith("python="))
    assert SpecifierSet(PROJECT["requires-python"]).contains(python.split("=")[1] + ".0")


def test_the_lock_is_made_from_this_pyproject():
    ours = next(package for package in LOCK["package"] if package["name"] == PROJECT["name"])
    assert ours["version"] == PROJECT["version"]
    wanted = {(extra, canonicalize_name(r.name), str(r.specifier)) for extra, r in DIRECT}
    locked = {
        (
            re.sub(r"extra == '(.+)'", r"\1", entry.get("marker", "")),
            entry["name"],
            entry.get("specifier", ""),
        )
        for entry in ours["metadata"]["requires-dist"]
    }
    assert wanted == locked, "uv.lock is older than pyproject.toml: run `uv lock`"
    assert LOCK["requires-python"] == PROJECT["requires-python"]


def test_the_lock_names_public_places_only():
    hosts = set(re.findall(r"https?://([^/\"]+)", LOCK_TEXT))
    assert hosts == {"pypi.org", "files.pythonhosted.org"}
    assert set(re.findall(r"source = \{ (\w+) = ", LOCK_TEXT)) == {"registry", "editable"}


@each_direct
def test_what_is_installed_is_what_is_locked(requirement):
    assert requirement.specifier.contains(metadata.version(requirement.name)), "run `make env`"


def test_the_command_is_installed():
    (entry,) = metadata.entry_points(group="console_scripts", name="modts")
    assert callable(entry.load())


def test_the_citation_is_complete():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["license"] == PROJECT["license"] == "BSD-3-Clause"
    assert str(citation["version"]) == PROJECT["version"] == metadata.version("modts")
    assert [author["name"] for author in citation["authors"]] == ["The modts contributors"]
    assert "2411.03941" in citation["references"][0]["url"]
    assert f"## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_make_target_that_a_page_names_exists():
    made = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", ".ci/run", ".github/workflows/ci.yml"):
        named = set(
            re.findall(r"(?:`|run: |    |^)make ([a-z]+)", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)
        )
        assert named <= made, f"{name} names {sorted(named - made)}"


def test_the_ci_script_is_sound():
    path = ROOT / ".ci" / "run"
    assert subprocess.run(["bash", "-n", path], check=False).returncode == 0
    assert yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))["jobs"]


def test_what_is_made_again_is_not_committed():
    """Weights, latents, data and local runs stay out of the repository."""
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("This is no git checkout.")
    files = [name for name in listed.stdout.split("\0") if name]
    assert not [
        n for n in files if n.startswith(("work/", "_build/", "book/_generated/", ".venv/", ".uv/", ".snakemake/"))
    ]
    files = [
        n for n in files if n != "book/data/lesson.safetensors"
    ]  # a page takes it apart: tools/lesson_model.py makes it
    assert not [n for n in files if n.endswith((".safetensors", ".pt", ".pth", ".pkl", ".pickle", ".pypots", ".pyc"))]
    sizes = {n: (ROOT / n).stat().st_size for n in files if (ROOT / n).is_file()}
    # what a run has finished is one file until the run is whole; results/ as a whole has its limit in test_published
    big = [n for n, size in sizes.items() if size > (4e6 if n.startswith("results/unfinished/") else 2e6)]
    assert not big, f"files over 2 MB: {big}"
