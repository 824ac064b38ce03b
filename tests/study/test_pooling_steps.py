"""The notebooks with a latent at every step: each stage of a regression at every step runs to its end, and every cell of its notebook."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from core_fixture import places, tiny  # noqa: F401

SHORT = {
    "seeds": [0], "epochs": 1, "poolings": ["steps"], "label_fractions": [1.0], "heads": ["simple"], "head_epochs": 2,
    "head_weight_decays": [0.0],
    "e2e_epochs": 1, "e2e_lrs": [0.001], "arms": ["finetune", "e2e"], "batch_sizes": [1, 4], "repeats": 5, "seconds": 0.1, "backbone": "GRU-D",
}  # fmt: skip


@pytest.mark.parametrize("name", ["extract", "heads", "end_to_end", "latency"])
def test_a_notebook_runs_with_them(name, places, monkeypatch):  # noqa: F811
    from modts.study import notebook

    monkeypatch.setattr(notebook, "picture", lambda figure, words: plt.close(figure))
    cohort = str(tiny(n=60, steps=6, features=3, task="regression").save(places / "t.npz"))
    cells = json.loads((Path(__file__).parents[2] / "notebooks" / f"{name}.ipynb").read_text())["cells"]
    first, *rest = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    told: dict = {}
    exec(first, told)
    told |= {key: value for key, value in SHORT.items() if key in told} | {"cohort": cohort, "profile": "steps"}
    for source in rest:
        exec(source, told)
    assert told["run"].rows or told["run"].extra
