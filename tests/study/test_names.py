"""One table of names: what a reader sees for what a row says, in notebooks as in the book."""

import re
from pathlib import Path

import pytest

from modts.learning import ARMS, HEADS, METRICS
from modts.study import ARM_NAMES, HEAD_NAMES, METRIC_NAMES, arm_name, arm_order, notebook

ROOT = Path(__file__).parents[2]
ROWS = [
    {
        "arm": arm,
        "head": head,
        "pooling": "paper",
        "label_fraction": 0.1,
        "metric": "auroc",
        "init_seed": "",
        "source": "",
    }
    | {"value": 0.8, "low": 0.7, "high": 0.9}
    for arm, head in (("frozen", "simple"), ("e2e_shipped", ""))
]


def test_every_arm_head_and_metric_has_its_name():
    assert set(ARM_NAMES) == {*ARMS, "transfer", "transfer_finetune", "fusion", "stacked"}
    assert set(HEAD_NAMES) == set(HEADS)
    assert set(METRIC_NAMES) == {metric for metrics in METRICS.values() for metric in metrics}
    assert arm_name("untrained", "complex", "mean+max+last") == "Untrained + Complex (mean+max+last pooling)"
    assert arm_name("new_thing", "simple") == "New thing + Simple"
    order = sorted(
        [("e2e_shipped", ""), ("zzz", ""), ("frozen", "complex"), ("frozen", "simple")], key=lambda x: arm_order(*x)
    )
    assert order == [("frozen", "simple"), ("frozen", "complex"), ("e2e_shipped", ""), ("zzz", "")]


def test_notebooks_show_names_not_codes():
    class Run:
        rows = ROWS

    shown = notebook.summary(Run, "auroc").code
    assert "End to end as shipped" in shown and "Frozen" in shown and "Simple" in shown and "AUROC" in shown
    assert "e2e_shipped" not in shown and ">frozen<" not in shown
    ticks = [label.get_text() for label in notebook.intervals(ROWS).axes[0].get_yticklabels()]
    assert ticks == ["Frozen + Simple, 10%", "End to end as shipped, 10%"]
    assert notebook.arms(ROWS[::-1]) == ["Frozen", "End to end as shipped"]


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_no_output_of_a_notebook_shows_a_code(path):
    import json

    for cell in json.loads(path.read_text())["cells"]:
        for output in cell.get("outputs", []):
            text = "".join(output.get("text", [])) + "".join(output.get("data", {}).get("text/html", []))
            assert not re.search(r"e2e|finetune|[>']frozen[<']", re.sub('data:image[^"]*', "", text)), text[:200]
