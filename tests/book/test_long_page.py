"""The page on long series: what is told of made-up rows; and the script that makes the true ones."""

import json
import sys

import pandas as pd
import pytest
from core_fixture import benchmark, places  # noqa: F401

from modts.book import fragments, ledger, long, results


def row(backbone, steps, **values):
    base = dict.fromkeys(results.TABLES["long"], "") | {
        "cohort": "ett_m1",
        "backbone": backbone,
        "steps": str(steps),
        "minutes": "6",
        "gigabytes": "16",
        "seconds": 60.0,
    }
    made = {
        "seconds_epoch": "2.5",
        "peak_gb": "1.5",
        "latents_ms": "3.25",
        "mae": "0.3",
        "line_mae": "0.2",
        "head_mae": "0.4",
        "ridge_mae": "0.5",
        "capped": 0,
    }
    return base | ({} if values.get("stopped") else made) | values


SOME = (
    row("SAITS", 1000), row("SAITS", 10000, stopped="memory"), row("BRITS", 1000, mae="0.1"), row("BRITS", 10000, head_mae="0.9", capped=1),
)  # fmt: skip


def found(*rows):
    made = results.Results(pd.DataFrame(), pd.DataFrame(), pd.DataFrame())
    made.long = pd.DataFrame(rows, columns=list(results.TABLES["long"]))
    return made


def test_who_gets_through_who_stops_and_who_is_ahead():
    said = long.answer(long.typed(found(*SOME).long))
    assert said == [
        "One of the two backbones tried there trained on windows of 10,000 steps.",
        "Where the others stop: SAITS at 10,000 (memory). The limits were 16 GB a process and 6 minutes a pretraining.",
        "Error on hidden values below that of linear interpolation: 1 of 2 at 1,000, 0 of 1 at 10,000.",
        "Error of the target at every step below that of ridge regression: 2 of 2 at 1,000, 0 of 1 at 10,000.",
        "Error on hidden values of BRITS as windows get longer: 0.100 at 1,000, 0.300 at 10,000.",
        "One of the four trainings ended at the cap of epochs or of time: errors might have gone on falling.",
    ]
    (first, *_, last) = long.answer(
        long.typed(found(row("SAITS", 100), row("GRU-D", 100, capped=1), row("GRU-D", 300, capped=1)).long)
    )
    assert first == "GRU-D, the only one of two backbones tried there, trained on windows of 300 steps."
    assert last.startswith("Two of the three trainings")


def test_the_page_has_a_picture_and_a_table(monkeypatch, tmp_path):
    monkeypatch.setattr(fragments, "out_dir", lambda: tmp_path)
    text = long.long(found(*SOME))
    svg = (tmp_path / "long-ett_m1-wide.svg").read_text(encoding="utf-8")
    assert "linear interpolation" in svg and "ridge regression" in svg and "seconds an epoch" in svg
    assert (
        "stopped: memory" in text
        and "four trainings of two backbones, one initialisation each, of which 1 ended at the cap" in text
    )
    assert "benchmarks/long_series.py" in long.long(found())


def test_the_ledger_tells_it():
    (one,) = ledger.ANSWERS["N3"](found(*SOME))
    assert (
        one["verdict"] == "measured"
        and "One of the two backbones tried there trained on windows of 10,000 steps" in one["why"]
    )
    assert ledger.ANSWERS["N3"](found()) == []


@pytest.fixture
def script():
    return benchmark("long_series")


def test_a_process_of_its_own_brings_a_row_and_says_where_it_stops(script, monkeypatch):
    known = dict(zip(results.TABLES["long"][:3], ("simulated_air", "GRU-D", "24"), strict=True))
    made = script.limited("simulated_air", "GRU-D", 24, 0.5, 16)
    assert float(made["mae"]) > 0 and made["epochs"] >= 1 and set(made | known) <= set(results.TABLES["long"])
    assert script.limited("simulated_air", "GRU-D", 24, 0.05, 1) == {"stopped": "memory"}
    monkeypatch.setattr(script, "__file__", "/dev/null")
    with pytest.raises((RuntimeError, OSError)):
        script.limited("simulated_air", "GRU-D", 24, 0.05, 16)


def test_rows_are_written_as_they_come_and_not_made_twice(script, monkeypatch, places):  # noqa: F811
    asked = []

    def limited(name, backbone, steps, minutes, gigabytes):
        asked.append((backbone, steps))
        return {"stopped": "time"}

    monkeypatch.setattr(script, "limited", limited)
    monkeypatch.setattr(sys, "argv", ["long_series.py", "--backbone", "SAITS", "--steps", "100"])
    script.main()
    script.main()
    assert asked == [("SAITS", 100)]
    (one,) = script.read_table(script.runs.results_dir() / "long.csv")
    assert json.loads(one["minutes"]) == script.MINUTES and one["stopped"] == "time"
