"""A project of its own for a test: a folder with profiles, notebooks of one cell, its work and results; and the processes that run in it."""

import json
import os
import time
from pathlib import Path


def make_project(folder: Path, monkeypatch, **profiles: str) -> Path:
    """Make the folder, with these profiles, the project and the current folder; its work and results lie below it."""
    (folder / "profiles").mkdir(parents=True)
    (folder / "_toc.yml").write_text("")
    for name, text in profiles.items():
        (folder / "profiles" / f"{name}.yaml").write_text(text)
    for name, below in {"MODTS_HOME": "", "MODTS_WORK": "work", "MODTS_RESULTS": "results"}.items():
        monkeypatch.setenv(name, str(folder / below))
    monkeypatch.chdir(folder)
    return folder


def write_notebook(project: Path, stage: str, code: str, parameters: str = "") -> None:
    """A stage's notebook, of a parameters cell and one more."""
    cells = [
        {"cell_type": "code", "metadata": {"tags": tags}, "source": source, "outputs": [], "execution_count": None}
        for tags, source in ((["parameters"], parameters), ([], code))
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    (project / "notebooks").mkdir(exist_ok=True)
    content = {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 4}
    (project / "notebooks" / f"{stage}.ipynb").write_text(json.dumps(content))


def processes(project: Path) -> dict[int, str]:
    """The processes that carry a project's work folder in their environment, this one aside, and their commands."""
    mark, found = f"MODTS_WORK={project}/work\0".encode(), {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (place / "environ").read_bytes() + b"\0":
                found[int(place.name)] = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            pass
    return {pid: words for pid, words in found.items() if words and pid != os.getpid()}


def wait_for(condition, seconds: float = 60.0):
    """What the condition gives as soon as that is something, else what it gives after so many seconds."""
    until = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < until:
        time.sleep(0.05)
    return found
