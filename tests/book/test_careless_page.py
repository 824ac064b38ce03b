"""The page on careless training: what is told of made-up rows."""

import pandas as pd
from core_fixture import places  # noqa: F401

from modts.book import careless, fragments, results, verdicts


def rows(ways, *tests, backbone="SAITS"):
    base = dict.fromkeys(results.TABLES["careless"], "x") | {"backbone": backbone, "ways": ways, "seconds": 60.0}
    return [base | {"seed": str(seed), "test": str(test)} for seed, test in enumerate(tests)]


def found(*some):
    empty = pd.DataFrame()
    made = results.Results(empty, empty, empty)
    made.careless = pd.DataFrame([row for part in some for row in part], columns=list(results.TABLES["careless"]))
    return made


SOME = (
    rows("", 0.73, 0.77), rows("learning rate of 0.01", 0.6, 0.66), rows("labels of other rows", 0.48, 0.52),
    rows("raw units", 0.54, 0.58), rows("", 0.7, backbone="CSAI"), rows("labels of other rows", 0.5, backbone="CSAI"),
    rows("learning rate of 0.01 + raw units", 0.5, 0.5), rows("labels of other rows + raw units", 0.5, 0.5),
)  # fmt: skip


def test_what_ends_at_chance_is_told_and_what_does_not():
    singles = careless.means(found(*SOME[:6]).careless)
    said = careless.answer(singles)
    assert said[0] == (
        "Of three careless ways, one takes end-to-end SAITS to chance, where the paper's 0.464 lies: labels of other rows (0.500)."
    )
    assert "takes end-to-end CSAI to chance" in said[1]
    assert said[2].startswith("Trained the study's way, SAITS has 0.750 (0.730 to 0.770 over two splits); of the other")
    assert "“raw units” with 0.560" in said[2] and said[3].endswith("over one split).")
    harmless = careless.answer(careless.means(found(*SOME[:2]).careless))
    assert harmless[0] == "Of one careless way, none takes end-to-end SAITS to chance, where the paper's 0.464 lies."
    assert harmless[-1] == "CSAI, of which the paper says the same, has not been tried yet." and "tried" not in "".join(
        said
    )


def test_a_score_that_is_turned_over_is_not_called_chance():
    over = rows("the other column", 0.27, 0.28)
    said = careless.answer(careless.means(found(*SOME[:2], over).careless))
    assert said[0] == (
        "Of two careless ways, none takes end-to-end SAITS to chance, where the paper's 0.464 lies; one turns its score over: "
        "the other column (0.275)."
    )
    assert "of the other ways the worst is “learning rate of 0.01” with 0.630" in said[1]


def test_a_pair_counts_where_neither_half_is_at_chance_alone():
    every = careless.means(found(*SOME).careless)
    singles = careless.means(found(*SOME[:6]).careless)
    (said,) = careless.pairs(every, singles)
    assert said.startswith("SAITS: of two pairs, one at chance") and "learning rate of 0.01 + raw units (0.500)" in said
    assert "labels of other rows + raw" not in said


def test_the_page_has_a_picture_a_table_and_the_paper(monkeypatch, tmp_path):
    monkeypatch.setattr(fragments, "out_dir", lambda: tmp_path)
    text = careless.careless(found(*SOME))
    svg = (tmp_path / "careless-wide.svg").read_text(encoding="utf-8")
    assert "the paper's figure" in svg and "nothing: the study's way" in svg
    assert "0.480–0.520" in text and "## Two things at a time" in text and "14 runs" in text
    assert "benchmarks/careless.py" in careless.careless(found())
    assert verdicts.near_chance() == {"SAITS": 0.464, "CSAI": 0.465}
    assert set(verdicts.near_chance()) == {row["backbone"] for part in SOME for row in part}
