"""The chapters under "Learn": their code cells run, in order, and their sentences say what the numbers say."""

import re
import shutil
import time

import numpy as np
import pandas as pd
import pytest
from book_fixture import ROOT

import modts
from modts import runs
from modts.book import (
    cohorts,
    figures,
    fragments,
    latents,
    latents_numbers,
    latents_plots,
    learn,
    learn_plots,
    play,
    results,
)
from modts.book import learn_numbers as numbers
from modts.cohorts import load_cohort, world
from modts.errors import ModtsError
from modts.study import read_profile

CHAPTERS = [ROOT / "book" / "learn" / name for name in ("missing_values.md", "holes.md", "latents.md")]
CELLS = learn.CELL
CODE = re.compile(r"^```(?:python|\{code-block\} python\n:name: \S+\n)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def run(page, folder, monkeypatch):
    """What is defined after all code cells of a chapter have run one after another, solutions included, in an empty folder."""
    monkeypatch.chdir(folder)
    names = {"__name__": page.stem}
    for number, cell in enumerate(CODE.findall(page.read_text(encoding="utf-8")), 1):
        exec(compile(cell, f"{page.name}, cell {number}", "exec"), names)
    return names


def test_the_primers_cells_run_and_its_solutions_say_what_comes_out(tmp_path, monkeypatch, capsys):
    names = run(CHAPTERS[0], tmp_path, monkeypatch)
    off, repaired = names["off"], names["repaired"]
    assert 0 > off("MNAR", 0.2) > off("MNAR", 0.5) > off("MNAR", 0.8)  # grows with every value that is lost
    assert all(abs(off("MCAR", rate)) < 0.02 for rate in (0.2, 0.5, 0.8))
    before, after = repaired("MAR")
    assert abs(after) < 0.15 * abs(before)  # nearly all of it is gone
    before, after = repaired("MNAR")
    assert after < before < 0  # "further off than before"
    solution = next(cell for cell in CODE.findall(CHAPTERS[0].read_text(encoding="utf-8")) if "def repaired" in cell)
    exec(solution.replace("cohort.X[..., hr]", "cohort.truth[..., hr]"), names)  # with the true pulse
    assert before < names["repaired"]("MNAR")[1] < 0.8 * before  # "a little is gained, and most of the error stays"
    value, low, high, _ = zip(*names["ranking"], strict=True)
    assert min(low) > 0.5 and value[0] - value[4] < 0.01  # "every count says something", "five lie within a hundredth"
    assert min(high[i] - low[i] for i in range(5)) > 0.08  # "ten times as wide"
    assert "MNAR -" in capsys.readouterr().out


def test_the_cells_on_own_data_run_from_a_table_to_a_table_without_gaps(tmp_path, monkeypatch, capsys):
    names = run(CHAPTERS[1], tmp_path, monkeypatch)
    said = capsys.readouterr().out
    cohort, X = names["cohort"], load_cohort("simulated_icu").X
    assert cohort.X.shape == X.shape and np.array_equal(np.isnan(cohort.X), np.isnan(X)), (
        "the table lost or gained a value"
    )
    assert not np.isnan(names["complete"]).any()
    before, after = (pd.read_csv(tmp_path / name) for name in ("mine.csv", "complete.csv"))
    where = list(cohort.features)
    both = before.merge(after, on=["patient", "hour"], suffixes=("", " filled"), validate="one_to_one")
    assert len(both) == len(before) == len(after)  # every row came back to its patient and hour
    seen, back = both[where].to_numpy(), both[[f"{name} filled" for name in where]].to_numpy()
    assert np.allclose(back[~np.isnan(seen)], seen[~np.isnan(seen)], rtol=1e-6) and not np.isnan(back).any()
    cell = dict(CELLS.findall(CHAPTERS[1].read_text(encoding="utf-8")))["leaking-mask"]
    assert not re.search(r"nan(mean|std)\(X", cell), "the ruler reads the values that are hidden"
    kept = ~np.isnan(cohort.X)
    assert np.array_equal(names["complete"][kept], cohort.X[kept]), "a measured value was changed"
    assert not (names["scored"] & np.isnan(names["X_test"])).any(), "a real gap was scored"
    errors = names["errors"]
    assert errors["interpolation"] < errors["SAITS"] < 1.2  # "expect the line to win"
    by = names["errors_by"]
    line, last = ([by[shape, name] for shape in ("one by one", "in runs")] for name in ("Linear interpolation", "LOCF"))
    assert line[0] == pytest.approx(errors["interpolation"]) and line[1] < last[1]  # "the line stays ahead"
    assert line[1] / line[0] == pytest.approx(last[1] / last[0], rel=0.1)  # "both lose about as much"
    assert line[1] > 1.2 * line[0]
    assert names["in_units"].idxmax() != names["in_deviations"].idxmax()
    for name in ("leaking-mask", "leaking-scaler"):  # what the page shows is what its cells print
        assert learn.printed(CHAPTERS[1], name) in said


def test_the_cells_on_latents_run_and_their_solutions_say_what_comes_out(tmp_path, monkeypatch, capsys):
    for name in ("lesson.safetensors", "lesson.safetensors.json"):
        shutil.copy(ROOT / "book" / "data" / name, tmp_path)
    steps = latents_numbers.steps()
    names = run(CHAPTERS[2], tmp_path, monkeypatch)
    said = capsys.readouterr().out
    for name in latents.CELLS:  # what the page shows is what its cells print
        assert learn.printed(CHAPTERS[2], name) in said
    assert names["by_hand"] == pytest.approx(float(names["predictor"].predict(names["stay"])[0]), abs=1e-5)
    assert steps.chance == pytest.approx(float(names["by_hand"]), abs=1e-5) and steps.states.shape == (48, 128)
    ends = np.concatenate([steps.states[-1, :64], steps.states[0, 64:]])  # the second half reads backward
    assert np.allclose(ends, names["latent"][0], atol=1e-6) and np.allclose(ends, steps.latent, atol=1e-6)
    assert np.array_equal(np.isnan(steps.z), ~steps.seen)
    none, average, normal = (names["as_it_was"] - score for score in names["scores_with"].values())
    assert 0 < average < normal < none < 0.05  # "with a normal value the part is larger"; "hardly moves"
    assert normal > 0.5 * none > average  # so which of the two counts for more cannot be said
    f = names["f"]
    assert (
        names["average"] > names["cohort"].truth[..., f].mean() + 0.2
    )  # "the average of the *measured* lactates is high"
    assert np.ptp(names["filled"]) > 0.5  # "values of its own"
    assert names["died"].mean() < 0.8 * steps.chances.mean()  # "higher than the share that died": no probability
    assert all(first > 0.4 and second < 0.1 for first, second in names["strength"].values())  # "the second hardly"
    few, every = names["probes"]["a tenth"], names["probes"]["all labels"]
    assert few[0] < every[0] and few[2] > every[1]  # "scores lower", "two intervals of their own that overlap"
    assert names["apart"]["low"] < 0 < names["apart"]["high"]  # "the interval of the difference holds zero"
    assert len(names["latents"]["val"]) > 2 * len(names["labelled"])  # "more than the tenth has for training"


def test_what_the_true_risk_reaches_is_told_of_the_stays_beside_it():
    _, cohort = latents_numbers.lesson()
    test, found = cohort.splits["test"], latents_numbers.true_auroc()
    assert found == pytest.approx(modts.learning.auroc(cohort.y[test], world().risk[test]))
    assert found > cohort.notes["best_auroc"] + 0.02  # so that of all stays bounds nothing on these
    others = [load_cohort("simulated_icu", seed=seed) for seed in (2, 4)]
    assert all(
        modts.learning.auroc(one.part("test")[1], world().risk[one.splits["test"]]) < found - 0.02 for one in others
    )
    pieces = [
        latents.readings(results.collect()),
        (ROOT / "notebooks" / "heads.ipynb").read_text(encoding="utf-8"),
        *cohorts.NOTES.values(),
    ]
    assert f"itself reaches {found:.2f} on these stays" in pieces[0]
    assert not re.search(r"best possible|bounds every|could reach", " ".join(pieces), re.IGNORECASE)


def test_latents_hold_what_the_chapter_says():
    rows = latents_numbers.readings()
    severity = rows[rows["read"] == "severity"].set_index("source")["value"]
    measured = rows[rows["read"] == "measured"].set_index("source")["value"]
    assert measured["statistics"] > 0.99  # counts are among them
    learnt = latents_numbers.learnt().set_index("read")
    assert learnt.loc["severity", "low"] > -0.01  # ahead of this untrained network
    assert (
        0 < severity["pretrained"] - learnt.loc["severity", "to"] < 0.05
    )  # others reach "nearly as much as the pretrained one"
    assert learnt.loc["measured", "low"] < 0 < learnt.loc["measured", "high"]  # "no training is needed for that"
    assert learnt.loc["severity", "value"] == pytest.approx(severity["pretrained"] - severity["untrained"])
    goes = latents_numbers.along()
    assert min(goes["measured"], goes["severity"]) > 0.3  # "goes with ... and with ..."
    points, shares = latents_numbers.plane()
    assert len(points) == 120 and 0.3 < sum(shares) < 1 and shares[0] >= shares[1]


def test_the_lessons_head_is_the_one_that_would_be_trained_now():
    predictor, cohort = latents_numbers.lesson()
    latents = {part: predictor.backbone.latents(cohort.part(part)[0]) for part in cohort.splits}
    made = modts.adapt("frozen", "simple", modts.labels(cohort)[0], np.arange(len(latents["train"])), latents=latents)
    assert (
        made.history.best_epoch == 0 and modts.learning.HEAD_ALONE.weight_decay == 0
    )  # "no weight decay", "its first few steps"
    assert np.allclose(made.prediction, predictor.predict(cohort.part("test")[0]), atol=1e-4)


def test_the_lessons_file_says_where_it_comes_from():
    card = runs.read_json(ROOT / "book" / "data" / "lesson.safetensors.json")
    profile = read_profile(ROOT / "profiles" / "quick.yaml").jobs["quick-pretrain-simulated_icu-BRITS"].params
    settings = card["backbone"]["past"][0]["settings"]
    assert all(settings[name] == profile[name] for name in ("pattern", "rate", "epochs", "batch_size", "lr"))
    assert (ROOT / card["made_by"].split()[1]).is_file()
    assert (ROOT / "book" / "data" / "lesson.safetensors").stat().st_size < 300_000


def test_the_cells_that_leak_show_it():
    said = learn.printed(CHAPTERS[1], "leaking-mask").splitlines()
    last, line = ([float(one.split()[-1]) for one in said[start + 1 : start + 5]] for start in (0, 5))
    for everywhere, measured, right, real in (last, line):
        assert everywhere < 0.5 * measured and right == pytest.approx(real, abs=0.03)  # "a fill with a fill"
    assert last[1] > 0.85 * last[2] and line[1] < 0.8 * line[2]  # "LOCF hardly gains ... the straight line does gain"
    assert np.isnan(numbers.stays().part("test")[0]).mean() > 0.6  # "most of what it scores was never measured"
    cell = dict(CELLS.findall(CHAPTERS[1].read_text(encoding="utf-8")))["leaking-mask"]
    assert not re.search("#.*(wrong|right)", cell), "teachers ask for the mistake"
    train, everything = (float(line.split()[-2]) for line in learn.printed(CHAPTERS[1], "leaking-scaler").splitlines())
    assert everything < 0.9 * train
    with pytest.raises(ModtsError, match="no code cell 'nothing'; it has leaking-mask, leaking-scaler"):
        learn.printed(CHAPTERS[1], "nothing")


def value(rows, **where):
    for name, wanted in where.items():
        rows = rows[rows[name] == wanted]
    assert len(rows) == 1
    return rows.iloc[0]


def test_means_are_off_as_the_chapter_says():
    rows = numbers.means()
    bias = rows.pivot(index="variable", columns="mechanism", values="bias")
    assert (bias["MCAR"].abs() < 0.01).all()
    assert (bias["MNAR"] < -0.4).all() and (bias["MNAR"] > -0.5).all()
    assert (bias.loc[["HR", "MAP"], "MAR"] == 0).all() and bias.drop(["HR", "MAP"])["MAR"].abs().between(
        0.02, 0.2
    ).all()
    assert bias["informative"].idxmax() == "Lactate" and bias["informative"].idxmin() == "GCS"
    cohort = load_cohort("simulated_icu", mechanism="MNAR", rate=0.5)
    f = cohort.features.index("BUN")
    assert value(rows, mechanism="MNAR", variable="BUN")["seen"] == pytest.approx(
        np.nanmean(cohort.X[..., f]), rel=1e-5
    )


def test_scores_mislead_as_the_chapter_says():
    rows = numbers.imputers()

    def pair(mechanism, imputer="Linear interpolation"):
        return (value(rows, mechanism=mechanism, imputer=imputer, kind=kind) for kind in ("scored", "true"))

    scored, true = pair("MCAR")
    assert scored["value"] == pytest.approx(true["value"], abs=0.01)
    for mechanism in ("MAR", "MNAR", "informative", numbers.EXCEPTION):  # too good
        scored, true = pair(mechanism)
        assert scored["high"] < true["low"]
    scored, true = pair(numbers.EXCEPTION, "Mean")  # too bad
    assert scored["low"] > 2 * true["high"]
    scored, true = pair("MAR")
    much = numbers.pulse()  # "the more is lost, the further apart"
    assert much["true"] - much["scored"] > 2 * (true["value"] - scored["value"]) > 0
    scored, true = pair("MAR", "Mean")  # "may be too good or too bad": here it is neither
    assert scored["low"] < true["value"] < scored["high"]
    ward = numbers.ward()  # "the distance makes the gaps harder, not the illness"
    assert ward["near"]["true"] > 2 * ward["near"]["scored"] and ward["all"]["true"] > 1.1 * ward["all"]["scored"]
    assert ward["alike"]["scored"] == pytest.approx(ward["alike"]["true"], abs=0.01)
    for kind, off in ward["all"].items():
        assert off == pytest.approx(value_of(rows, "informative", kind), abs=1e-4)


def value_of(rows, mechanism, kind):
    return value(rows, mechanism=mechanism, imputer="Linear interpolation", kind=kind)["value"]


def test_how_far_a_cell_is_from_what_was_seen():
    before, after = numbers.distances(np.array([[[False], [True], [False], [False], [True]]]))
    assert before[0, :, 0].tolist() == [5, 0, 1, 2, 0] and after[0, :, 0].tolist() == [1, 0, 2, 1, 0]


def test_how_many_are_lost_is_chosen_but_as_on_a_ward():
    rates = {
        name: {float(load_cohort("simulated_icu", mechanism=name, rate=r).missing_rate) for r in play.RATES}
        for name in numbers.MECHANISMS
    }
    assert {name for name, found in rates.items() if len(found) == 1} == {"informative"}
    lost = np.isnan(load_cohort("simulated_icu", mechanism="MAR", rate=0.5).X).mean((0, 1))
    kept = [name for name, share in zip(numbers.stays().features, lost, strict=True) if share == 0]
    assert kept == ["HR", "MAP"]
    assert lost[lost > 0].mean() == pytest.approx(0.5, abs=0.01)  # "of those that may be missing"
    pulse = np.isnan(numbers.stays().X[..., 0]).mean()
    assert 0.1 < pulse < 0.4  # "most of the time", not always


def test_a_guess_can_be_asked_for_before_each_figure(tmp_path, monkeypatch):
    """The page for teachers says so: the numbers stand below the picture."""
    monkeypatch.setattr(fragments, "out_dir", lambda: tmp_path)
    monkeypatch.setattr(figures, "svg", lambda figure: "<svg/>")
    found = results.collect()
    for piece in (learn.means, learn.imputers, learn.predictions):
        assert piece(found).startswith("::::{div} modts-picture")


def test_pictures_say_what_is_in_them():
    names = {
        label.get_text()
        for axis in learn_plots.maps([load_cohort(name) for name in learn.EMBEDDED], False).axes
        for label in axis.get_yticklabels()
    }
    assert names >= {"Pulse", "Oxygen saturation", "Glucose"}
    assert not names & {"HR", "MAP", "SaO2", "RespRate", "hr", "map", "resp", "o2sat", "crea", "plt", "glu"}
    raw, *_, states = latents_plots.way(False).axes[:4]
    assert raw.get_yscale() == "log" and "log" in raw.get_ylabel()
    framed = [(patch.get_x() + 0.5, patch.get_y() + 0.5, patch.get_height()) for patch in states.patches]
    assert framed == [(47, 0, 64), (0, 64, 64)]  # forward at the right edge, backward at the left
    limits = [axis.get_xlim() for axis in learn_plots.optimism(numbers.imputers(), False).axes]
    assert limits[0] != limits[1]  # "the two panels differ in scale"


def test_the_small_network_of_the_boxes_is_no_fair_rival():
    """As both boxes say: trained briefly, on the ward's gaps, and the stays it learnt from are among those scored."""
    predictor, cohort = latents_numbers.lesson()
    (past,) = predictor.backbone.card["past"]
    assert past["epochs"] < 10 and past["windows"] == len(cohort.splits["train"]) > 0.6 * len(cohort.X)
    for page, words in (
        (CHAPTERS[0], "briefly and on the ward's alone, and the stays"),
        (CHAPTERS[1], "too briefly to be good at it"),
    ):
        assert words in page.read_text(encoding="utf-8").replace("\n", " ")


def test_counts_predict_as_the_chapter_says():
    rows = numbers.predictions()
    assert value(rows, mechanism="informative", features="counts")["low"] > 0.65
    for mechanism in ("MCAR", "moved"):
        row = value(rows, mechanism=mechanism, features="counts")
        assert row["low"] < 0.5 < row["high"]
    assert (rows[rows["features"] == "values"]["value"] > 0.8).all()
    both = value(rows, mechanism="informative", features="both")
    assert value(rows, mechanism="moved", features="both")["high"] < both["low"] + 0.01


def test_the_shape_of_gaps_counts_for_more_than_their_share():
    rows = numbers.rates()
    single, runs = (rows[rows["run"] == run].set_index("rate") for run in (1, numbers.RUN))
    assert single["value"].is_monotonic_increasing
    assert runs["low"].min() > single["high"].max()
    true = value(numbers.imputers(), mechanism="informative", imputer="Linear interpolation", kind="true")["value"]
    assert single["value"].iloc[1] < true < runs["value"].min()  # the dashed line lies between the two


def test_what_is_hidden_is_not_drawn_with_what_was_lost():
    truth = numbers.stays().truth
    lost = np.isnan(numbers.by_exception(truth))
    assert lost.mean() == pytest.approx(numbers.RATE, abs=0.005)
    hidden = np.isnan(numbers.hide(truth))
    assert hidden[lost].mean() == pytest.approx(hidden[~lost].mean(), abs=0.005)
    runs = np.isnan(numbers.hide(truth, 0.3, run=12))
    assert runs.mean() == pytest.approx(0.3, abs=0.05)
    assert runs[:, 1:][runs[:, :-1]].mean() > 0.8  # runs, not points


def test_the_pieces_take_seconds_and_no_network(tmp_path, monkeypatch):
    ours = (
        latents_numbers.steps,
        latents_numbers.latents,
        latents_numbers.plane,
        latents_numbers.readings,
        latents_numbers.learnt,
    )
    for made in (
        numbers.stays,
        numbers.means,
        numbers.imputers,
        numbers.rates,
        numbers.ward,
        numbers.predictions,
        learn.outputs,
        *ours,
    ):
        made.cache_clear()
    monkeypatch.setattr(fragments, "out_dir", lambda: tmp_path)
    monkeypatch.setattr(figures, "svg", lambda figure: "<svg/>")
    found = results.collect()
    clock = time.process_time()
    pieces = {name: piece(found) for name, piece in (learn.PIECES | latents.PIECES | play.PIECES).items()}
    assert time.process_time() - clock < 90, "twice what they should take, for a slow machine"
    text = "\n".join(pieces.values())
    assert "nan" not in re.findall(r"\b\w+\b", text.lower())
    for page in CHAPTERS:
        words = page.read_text(encoding="utf-8")
        used = set(re.findall(r"_generated/([\w-]+)\.md", words))
        assert used <= set(pieces)
        pieces = {name: piece for name, piece in pieces.items() if name not in used}
    assert not pieces, "made and shown nowhere"


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)
def test_a_chapter_opens_and_ends_as_a_lesson_and_types_no_number(page):
    text = page.read_text(encoding="utf-8")
    opening = text.split("\n## ")[0]
    assert all(f"**{words}**" in opening for words in ("You will learn", "You need", "It takes"))
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings[-2:] == ["Take-aways", "Exercises"]
    exercises = re.findall(r"^:::\{exercise\}.*\n:label: (\S+)$", text, re.MULTILINE)
    solutions = re.findall(r"^:::\{solution\} (\S+)\n:class: dropdown\n\n```python$", text, re.MULTILINE)
    assert exercises == solutions and 2 <= len(exercises) <= 3
    words = re.sub(r"```.*?```|\{[\w:]+\}`[^`]*`|`[^`]*`|\]\([^)]*\)", "", text, flags=re.DOTALL)
    assert not re.search(r"\d", words), re.findall(r".{0,30}\d.{0,30}", words)


def test_every_term_that_was_asked_for_is_in_the_glossary():
    text = (ROOT / "book" / "learn" / "glossary.md").read_text(encoding="utf-8")
    terms = re.findall(r"^(?! |#|`|$)([^ ].*)$", text.split("{glossary}")[1], re.MULTILINE)
    wanted = (
        "Arm,Boosted trees,Backbone,Head,Frozen,Latent,Linear probe,AUROC,AUPRC,MAE,LOCF,Delta,Decay,MCAR,MAR,MNAR,ORT,MIT,Equivalence,Holm,"
        "Calibration,Fusion,Stacked,Cohort,Window,Stay,End to end,Fine-tuning,Untrained,z-score,"
        "As shipped,Bootstrap,Cap,Draw of labels,External test,Interval,Multiple imputation,Pooling,p-value,PyPOTS,Test split"
    )
    assert sorted(terms) == sorted(wanted.split(","))


def test_every_term_is_linked_from_a_page_that_uses_it():
    pages = [
        path for path in (ROOT / "book").rglob("*.md") if "_generated" not in path.parts and path.stem != "glossary"
    ]
    text = "\n".join(path.read_text(encoding="utf-8") for path in pages)
    linked = {(target or words).lower() for words, target in re.findall(r"\{term\}`([^`<]*?) ?(?:<([^`>]*)>)?`", text)}
    glossary = (ROOT / "book" / "learn" / "glossary.md").read_text(encoding="utf-8").split("{glossary}")[1]
    terms = re.findall(r"^(?! |#|`|$)([^ ].*)$", glossary, re.MULTILINE)
    assert not [term for term in terms if term.lower() not in linked]
