"""The command line `modts`: which runs there are, what one measured, what is stale; and what the workflow calls.

A mistake is one sentence on stderr and exit status 2. Imports are lazy: `modts runs` answers at once.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys

from modts import runs
from modts.errors import ModtsError

from .names import arm_name


def main(argv: list[str] | None = None) -> int:
    """Entry point. Returns the exit status: 0, 1 when something is stale or does not conform, 2 after a mistake, 130 after Ctrl-C."""
    args = _parser().parse_args(argv)
    try:
        return args.does(args) or 0
    except ModtsError as error:
        print(f"modts: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped; what is finished is kept, and the same command goes on.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `modts runs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="modts", description="Runs, results and jobs of the compendium.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, does, words: str):
        command = commands.add_parser(name, help=words, description=words)
        command.set_defaults(does=does)
        return command

    add("runs", _runs, "List published and local runs.").add_argument("--profile", help="only this profile's")
    show = add("show", _show, "Show one run: parameters, provenance, means over seeds.")
    show.add_argument("run", help="a run id, as listed by `modts runs`")
    show.add_argument("--json", action="store_true", help="print its whole file")
    stale = add(
        "stale", _stale, "List runs whose parameters, code or data have changed since; exit status 1 if there are any."
    )
    stale.add_argument("--profile", help="only this profile's")
    stale.add_argument("--no-data", action="store_true", help="do not load the cohorts to compare them")
    for name, does, words in (
        (
            "collect",
            _collect,
            "Join a profile's local runs into work/<profile>/metrics.csv, latency.csv, effects.csv, cohorts.json.",
        ),
        ("publish", _publish, "Copy a profile's local runs to results/ and rewrite the result tables there."),
    ):
        add(name, does, words).add_argument("profile", help="a profile's name or file")
    add(
        "carry",
        _carry,
        "Keep the finished units of a profile's unfinished runs in results/unfinished/; whoever runs the profile goes on from them.",
    ).add_argument("profile", help="a profile's name or file")
    add(
        "effects",
        _effects,
        "Rewrite results/effects.csv from the published runs and predictions alone (about a minute).",
    )
    freeze = add(
        "freeze",
        _freeze,
        "Write down which code and tuned settings decide the numbers; with that file committed the external test may be read.",
    )
    freeze.add_argument("--why", default="", help="the reason to freeze anew, where another protocol was frozen")
    add("frozen", _frozen, "Say whether code and tuned settings still equal the frozen protocol; exit status 1 if not.")
    baselines = add("baselines", _baselines, "Run the simple baselines of a cohort.")
    baselines.add_argument("-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    stage = add("stage", _stage, "Run what a notebook runs, without it, as `modts grid --processes` does.")
    stage.add_argument("stage", help="such as pretrain")
    stage.add_argument("base64", help="parameters as base64-encoded YAML")
    grid = add(
        "grid", _grid, "Run what fits of a profile's grid into so many minutes; publish it when nothing is left."
    )
    grid.add_argument("profile", help="a profile's name or file")
    grid.add_argument("--minutes", type=float, required=True, help="the length of the box")
    grid.add_argument("--cores", type=int, default=1, help="jobs beside each other (default 1)")
    grid.add_argument(
        "--processes",
        type=int,
        default=0,
        help="so many processes of Python instead, a split each, without papermill and Snakemake",
    )
    search = add("search", _search, "Search for settings by validation; write results/search.csv and profiles/tuned/.")
    search.add_argument("search", help="a search's name or file, such as profiles/search.yaml")
    search.add_argument("--minutes", type=float, default=float("inf"), help="stop starting trials after so many")
    search.add_argument("--cores", type=int, default=1, help="studies beside each other (default 1)")
    search.add_argument(
        "--backbone", action="append", default=[], help="only this one, or this baseline; may be given several times"
    )
    search.add_argument("--device", choices=("cpu", "cuda"), help="where networks with a backbone train (cpu)")
    job = add("job", _job, "Run one job of a profile, as the workflow does.")
    job.add_argument("profile", help="a profile's name or file")
    job.add_argument("run", help="a run id, such as quick-heads-simulated_icu-SAITS")
    check = add("check", _check, "Say whether a backbone of your own keeps the contract; exit status 1 if it does not.")
    check.add_argument("backbone", help="a class in a file, such as mine.py:MyImputer")
    check.add_argument("--steps", type=int, default=48, help="length of the windows that it is tried on (48)")
    check.add_argument("--features", type=int, default=12, help="their number of features (12)")
    cohorts = add("cohorts", _cohorts, "List the cohorts, or describe one.")
    cohorts.add_argument("name", nargs="?", help="a cohort's name, or the path of a saved cohort (.npz)")
    return parser


# --- looking ---


def _runs(args) -> None:
    from . import collect

    only = collect.known_profile(args.profile)
    found = [(place, record) for place, record in collect.all_runs() if only in (None, record["profile"])]
    if not found:
        print("No runs yet: `make book` makes the quick ones.")
        return
    width = max(len(record["run"]) for _, record in found)
    for place, record in found:
        seeds = len(record["params"].get("seeds", []))
        print(
            f"{record['run']:{width}}  {place:9}  {record['started']}  {record['seconds']:8.0f} s  {seeds} seeds  "
            f"{len(record.get('rows', [])):4} rows  {record['code_version']}"
        )


def _show(args) -> None:
    from . import collect

    found = [(place, record) for place, record in collect.all_runs() if record["run"] == args.run]
    if not found:
        raise ModtsError(f"There is no run {args.run!r}; `modts runs` lists those there are.")
    for place, record in found:
        if args.json:
            print(json.dumps(record, indent=1, ensure_ascii=False))
            continue
        print(f"{record['run']} ({place})")
        for name in ("started", "seconds", "hardware", "code_version", "code_hash", "peak_memory_mb"):
            print(f"  {name:16} {record.get(name, '')}")
        for name in ("params", "data_hash", "packages"):
            print(f"  {name}")
            for key, value in record.get(name, {}).items():
                print(f"    {key:20} {value}")
        for row in record.get("rows", []):
            if row["split_seed"] == "" and row["init_seed"] == "":
                share = "" if row["label_fraction"] == "" else f" {row['label_fraction']:.0%} of the labels"
                what = f"{arm_name(row['arm'], row['head'], row['pooling'], row['backbone'])}{share} {row['metric']}"
                interval = f"{row['low']:.4f} to {row['high']:.4f}"
                who = "" if row["arm"] == "baseline" else f"{row['backbone']} "
                print(f"  {who}{what}: {row['value']:.4f} ({interval}), n = {row['n_test']}")


def _stale(args) -> int:
    from . import collect, published

    published.check_published()
    found, notes = collect.stale(args.profile, data=not args.no_data)
    for note in notes:
        print(note, file=sys.stderr)
    record = runs.frozen()
    if record and runs.drifted(record):
        print("The code is no longer the frozen protocol's: `modts frozen` says where.", file=sys.stderr)
    for place, run, why in found:
        print(f"{run}  {place}  {why}")
    if not found:
        print("Nothing is stale.")
    return 1 if found else 0


def _frozen(args) -> int:
    record = runs.frozen()
    if record is None:
        print(f"No protocol is frozen: {runs.frozen_path()} does not exist, and the external test is sealed.")
        return 1
    changed = runs.drifted(record)
    named = f"protocol {record['protocol']}, frozen {record['frozen']} at {record['code_version']}"
    if not changed:
        print(f"Code and tuned settings equal the {named}.")
        return 0
    print(
        f"The external test is sealed: these are not as in the {named}:\n" + "\n".join(f"  {name}" for name in changed)
    )
    return 1


def _cohorts(args) -> None:
    from modts.cohorts import cohort_names, load_cohort

    if args.name is None:
        print("\n".join(cohort_names()))
        return
    for name, value in load_cohort(args.name).describe().items():
        print(f"{name:20} {', '.join(map(str, value)) if isinstance(value, (list, tuple)) else value}")


def _check(args) -> int:
    from modts.learning import CHECKS, check_own

    try:
        found = check_own(args.backbone, args.steps, args.features)
    except SystemExit:
        raise ModtsError(
            f"{args.backbone} ends Python when it is read; put what it runs under `if __name__ == '__main__':`."
        ) from None
    print(f"{args.backbone}, windows of {args.steps} steps and {args.features} features:")
    for finding in found:
        print(f"  {'yes' if finding.kept else 'NO ':3}  {finding.name}: {finding.sentence}")
    broken = sum(not finding.kept for finding in found)
    unasked = len(CHECKS) - len(found)
    if not broken:
        print("It conforms.")
        return 0
    print(
        f"It does not conform: {broken} of {len(CHECKS)} checks failed{f', {unasked} were not tried' if unasked else ''}."
    )
    return 1


# --- doing ---


def _collect(args) -> None:
    from . import collect

    for line in collect.collect(args.profile):
        print(line)


def _publish(args) -> None:
    from . import collect

    for line in collect.publish(args.profile):
        print(line)


def _carry(args) -> int:
    from .carry import carry
    from .profiles import read_profile

    lines, failed = carry(read_profile(args.profile))
    for line in lines:
        print(line)
    return int(failed)


def _grid(args) -> int:
    from . import collect, timebox
    from .profiles import read_profile

    lines, failed = timebox.run(read_profile(args.profile), args.minutes, args.cores, args.processes)
    for line in lines or collect.publish(args.profile):
        print(line)
    return int(failed)


def _search(args) -> int:
    from .search import read_search, run_all
    from .tuned import publish_search

    search = read_search(args.search)
    if args.device:
        search = search.model_copy(update={"device": args.device})
    left = run_all(search, args.minutes, args.cores, tuple(args.backbone))
    for line in [*left, *publish_search(search)]:
        print(line)
    return int(bool(left))


def _effects(args) -> None:
    from . import collect

    for line in collect.compare():
        print(line)


def _freeze(args) -> None:
    record = runs.freeze(args.why)
    print(f"{runs.frozen_path()} names protocol {record['protocol']} of {len(record['modules'])} modules; commit it.")


def _job(args) -> None:
    from .jobs import run_job
    from .profiles import read_profile

    run_job(read_profile(args.profile).job(args.run))


def _baselines(args) -> None:
    import yaml

    try:
        values = {name: yaml.safe_load(value) for name, value in args.parameter}
    except yaml.YAMLError:
        raise ModtsError(
            "The parameters are not readable; give each as -p NAME VALUE, for example -p cohort italy_air."
        ) from None
    names = [name for name, _ in args.parameter]
    twice = [name for place, name in enumerate(names) if name in names[:place]]
    if twice:
        raise ModtsError(f"The parameter {twice[0]!r} is given twice; keep one of them.")
    _run_stage("baselines", values)


def _stage(args) -> None:
    import yaml

    try:
        values = yaml.safe_load(base64.b64decode(args.base64, validate=True))
    except (ValueError, yaml.YAMLError):
        raise ModtsError("The parameters are not readable; give them as YAML encoded in base64.") from None
    _run_stage(args.stage, values)


def _run_stage(stage: str, values: dict) -> None:
    from .params import parse

    params = parse(stage, values)
    from . import experiments

    run = getattr(experiments, stage)(params)
    print(f"{run.id} has {len(run.rows)} rows")


if __name__ == "__main__":
    sys.exit(main())
