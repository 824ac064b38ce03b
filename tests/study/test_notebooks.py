"""The notebooks' form: a question, strict parameters, a few calls, what to notice, outputs. One real papermill run."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from core_fixture import places, tiny  # noqa: F401

import modts
from modts.study import params

ROOT = Path(__file__).parent.parent.parent
CHAPTERS = ("pretrain", "extract", "heads", "end_to_end", "transfer", "latency")
EACH = pytest.mark.parametrize("chapter", CHAPTERS)
ALL = pytest.mark.parametrize(
    "chapter", [*CHAPTERS, "own_data"]
)  # that one has no parameters: its data are its reader's


def cells(chapter, kind=None):
    notebook = json.loads((ROOT / "notebooks" / f"{chapter}.ipynb").read_text())
    return [cell for cell in notebook["cells"] if kind in (None, cell["cell_type"])]


def source(cell):
    return "".join(cell["source"])


def parameters(chapter):
    """The names and values that the parameters cell sets."""
    (cell,) = [cell for cell in cells(chapter) if "parameters" in cell["metadata"].get("tags", [])]
    namespace = {}
    exec(source(cell), {"__builtins__": {}}, namespace)  # plain values only: nothing can be called
    return cell, namespace


def test_there_are_six_and_own_data():
    assert sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb")) == sorted([*CHAPTERS, "own_data"])


@ALL
def test_it_opens_with_a_title_and_its_question(chapter):
    first = cells(chapter)[0]
    assert first["cell_type"] == "markdown" and source(first).startswith("# ")
    assert "**Question.**" in source(first) and "?" in source(first)


@EACH
def test_its_parameters_are_those_of_the_model_each_with_a_value_that_passes(chapter):
    cell, values = parameters(chapter)
    assert sorted(values) == sorted(params.STAGE_PARAMS[chapter].model_fields)
    assert params.parse(chapter, values).model_dump() == values
    assert cells(chapter, "code")[0] == cell  # before any other code
    lines = source(cell).splitlines()
    assert len(lines) == len(values)  # flat: one name a line
    commented = [line for line in lines if "  # " in line]
    assert len(commented) >= len(lines) * 2 // 3


@EACH
def test_comments_of_the_parameters_are_whole(chapter):
    cell, _ = parameters(chapter)
    for line in source(cell).splitlines():
        name, _, comment = line.partition("  # ")
        assert len(line) <= 120 and comment.count("(") == comment.count(")"), line
        assert not comment or len(comment.split()[-1]) > 1, f"cut off: {line}"


@EACH
def test_its_second_code_cell_validates_and_nothing_runs_before(chapter):
    second = source(cells(chapter, "code")[1])
    assert f'params.validate("{chapter}", globals())' in second
    assert "experiments." not in second.split("params.validate")[0]


@ALL
def test_its_cells_are_short(chapter):
    for cell in cells(chapter, "code"):
        if "parameters" not in cell["metadata"].get("tags", []):
            lines = [line for line in source(cell).splitlines() if line.strip()]
            assert len(lines) <= 14, source(cell)


@ALL
def test_it_ends_with_what_to_notice(chapter):
    last = cells(chapter)[-1]
    assert last["cell_type"] == "markdown" and "## What to notice" in source(last)
    assert source(last).count("\n- ") >= 2


@ALL
def test_its_outputs_are_committed_and_hold_no_error_and_no_path(chapter):
    printing = [
        cell
        for cell in cells(chapter, "code")
        if "print(" in source(cell) or "notebook." in source(cell).splitlines()[-1]
    ]
    assert all(cell["outputs"] for cell in printing), f"{chapter} is committed without its outputs"
    for cell in cells(chapter, "code"):
        for output in cell["outputs"]:
            assert output["output_type"] != "error"
            text = json.dumps(output)
            assert not re.search("/(root|home|tmp)/", text)


@ALL
def test_every_picture_has_alt_text(chapter):
    for cell in cells(chapter, "code"):
        for output in cell["outputs"]:
            data = output.get("data", {})
            assert "image/png" not in data, "a bare figure: show it through notebook.picture"
            html = "".join(data.get("text/html", []))
            assert html.count("<img") == html.count(' alt="') and ' alt=""' not in html


@EACH
def test_it_is_about_what_its_first_run_shows(chapter):
    """The validation cell's committed output names the cohort and backbone of the parameters."""
    second, (_, values) = cells(chapter, "code")[1], parameters(chapter)
    text = "".join("".join(output.get("text", "")) for output in second["outputs"])
    assert f"{chapter}: {values['cohort']} {values['backbone']} seeds {values['seeds']}" in text


def test_papermill_stops_at_a_misspelt_parameter_with_one_sentence_and_no_result(places, tmp_path):  # noqa: F811
    """papermill itself only warns about an unknown parameter and would run with the default."""
    out = tmp_path / "out.ipynb"
    command = [sys.executable, "-m", "papermill", str(ROOT / "notebooks/pretrain.ipynb"), str(out), "-p", "epoch", "3"]
    done = subprocess.run(
        [*command, "--no-progress-bar"],
        capture_output=True,
        text=True,
        cwd=places,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode != 0
    assert "Unknown parameter 'epoch'; did you mean 'epochs'?" in done.stderr
    executed = [cell for cell in json.loads(out.read_text())["cells"] if cell["cell_type"] == "code"]
    failed = [i for i, cell in enumerate(executed) if any(o["output_type"] == "error" for o in cell["outputs"])]
    tags = [cell["metadata"].get("tags", []) for cell in executed]
    own = [i for i, t in enumerate(tags) if "injected-parameters" not in t]
    assert len(failed) == 1 and own.index(failed[0]) == 1  # the second of the notebook's own code cells
    assert all(cell["execution_count"] is None for cell in executed[failed[0] + 1 :])
    (error,) = [o for o in executed[failed[0]]["outputs"] if o["output_type"] == "error"]
    assert error["traceback"] == ["ModtsError: Unknown parameter 'epoch'; did you mean 'epochs'?"]
    assert not list(places.rglob("*.json")) and not (places / "work").exists()


def test_latents_of_a_cohort_without_labels_are_shown(places, tmp_path):  # noqa: F811
    cohort = modts.cohort_from_arrays(tiny(n=80, steps=8, features=3).X).save(places / "plain.npz")
    out = tmp_path / "out.ipynb"
    given = ["-p", "cohort", str(cohort), "-p", "epochs", "1", "-y", "seeds: [0]", "-y", "poolings: [mean+max+last]"]
    command = [sys.executable, "-m", "papermill", str(ROOT / "notebooks/extract.ipynb"), str(out), *given]
    done = subprocess.run(
        [*command, "--no-progress-bar", "-k", "python3"],
        capture_output=True,
        text=True,
        cwd=places,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "of their latents, without labels." in out.read_text() and "Warning" not in out.read_text()
