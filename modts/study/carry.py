"""Finished units of runs that are not whole yet, in results/unfinished/: a long study runs in pieces, and not always on the same machine.

A run is published when it is whole, which may take hours; until then its units (see `units`) lie in the work folder alone. `carry` packs them,
a file a run, and whatever starts a job first puts back those that are missing (see `jobs.begin`). Checkpoints and latents are large and stay
behind: they are made again where something is left to train on them.
"""

from __future__ import annotations

import glob
import io
import re
import zipfile
from pathlib import Path

from modts import runs
from modts.errors import ModtsError

UNIT = re.compile(
    r"artifacts/(heads|end_to_end|transfer)/[A-Za-z0-9][A-Za-z0-9_.-]*-[0-9a-f]{12}/outcome\.npz"
    r"|artifacts/baselines/[A-Za-z0-9][A-Za-z0-9_.-]*-[0-9a-f]{12}/predictions\.npz"
)  # what a carried file may hold, below the work folder
LARGEST = 2**28  # bytes of a carried file


def carried(run: str) -> Path:
    """The file that holds the carried units of a run."""
    return runs.results_dir() / "unfinished" / run.split("-", 1)[0] / f"{run}.zip"


def back(run: str) -> dict[str, bytes]:
    """Put the carried units of a run back into the work folder, where they are missing; name -> content of all it carries.

    Raises
    ------
    ModtsError
        The file is damaged, or holds what is no unit; nothing is written then.
    """
    path = carried(run)
    held = unpacked(path) if path.is_file() else {}
    for name, content in held.items():
        if not (runs.work_dir() / name).exists():
            runs.atomic_write(runs.work_dir() / name, content)
    return held


def carry(profile) -> tuple[list[str], bool]:
    """Pack the finished units of each run of a profile that is neither here nor published, and remove the files of those that are.

    Units are those that the run would ask for now: what other code or settings left in the work folder is not carried. A file that holds
    nothing else stays as it is.
    Returns lines that say what is carried, and whether a run's file had to stay as it was.
    """
    said, failed, size, waiting = [], False, 0, 0
    runs.made_folder(runs.results_dir())
    for job in profile.jobs.values():
        try:
            published = job.published()
            whole = job.done() or published
            waiting += whole and not published
            said += _removed(job, published) if whole else _kept(job)
        except (ModtsError, OSError) as error:
            said.append(f"not carried: {job.label}: {error}")
            failed = True
            continue
        path = carried(job.run)
        size += path.stat().st_size if path.is_file() else 0
    if waiting:
        said.append(f"{waiting} whole runs are in the work folder alone; `modts publish {profile.name}` keeps them.")
    return [*said, f"results/unfinished/{profile.name}: {size / 1e6:.1f} MB"], failed


def _removed(job, published: bool) -> list[str]:
    """Remove the carried file of a whole run; a line on it if there was one."""
    path = carried(job.run)
    if not path.is_file():
        return []
    path.unlink()
    return [
        f"removed: {job.label}  its run is {'published' if published else 'whole'}, so that its units need not be carried"
    ]


def _kept(job) -> list[str]:
    """Pack the units of a run that is not whole, those of its carried file among them; lines on what is carried, and what no longer is."""
    path = carried(job.run)
    before = back(job.run)
    found = dict(sorted(_finished(job, before)))
    others = len(set(before) - set(found))
    if not found:
        return [
            f"kept: {job.label}  {others} units of other code or settings in {path}; delete it if you do not want them"
        ] * bool(others)
    data = _packed(found)
    if not (path.is_file() and path.read_bytes() == data):
        runs.atomic_write(path, data)
    lines = [f"carried: {job.label}  {len(found)} units, {len(data) / 1e6:.1f} MB"]
    if others:
        lines.append(
            f"removed: {job.label}  {others} units that its code or settings no longer ask for; they stay in the work folder alone"
        )
    return lines


def _packed(found: dict[str, bytes]) -> bytes:
    """Units as a zip file, of the same bytes whoever packs it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as file:  # units are compressed already
        for name, content in found.items():
            entry = zipfile.ZipInfo(name)
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            file.writestr(entry, content)
    return buffer.getvalue()


def _finished(job, before: dict[str, bytes]):
    """(Name below the work folder, content) of each unit of a run that is there and whole; of a damaged one as it was carried before."""
    from .experiments import units_of
    from .params import parse

    home, cohort = runs.work_dir(), glob.escape(Path(job.params["cohort"]).stem)
    if job.stage == "baselines":
        some = "baselines/*/predictions.npz"
    else:
        some = f"*/{cohort}-{runs.backbone_label(job.params['backbone'])}-*/outcome.npz"
    if not any((home / "artifacts").glob(some)):  # asking what a run needs loads its cohort
        return
    for recipe, path in units_of(job.stage, parse(job.stage, job.params)):
        name = path.relative_to(home).as_posix()
        try:
            if path.is_file() and runs.read_arrays(path, recipe):
                yield name, path.read_bytes()
        except ModtsError:  # a damaged unit is not carried; its run will name it
            if name in before:
                yield name, before[name]


def unpacked(path: Path) -> dict[str, bytes]:
    """name -> content of each unit in a carried file, once its names and sizes are believable."""
    try:
        size = path.stat().st_size
        with zipfile.ZipFile(path) as file:
            entries = file.infolist()
            for entry in entries:
                if not UNIT.fullmatch(entry.filename):
                    raise ValueError(f"it holds {entry.filename[:80]!r}, which is no unit of a run")
            # what is stored as it is takes no more memory than the file has bytes
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise ValueError("its units are compressed, which ours are not")
            if sum(entry.file_size for entry in entries) > min(size, LARGEST):
                raise ValueError("its units are larger than the file may be")
            return {entry.filename: file.read(entry) for entry in entries}
    except Exception as error:  # zipfile raises many kinds
        raise ModtsError(
            f"{path} cannot be unpacked ({error}); bring it back from git, or delete it, and what it holds is made again."
        ) from None
