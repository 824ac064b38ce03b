"""A kill storm: a small grid is killed at random moments and started again, without a manual step; every bit must be as if undisturbed.

    python tests/kill_storm.py --kills 100

By hand, and once a week in .github/workflows/storm.yml. Exit status 1 and a list of what differs when a number was lost or changed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
HOME = HERE.parent
sys.path.insert(0, str(HERE))
from project_fixture import processes  # noqa: E402

PROFILE = """
profile: storm
defaults:
  common: {seeds: [0, 1], threads: 1}
  pretrain: {epochs: 6, patience: 6, batch_size: 16}
  heads: {label_fractions: [1.0], head_epochs: 20}
  end_to_end: {e2e_epochs: 3}
cohorts:
  icu.npz: {stages: [pretrain, heads, end_to_end, baselines], backbones: [GRU-D]}
"""
WAYS = (
    "SIGKILL of the group",
    "SIGTERM of the group",
    "SIGINT of the group",
    "SIGKILL of a kernel",
    "SIGKILL of a job",
)


def project(folder: Path) -> Path:
    """A folder with the profile, a tiny cohort, the notebooks and a work folder of its own."""
    from core_fixture import tiny

    folder.mkdir(parents=True)
    (folder / "_toc.yml").write_text("")
    (folder / "storm.yaml").write_text(PROFILE)
    tiny(n=120, steps=12, features=5, name="icu").save(folder / "icu.npz")
    for name in ("notebooks", "profiles"):
        shutil.copytree(HOME / name, folder / name)
    return folder


def start(folder: Path, log) -> subprocess.Popen:
    """The grid, in a session of its own: the same command every time."""
    from core_fixture import snakemake_command

    command = snakemake_command("storm.yaml", 2)
    places = {"MODTS_HOME": folder, "MODTS_WORK": folder / "work", "MODTS_RESULTS": folder / "results"}
    env = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "MPLBACKEND": "agg",
        **{name: str(place) for name, place in places.items()},
    }
    return subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True)


def kill(process: subprocess.Popen, folder: Path, way: str) -> bool:
    """Kill the grid in one of the ways; False if there was nothing to kill. A job killed alone leaves the engine to end by itself."""
    number = getattr(signal, way.split()[0])
    if way.endswith("group"):
        os.killpg(process.pid, number)
        return True
    mark = "ipykernel" if way.endswith("kernel") else "modts.study.cli job"
    pids = [pid for pid, words in processes(folder).items() if mark in words and not words.startswith("/bin/")]
    for pid in pids[:1]:
        os.kill(pid, number)
    return bool(pids)


def storm(folder: Path, kills: int, length: float, draw: random.Random, log, reference: dict[str, str]) -> list[str]:
    """Start the grid and kill it within `length` seconds, so often; then let it run to its end. Returns what differs."""
    done, differs = 0, []
    while done < kills:
        process = start(folder, log)
        try:
            process.wait(draw.uniform(0, length))
        except subprocess.TimeoutExpired:
            way = draw.choice(WAYS)
            done += (struck := kill(process, folder, way))
            if struck:
                print(f"kill {done} of {kills}: {way}; {runs_in(folder)} run files", flush=True)
            if not way.endswith("group"):
                continue_or_end(process, draw.uniform(0, 5))
            process.wait(120)
        else:
            if process.returncode == 0:
                differs += (found := compare(reference, bits(folder)))
                print(
                    f"done between kills: {len(found)} differences in {runs_in(folder)} run files; begun anew",
                    flush=True,
                )
                shutil.rmtree(folder / "work")
        until = time.monotonic() + 60
        while (alive := processes(folder)) and time.monotonic() < until:
            time.sleep(0.05)
        if alive:
            raise SystemExit(f"still alive a minute later: {alive}")
    finish(folder, log)
    return differs + compare(reference, bits(folder))


def runs_in(folder: Path) -> int:
    return len(list((folder / "work").glob("storm/runs/*.json")))


def continue_or_end(process: subprocess.Popen, seconds: float) -> None:
    """After one job was killed: the engine goes on a little, and is then stopped as from a keyboard."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGINT)


def finish(folder: Path, log) -> float:
    """Run the grid to its end; the seconds that it took."""
    clock = time.monotonic()
    process = start(folder, log)
    if process.wait():
        log.seek(0)
        raise SystemExit(f"{log.read()[-5000:]}\nThe grid failed undisturbed (exit status {process.returncode}).")
    return time.monotonic() - clock


def bits(folder: Path) -> dict[str, str]:
    """What was measured and made, by name: rows, predictions, weights, latents, outcomes; not how long it took."""
    from modts import runs
    from modts.backbones import load_backbone

    found, work = {}, folder / "work"
    for path in sorted(work.glob("storm/runs/*.json")):
        found[path.name] = runs.key({"rows": runs.read_json(path)["rows"]})
    for path in sorted(work.rglob("*.npz")):
        for name, values in runs.read_arrays(path).items():
            if name != "seconds":
                found[f"{path.relative_to(work)} {name}"] = hashlib.sha256(values.tobytes()).hexdigest()
    for path in sorted(work.rglob("backbone.safetensors")):
        found[str(path.relative_to(work))] = load_backbone(path).weights_hash()
    return found


def compare(reference: dict[str, str], found: dict[str, str]) -> list[str]:
    """What is missing, new or different, a line each."""
    names = sorted({*reference, *found})
    return [
        f"{name}: {reference.get(name, 'absent')} became {found.get(name, 'absent')}"
        for name in names
        if reference.get(name) != found.get(name)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="of the moments and ways")
    parser.add_argument(
        "--within", type=float, help="kill within so many seconds of a start (default: of the time that the grid takes)"
    )
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background jobs, and so by the grid
    with tempfile.TemporaryDirectory(prefix="modts-storm-") as home, open(Path(home, "log"), "w+") as log:
        calm = project(Path(home, "calm"))
        length = finish(calm, log)
        reference = bits(calm)
        print(f"undisturbed: {length:.0f} s, {len(reference)} things to compare", flush=True)
        wild = project(Path(home, "wild"))
        differs = storm(wild, options.kills, options.within or length, random.Random(options.seed), log, reference)
        print("\n".join(differs) or f"{options.kills} kills: nothing lost, all bits equal.")
        return int(bool(differs))


if __name__ == "__main__":
    sys.exit(main())
