"""A run as it is published: nothing that is compared is left out, and what is read again is what was measured."""

import json

import numpy as np
import pytest

from modts.errors import ModtsError
from modts.study import collect, stored

ROWS = [
    {"profile": "p", "arm": arm, "split_seed": seed, "value": value, "low": "", "run": "p-heads-x-SAITS"}
    for arm, seed, value in (("frozen", 0, 0.123456789), ("frozen", "", 0.5), ("untrained", 0, 1.0))
]


def test_rows_are_stored_small_and_read_as_they_were(tmp_path):
    record = {"run": "p-heads-x-SAITS", "params": {"rate": 0.123456789}, "rows": ROWS}
    text = stored.compact(record)
    (tmp_path / "p-heads-x-SAITS.json").write_text(text)
    (read,) = collect.read_runs(tmp_path)
    rounded = [row | {"value": float(f"{row['value']:.6g}")} for row in ROWS]
    assert read["rows"] == rounded and read["params"] == record["params"] and read["hash"] == stored.seal(read)
    assert json.loads(text)["rows"]["same"] == {"profile": "p", "low": "", "run": "p-heads-x-SAITS"}
    assert stored.compact(read) == text  # publishing again changes nothing


@pytest.mark.parametrize("rows", [[], ROWS[:1], ROWS[:1] * 2])
def test_no_row_one_row_and_equal_rows(rows):
    text = stored.compact({"run": "x", "rows": rows})
    found = stored.unpacked(json.loads(text)["rows"])
    assert [row["arm"] for row in found] == [row["arm"] for row in rows]


@pytest.mark.parametrize("rows", [{}, {"same": {}, "columns": ["a"], "values": [[1, 2]]}, "text", 3, None])
def test_rows_of_another_form_are_one_sentence(tmp_path, rows):
    (tmp_path / "x.json").write_text(json.dumps({"run": "x", "rows": rows}))
    with pytest.raises(ModtsError, match="is not a run file of x") as error:
        collect.read_runs(tmp_path)
    assert "\n" not in str(error.value)


def test_predictions_that_no_question_compares_are_not_published():
    kept = {
        "heads": ["frozen|simple|paper|1|0|0|0", "frozen|complex|paper|0.025|0|0|4", "untrained|simple|paper|0.1|0|0|0|external"],
        "end_to_end": ["e2e|simple|paper|1|0|0|0", "e2e_shipped|||0.1|0|0|1", "e2e_shipped|||0.1|0|0|1|external"],
        "baselines": ["LightGBM||statistics|0.05|0|0|3"],
    }  # fmt: skip
    left = {
        "heads": ["frozen|simple|mean+max+last|1|0|0|0", "frozen|simple|paper|0.025|0|0|0|external", "stacked|simple|paper|1|0|0|0"],
        "end_to_end": ["e2e|simple|mean+max+last|1|0|0|0"],
        "baselines": ["Mean||statistics|1|0|0|0"],
    }  # fmt: skip
    for stage in kept:
        every = {key: np.zeros(2) for key in kept[stage] + left[stage]}
        assert list(stored.needed(every, stage)) == kept[stage]
