"""Nothing of ours reads or writes a pickle: loading one can run any code. Ruff has no rule for it."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
# How a pickle is reached through an innocent library. `save` too: what is never written need never be read.
CALLS = {"torch.load", "torch.save", "torch.jit.load", "torch.package", "torch.hub.load_state_dict_from_url"}
ENDINGS = {"read_pickle", "to_pickle", "load_from_checkpoint", "pickle_load", "pickle_dump"}
SOURCES = [
    *sorted((ROOT / "modts").rglob("*.py")),
    *sorted((ROOT / "notebooks").glob("*.ipynb")),
    *(path for path in (ROOT / "benchmarks").glob("*.py")),
]


def _dotted(node) -> str:
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([*([node.id] if isinstance(node, ast.Name) else [""]), *reversed(parts)])


def pickles(code: str) -> list[str]:
    """What in a piece of Python code reads or writes pickles, as 'line: what'."""
    tree, found, short = ast.parse(code), [], {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            short |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            short |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        else:
            continue
        found += [f"{node.lineno}: import {n}" for n in names if n.split(".")[0] in MODULES or n in CALLS]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            first, _, rest = _dotted(node).partition(".")
            name = f"{short.get(first, first)}.{rest}"
            if name in CALLS or node.attr in ENDINGS or name.split(".")[0] in MODULES:
                found.append(f"{node.lineno}: {name}")
        elif isinstance(node, ast.Call):
            for keyword in node.keywords:
                said_no = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
                if keyword.arg == "allow_pickle" and not said_no:
                    found.append(f"{node.lineno}: allow_pickle={ast.unparse(keyword.value)}")
            if _dotted(node.func) in ("__import__", "importlib.import_module") and node.args:
                name = node.args[0].value if isinstance(node.args[0], ast.Constant) else ""
                found += [f"{node.lineno}: import {name}"] if str(name).split(".")[0] in MODULES else []
    return found


def _code(path: Path) -> str:
    if path.suffix == ".py":
        return path.read_text(encoding="utf-8")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    lines = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code").splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!")))


# The one door for other people's weights: PyTorch's reader that refuses whatever is not a tensor, a number or a word.
EXCHANGE = ROOT / "modts" / "backbones" / "exchange.py"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_pickle(path):
    assert not pickles(_code(path).replace(WEIGHTS_ONLY, "held = {}") if path == EXCHANGE else _code(path))


WEIGHTS_ONLY = 'held = torch.load(path, map_location="cpu", weights_only=True)'


def test_the_one_door_reads_weights_only():
    code = _code(EXCHANGE)
    assert code.count(WEIGHTS_ONLY) == 1 and len(pickles(code)) == 1


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "import pickle as p; p.load(f)",
        "from pickle import loads",
        "import torch\ntorch.load('x')",
        "import torch as t\nt.load('x', weights_only=True)",
        "from torch import load",
        "from torch import load as read\nread('x')",
        "import torch\nread = torch.load",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "import numpy as np\nnp.load('x', allow_pickle=yes)",
        "import joblib",
        "import pandas as pd\npd.read_pickle('x')",
        "frame.to_pickle('x')",
        "__import__('pickle')",
    ],
)
def test_the_search_finds(code):
    assert pickles(code)


def test_the_search_lets_pass():
    assert not pickles(
        "import numpy as np, torch\nnp.load('x', allow_pickle=False)\ntorch.tensor(0)\n# pickle.load\n'pickle'"
    )


def test_a_checkpoint_is_saved_and_loaded_without_pickle(tmp_path):
    """Python itself reports each class that an unpickler looks up: none is, while we load."""
    code = f"""
import sys
import numpy as np
import modts
from modts import runs
cohort = modts.load_cohort("simulated_icu", seed=0)
backbone = modts.build("SAITS", cohort)
backbone.save({str(tmp_path / "b.safetensors")!r})
cohort.save({str(tmp_path / "c.npz")!r})
seen = []
sys.addaudithook(lambda event, args: seen.append(args) if event == "pickle.find_class" else None)
modts.load_backbone({str(tmp_path / "b.safetensors")!r})
modts.load_cohort({str(tmp_path / "c.npz")!r})
print("looked up", seen)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == "looked up []"
