"""Names, parameters and profiles that mean harm, or are merely odd: one sentence each, and nothing outside the work folder."""

import os
import subprocess
import traceback
import types
from pathlib import Path

import pytest
from core_fixture import places, snakemake_command, tiny  # noqa: F401
from project_fixture import make_project

from modts import runs
from modts.cohorts import Cohort, load_cohort
from modts.errors import ModtsError
from modts.study import cli, params, profiles

HOME = Path(__file__).resolve().parent.parent.parent
NAMES = [
    "../../x", "a/b", "..", "/abs/x", "x\0y", "a-b", "x" * 300, "a\nb", "<script>", "a b/../c", ".", "=1+1", "~", "CON", "a\\b", "%s",
    "a\u202eb",
]  # fmt: skip
TRAVERSALS = ["../../../PWN/x", "my-run", "", None, 5]
GRID = """
profile: hostile
defaults: {common: {seeds: [0]}, baselines: {label_fractions: [1.0]}}
cohorts:
  'COHORT': {stages: [baselines]}
"""


def one_sentence(error) -> str:
    words = str(error.value)
    assert words and "\n" not in words and len(words) < 400 and ".." not in words.replace("...", ""), words
    return words


def untouched(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# --- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["pretrain", "baselines"])
@pytest.mark.parametrize("name", [*NAMES, *TRAVERSALS[:3]])
def test_a_profile_is_a_plain_name(stage, name):
    with pytest.raises(ModtsError, match="The profile name .*cannot be part of a file's name") as error:
        params.parse(stage, {"profile": name})
    assert len(str(error.value)) < 250 and "\n" not in str(error.value)


@pytest.mark.parametrize("name", [*NAMES, *TRAVERSALS])
def test_no_place_is_made_from_another_name(name):
    made = {"profile": "quick", "cohort": "simulated_icu", "backbone": "SAITS"}
    with pytest.raises(ModtsError):
        runs.run_id("heads", made | {"profile": name})
    if name != "a-b" and name != "my-run":  # fine for a cohort: only a profile ends at the first -
        with pytest.raises(ModtsError):
            runs.artifact_dir("pretrain", name, "SAITS", {})
        if name not in ("", None, 5):
            with pytest.raises(ModtsError):
                runs.run_id("heads", made | {"cohort": name})
    with pytest.raises(ModtsError):
        runs.run_path(f"{name}/x")
    if isinstance(name, str):
        with pytest.raises(ModtsError):
            runs.run_path(name if "-" not in name else f"{name}/..")


@pytest.mark.parametrize("name", ["../../OUT/own", *(name for name in NAMES if name != "a-b"), "", None])
def test_a_cohort_has_a_plain_name(name):
    with pytest.raises(ModtsError, match="The cohort name .*cannot be part of a file's name"):
        tiny(n=40, name=name)


def test_a_saved_cohort_cannot_bring_another_name(tmp_path):
    cohort = tiny(n=40)
    object.__setattr__(cohort, "name", "../../OUT/own")  # as if written by somebody else
    path = cohort.save(tmp_path / "own.npz")
    with pytest.raises(ModtsError, match="The cohort name '../../OUT/own' cannot be part"):
        Cohort.load(path)


@pytest.mark.parametrize("stem", ["a$(touch PWN2)b", "my cohort", "a;b", "-rf", "=1+1", "<b>"])
def test_a_cohort_files_name_is_a_plain_name(stem, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny(n=40).save(tmp_path / f"{stem}.npz")
    with pytest.raises(ModtsError, match="The cohort name .*cannot be part"):
        params.parse("pretrain", {"cohort": f"{stem}.npz"})


def test_a_cohort_file_is_not_called_like_one_of_ours(tmp_path):
    path = tiny(n=40).save(tmp_path / "simulated_icu.npz")
    with pytest.raises(ModtsError, match="is called like a cohort that is always here; rename it"):
        params.parse("pretrain", {"cohort": str(path)})
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(ModtsError, match="There is no cohort file"):
        params.parse("pretrain", {"cohort": str(tmp_path / "folder.npz")})


# --- the engine -----------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path, monkeypatch):
    return make_project(tmp_path / "my project", monkeypatch)


def snakemake(project, profile, *options):
    pytest.importorskip("snakemake", reason="the workflow needs the extra `workflow`")
    return subprocess.run(
        [*snakemake_command(profile, 1), *options], cwd=project, capture_output=True, text=True, timeout=180
    )


def test_a_cohort_files_name_runs_no_command(project):
    cohort = project / "a$(touch PWN2)b.npz"
    tiny(n=40).save(cohort)
    (project / "hostile.yaml").write_text(GRID.replace("COHORT", cohort.name))
    done = snakemake(project, "hostile.yaml")
    assert done.returncode == 1 and "cannot be part of a file's name" in done.stdout + done.stderr
    assert not list(project.rglob("PWN2"))


def test_a_profile_and_a_folder_may_have_spaces(project):
    (project / "my data").mkdir()
    tiny(n=60, steps=4, features=2).save(project / "my data" / "mine.npz")
    odd = project / "sp ace $(touch PWN2).yaml"
    odd.write_text(GRID.replace("COHORT", "my data/mine.npz"))
    done = snakemake(project, odd.name, "--until", "baselines")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list((project / "work/hostile/runs").glob("hostile-baselines-mine.*.json"))) == 1
    assert not list(project.rglob("PWN2"))


def test_a_grid_without_room_to_begin_is_one_sentence(project, monkeypatch):
    monkeypatch.setenv("MODTS_WORK", "/dev/null/work")
    (project / "p.yaml").write_text(GRID.replace("COHORT", "simulated_ward"))
    done = snakemake(project, "p.yaml")
    assert done.returncode == 1 and "Traceback" not in done.stdout + done.stderr
    assert "count.json cannot be written" in done.stdout + done.stderr


# --- parameters -----------------------------------------------------------------------------------------------------

HUGE = 10**30
ODD = {
    "seed beyond 63 bits": ("heads", {"seeds": [2**63]}),
    "seed beyond 64 bits": ("heads", {"seeds": [2**64]}),
    "seed of 400 digits": ("pretrain", {"seeds": [10**400]}),
    **{f"threads {n}": ("pretrain", {"threads": n}) for n in (10**6, 2**40, 10**12)},
    **{name: ("pretrain", {name: HUGE}) for name in ("epochs", "patience", "batch_size")},
    "repeats": ("latency", {"repeats": 10**12}),
    "rate": ("pretrain", {"rate": 1e-320}),
    "rate of baselines": ("baselines", {"rate": 1e-320}),
    "lr": ("pretrain", {"lr": 1e-320}),
    "infinite decay": ("heads", {"head_weight_decays": [float("inf")]}),
    "nan decay": ("heads", {"head_weight_decays": [float("nan")]}),
    "infinite auxiliary": ("end_to_end", {"auxiliary": float("inf")}),
    "infinite lr": ("pretrain", {"lr": float("inf")}),
    "poolings": ("extract", {"poolings": ["paper", "paper"]}),
    "heads": ("heads", {"heads": ["simple", "simple"]}),
    "label_fractions": ("heads", {"label_fractions": [1, 1.0]}),
    "label_fractions of baselines": ("baselines", {"label_fractions": [0.5, 0.5]}),
    "head_lrs": ("heads", {"head_lrs": [0.01, 0.01]}),
    "head_weight_decays": ("heads", {"head_weight_decays": [0.1, 0.1]}),
    "arms": ("end_to_end", {"arms": ["e2e", "e2e"]}),
    "e2e_lrs": ("end_to_end", {"e2e_lrs": [0.001, 0.001]}),
    "batch_sizes": ("latency", {"batch_sizes": [1, 1]}),
    "no dictionary": ("pretrain", None),
    "a list": ("pretrain", [1]),
    "a number for a name": ("pretrain", {5: 1}),
}


@pytest.mark.parametrize("which", ODD)
def test_an_odd_parameter_is_one_sentence(which):
    stage, values = ODD[which]
    with pytest.raises(ModtsError) as error:
        params.parse(stage, values)
    words = one_sentence(error)
    assert words[-1] == "."
    if which in ("poolings", "arms", "e2e_lrs"):
        assert words.startswith(f"{which.capitalize()} must differ, got [")


@pytest.mark.parametrize(
    "extra",
    [
        {"_epochs": 5}, {"__epochs": 5}, {"_epoch": 5}, {"In": 5}, {"Out": "x"}, {"exit": 5}, {"quit": "now"}, {"open": True},
        {"epochs": types}, {"lr": lambda: 1}, {"cohort": dict}, {"get_ipython": 1},
    ],
    ids=lambda extra: "-".join(extra),
)  # fmt: skip
def test_no_name_in_a_notebook_is_passed_over(extra):
    with pytest.raises(ModtsError, match="arameter") as error:
        params.validate("pretrain", extra)
    one_sentence(error)


def test_what_a_kernel_has_is_passed_over():
    kernel = {
        "In": [""], "Out": {}, "get_ipython": print, "exit": object(), "quit": object(), "open": open, "_": "", "__": "", "_i": "",
        "_ih": [""], "_oh": {}, "_dh": [], "_i1": "x", "_1": 3, "_exit_code": 0, "__name__": "__main__", "__builtins__": types,
        "__doc__": "", "__vsc_ipynb_file__": "a", "types": types,
    }  # fmt: skip
    assert params.validate("pretrain", kernel | {"epochs": 3}).epochs == 3


def test_a_classifier_as_shipped_is_not_asked_for_a_regression(places):  # noqa: F811
    from modts.study import experiments

    path = tiny(n=60, steps=6, features=4, task="regression", name="air").save(places / "air.npz")
    asked = params.parse("end_to_end", {"cohort": str(path), "arms": ["e2e_shipped"]})
    with pytest.raises(ModtsError, match="PyPOTS ships classifiers alone, and .*air.npz has another target"):
        experiments.end_to_end(asked)
    assert not (places / "work").exists()


# --- profiles -------------------------------------------------------------------------------------------------------

BROKEN = {
    "doubled key": (b"profile: a\nprofile: b\ncohorts: {}\n", "line 2 gives 'profile' again"),
    "doubled inside": (
        b"profile: a\ncohorts:\n  simulated_icu: {stages: [], stages: []}\n",
        "line 3 gives 'stages' again",
    ),
    "not UTF-8": (b"profile: \xff\xfe\n", "is not readable YAML: .*utf-8"),
    "nested": (b"profile: " + b"[" * 3000 + b"]" * 3000, "nested too deep"),
    "a number for a key": (b"profile: a\ncohorts: {}\n5: 1\n", "5"),
    "a number of 5,000 digits": (b"profile: " + b"1" * 5000, "profile name|not readable|string"),
    "a name of a folder": (b"profile: ../../x\ncohorts: {}\n", "The profile name '../../x' cannot be part"),
    "a tag": (b"profile: !!python/name:os.system\n", "is not readable YAML"),
    "empty": (b"", "is not a profile"),
}


@pytest.mark.parametrize("which", BROKEN)
def test_a_broken_profile_is_one_sentence(which, tmp_path):
    path = tmp_path / "p.yaml"
    content, says = BROKEN[which]
    path.write_bytes(content)
    with pytest.raises(ModtsError, match=says) as error:
        profiles.read_profile(path)
    assert "\n" not in str(error.value) and len(str(error.value)) < 600


COHORT = """
profile: a
{above}
cohorts:
  simulated_icu: {{stages: [pretrain, heads, baselines], backbones: [GRU-D]{more}}}
  simulated_ward: {{stages: [pretrain], backbones: [GRU-D]}}
"""
PASSED_OVER = {
    "a backbone of only that does not run": (
        "", ", only: {heads: [SAITS]}", "cohorts.simulated_icu: `only` has SAITS for heads, but `backbones` does not",
    ),
    "a stage of only that does not run": (
        "", ", only: {extract: [GRU-D]}", "cohorts.simulated_icu: `only` names extract, which runs for no backbone here",
    ),
    "baselines of a backbone": (
        "", ", only: {baselines: [GRU-D]}", "cohorts.simulated_icu: `only` names baselines, which run without a backbone",
    ),
    "a backbone that no job uses": (
        "backbone_settings: {SAITS: {pretrain: {epoch: 3}}}", "",
        "backbone_settings.SAITS.pretrain: unknown parameter 'epoch'; did you mean 'epochs'",
    ),
    "a cohort's backbone that no job uses": (
        "", ", backbone_settings: {SAITS: {pretrain: {epoch: 3}}}",
        "cohorts.simulated_icu.backbone_settings.SAITS.pretrain: unknown parameter 'epoch'",
    ),
    "a stage that no job has": ("defaults: {latency: {repeat: 9}}", "", "defaults.latency: unknown parameter 'repeat'"),
    "a number for a parameter": ("defaults: {pretrain: {5: 9}}", "", "defaults.pretrain: unknown parameter 5;"),
}  # fmt: skip


@pytest.mark.parametrize("which", PASSED_OVER)
def test_nothing_in_a_profile_is_passed_over(which, tmp_path):
    above, more, says = PASSED_OVER[which]
    path = tmp_path / "p.yaml"
    path.write_text(COHORT.format(above=above, more=more))
    with pytest.raises(ModtsError) as error:
        profiles.read_profile(path)
    words = one_sentence(error) if which != "a number for a parameter" else str(error.value)
    assert words.startswith(f"{path}, {says}")


def test_stages_without_a_backbone_are_said(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("profile: a\ncohorts:\n  simulated_icu: {stages: [pretrain, heads]}\n")
    with pytest.raises(ModtsError, match="cohorts.simulated_icu: pretrain, heads would run for no backbone; list some"):
        profiles.read_profile(path)
    path.write_text("profile: a\ncohorts:\n  simulated_icu: {stages: [baselines]}\n")
    assert len(profiles.read_profile(path).jobs) == 1


def test_what_one_block_takes_from_another_is_no_double(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("profile: a\ndefaults:\n  common: &c {seeds: [0]}\n  pretrain: {<<: *c, seeds: [1]}\ncohorts: {}\n")
    assert profiles.read_yaml(path)["defaults"]["pretrain"] == {"seeds": [1]}


@pytest.mark.parametrize("command", [["stale", "--no-data"], ["runs"]])
def test_a_profile_that_is_not_there_is_said(command, places, capsys, monkeypatch):  # noqa: F811
    monkeypatch.setenv("MODTS_HOME", str(HOME))
    assert cli.main([*command, "--profile", "nope"]) == 2
    assert "There is no profile file" in capsys.readouterr().err
    assert cli.main([*command, "--profile", "quick"]) == 0
    runs.write_json(runs.run_path("mine-pretrain-simulated_icu-SAITS"), record("mine"))
    assert cli.main([*command, "--profile", "mine"]) in (0, 1)  # run by hand, without a file


def record(profile):
    run = f"{profile}-pretrain-simulated_icu-SAITS"
    made = {"profile": profile, "cohort": "simulated_icu", "backbone": "SAITS"}
    about = {"started": "", "seconds": 1, "code_version": "", "code_hash": "", "rows": []}
    return {"run": run, "stage": "pretrain", "profile": profile, "params": made, **about}


# --- downloads ------------------------------------------------------------------------------------------------------


def test_a_failed_download_is_one_traceback(tmp_path):
    from modts.cohorts import tsdb_home

    def fail(name, folder):
        try:
            try:
                raise OSError("no route to host")
            except OSError as error:
                raise ConnectionError("retries") from error
        except ConnectionError:
            raise RuntimeError("Download failed.")  # noqa: B904

    stand_in = types.SimpleNamespace(download_and_extract=fail)
    with pytest.raises(ModtsError, match="Download failed") as error:
        tsdb_home._download(stand_in, "italy_air_quality", tmp_path / "italy")
    assert "".join(traceback.format_exception(error.value)).count("Traceback") == 1
    assert not os.listdir(tmp_path)


def test_embedded_cohorts_have_plain_names():
    assert [load_cohort(name).name for name in ("simulated_icu", "simulated_air", "simulated_ward")]
