"""The six chapters that are notebooks are lessons too: they open and end as one, and their exercises' solutions run; and the quiz."""

import json
import re
import time
from dataclasses import replace

import numpy as np
import pytest
import yaml
from book_fixture import NOTEBOOKS, ROOT
from scipy.stats import spearmanr

from modts.book import quiz, results
from modts.learning import HEAD_ALONE, adapt, auroc
from modts.study import experiments, params

CODE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def cells(chapter):
    notebook = json.loads((ROOT / "notebooks" / f"{chapter}.ipynb").read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"]]


@pytest.mark.parametrize("chapter", NOTEBOOKS)
def test_a_chapter_opens_and_ends_as_a_lesson(chapter):
    first, last = cells(chapter)[0], cells(chapter)[-1]
    assert all(f"**{words}**" in first for words in ("You will learn", "You need", "It takes"))
    assert re.findall(r"^## (.*)$", last, re.MULTILINE) == ["What to notice", "Take-aways", "Exercises"]
    exercises = re.findall(r"^:::\{exercise\}.*\n:label: (\S+)$", last, re.MULTILINE)
    solutions = re.findall(r"^:::\{solution\} (\S+)\n:class: dropdown\n\n```python$", last, re.MULTILINE)
    assert exercises == solutions and 2 <= len(exercises) <= 3


@pytest.fixture(scope="module")
def solved():
    """What is defined after a chapter's exercises have run, one after another."""
    found = {}
    for chapter in NOTEBOOKS:
        names, clock = {"__name__": chapter}, time.process_time()
        for number, cell in enumerate(CODE.findall(cells(chapter)[-1]), 1):
            exec(compile(cell, f"{chapter}, cell {number}", "exec"), names)
        found[chapter] = names
        assert time.process_time() - clock < 60, f"{chapter}: the exercises take seconds"
    return found


def test_the_solutions_say_what_comes_out(solved):
    errors = solved["pretrain"]["errors"]
    assert abs(errors["mse"] - errors["mae"]) < 0.02  # "close"
    told, true = solved["pretrain"]["on_hidden"], solved["pretrain"]["in_gaps"]
    assert sorted(told, key=told.get) == sorted(true, key=true.get)  # "the order is the same"
    more = {name: true[name] - told[name] for name in told}
    assert min(more["Linear interpolation"], more["LOCF"]) > 0.01 > more["Mean"]  # "the amount is not"
    widths = solved["extract"]["widths"]
    assert widths["BRITS"] == 2 * widths["GRU-D"] and widths["TimesNet"] == max(widths.values())
    moved = solved["extract"]["moved"]
    assert moved["here"] < 1e-5 < 0.01 < moved["as PyPOTS ships it"]
    chapter = {}
    exec(cells("heads")[2], chapter)
    used = [chapter["head_lrs"], chapter["head_epochs"], chapter["head_patience"]]
    assert used == [[HEAD_ALONE.lr], HEAD_ALONE.epochs, HEAD_ALONE.patience]  # "this chapter's, but for the decay"
    assert "HEAD_ALONE" in cells("heads")[-1]
    difference, by_chance = solved["heads"]["difference"], solved["heads"]["by_chance"]
    assert difference["low"] < 0 < difference["high"]  # "the interval holds zero"
    assert abs(np.mean(by_chance) - 0.5) < 0.08 and max(by_chance) > 0.6 and len(by_chance) == 20
    small, large, deaths = (solved["end_to_end"][name] for name in ("in_head", "in_all", "deaths"))
    assert 0.8 < deaths / small < 1.3 and deaths < large / 100
    gain = solved["end_to_end"]["gain"]
    assert gain["low"] < 0 < gain["high"]
    assert solved["transfer"]["lacking"] == ["BUN", "GCS", "Lactate"]
    lost = solved["transfer"]["lost"]
    assert (
        lost["low"] < 0 < lost["difference"] < lost["high"]
    )  # "higher here, by a difference whose interval holds zero"
    assert solved["end_to_end"]["frozen"] < solved["end_to_end"]["whole"]  # "cost more than a whole head"
    single, shared, apart = (solved["latency"][name] for name in ("single", "shared", "apart"))
    assert shared < 0.6 * apart and apart > 3 * single  # ten passes are many
    assert solved["latency"]["each"][64] < solved["latency"]["each"][1]


def stored(chapter):
    """The tables and texts that a chapter's stored outputs show: rows of cells, and everything printed."""
    notebook = json.loads((ROOT / "notebooks" / f"{chapter}.ipynb").read_text(encoding="utf-8"))
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    shown = "".join("".join(output.get("data", {}).get("text/html", "")) for output in outputs)
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", shown)]
    return rows, "".join("".join(output.get("text", "")) for output in outputs)


def test_what_to_notice_is_in_the_stored_outputs():
    rows, _ = stored("heads")
    auroc = {tuple(row[:4]): float(row[4]) for row in rows[1:]}
    assert {"Fusion", "Stacked"} <= {row[0] for row in rows}
    for _, *same in [one for one in auroc if one[0] == "Frozen"]:  # "in each line ... ahead of the frozen one"
        assert auroc["Untrained", *same] > auroc["Frozen", *same]
    rows, _ = stored("end_to_end")
    every = {row[0]: row[4:] for row in rows if row[3] == "100%"}
    assert (
        max(every, key=lambda arm: float(every[arm][0])) == "End to end as shipped"
    )  # "the highest score of this table"
    low = float(every["End to end as shipped"][1].split(" to ")[0])
    assert all(float(said[1].split(" to ")[1]) > low for said in every.values())  # "the intervals overlap"
    assert "is behind Linear interpolation" in stored("pretrain")[1]  # "the lines below Run say what it reaches"


def test_the_first_component_goes_with_measuring_and_not_with_the_outcome(tmp_path, monkeypatch):
    """As the chapter on extracting says of what it draws, pretrained and untrained, by its own call."""
    monkeypatch.setenv("MODTS_WORK", str(tmp_path))
    settings = {}
    exec(cells("extract")[2], settings)
    checked = params.validate("extract", settings)
    for which in ("random", "pretrained"):
        latents, data, _ = experiments.latents_for(checked, checked.seeds[0], which, checked.poolings[0])
        centred = (latents["test"] - latents["train"].mean(0)) / (latents["train"].std(0) + 1e-6)
        first = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
        X, y = data.part("test")
        assert abs(float(auroc(y, first)) - 0.5) < 0.05  # "hardly better than a coin"
        assert abs(spearmanr(first, (~np.isnan(X)).sum((1, 2)))[0]) > 0.4  # "goes with how much was measured"


def test_a_shuffled_head_takes_the_direction_of_death_with_a_random_sign(solved):
    """Why single shuffles stray, as the chapter on heads says: not because deaths are few, and not where the direction is taken out."""
    names = solved["heads"]
    cohort, backbone, targets = names["cohort"], names["backbone"], names["targets"]
    Z, train = backbone.latents(cohort.X), cohort.splits["train"]
    Z = (Z - Z[train].mean(0)) / (Z[train].std(0) + 1e-6)
    direction = Z[cohort.y == 1].mean(0) - Z[cohort.y == 0].mean(0)
    direction /= np.linalg.norm(direction)
    assert auroc(cohort.y, Z @ direction) > 0.75  # "a direction that goes with death"
    spread = {}
    for words, told in (("whole", Z), ("without", Z - np.outer(Z @ direction, direction))):
        latents = {part: told[rows].astype(np.float32) for part, rows in cohort.splits.items()}
        latents["test"] = told.astype(np.float32)  # all stays: five times the deaths
        draw, reached = np.random.default_rng(0), []
        for seed in range(20):
            y = {part: replace(some, y=draw.permutation(some.y)) for part, some in targets.items()}
            y["test"] = replace(targets["test"], y=cohort.y)
            made = adapt(
                "frozen", "simple", y, np.arange(len(train)), latents=latents, training=replace(HEAD_ALONE, seed=seed)
            )
            reached.append(float(auroc(cohort.y, made.prediction)))
        spread[words] = np.std(reached)
    assert spread["whole"] > 0.06 > 3 * spread["without"]
    assert np.std(names["by_chance"]) < 1.6 * spread["whole"]  # "more deaths would not help"


@pytest.mark.parametrize(
    "path, words",
    [
        ("notebooks/extract.ipynb", "separates them too"),  # not what is drawn there: see above
        ("notebooks/heads.ipynb", "with few deaths, luck alone"),
        ("book/data/quiz.yaml", "copy of the hidden value"),  # most of what is hidden was never measured
        ("book/learn/holes.md", "the score is too good or too bad"),  # it may be
        ("book/learn/missing_values.md", "is nearly always there"),  # the pulse
        ("book/learn/missing_values.md", "and blocks"),  # a mean over windows cannot show them
        ("book/learn/latents.md", "is one line of Python"),
        ("book/learn/latents.md", "does worse"),  # its interval holds zero
        (
            "modts/book/learn.py",
            '"Hollow: what one can measure on real data. Diamond: what one wants to know. The longer',
        ),
    ],
)
def test_what_does_not_hold_is_not_said_again(path, words):
    assert words not in " ".join((ROOT / path).read_text(encoding="utf-8").split())


def test_every_question_of_the_quiz_has_one_right_answer_and_a_chapter():
    rows = quiz.questions()
    assert len(rows) >= 8 and {row["see"] for row in rows} >= {"missing_values", "holes", "latents"}
    see = [row["see"] for row in rows]
    path = sum(name in ("missing_values", "holes", "latents") for name in see)
    assert path > len(see) / 2 and set(see[path:]) == {
        "heads",
        "method",
    }  # "most ... the three chapters; the last ones ..."
    assert set(see[:6]) == {"missing_values", "holes"}  # "first six questions", for teachers
    for row in rows:
        assert len(row["answers"]) == 3 and len(set(row["answers"])) == 3 and row["why"]
    assert len({row["right"] for row in rows}) == 3  # not always the same place
    text = quiz.quiz(results.collect())
    assert text.count("<fieldset") == text.count("<details>") == len(rows) == text.count("<legend>")
    raw = yaml.safe_load((ROOT / "book" / "data" / "quiz.yaml").read_text(encoding="utf-8"))
    assert [one["ask"] for one in raw] == [one["ask"] for one in rows]
