"""PhysioNet 2012 from raw text to arrays, against TSDB and BenchPOTS; what starting a notebook costs."""

import os
import subprocess
import sys
import tempfile
import time

import numpy as np
import pytest

needs_data = pytest.mark.skipif(not os.environ.get("MODTS_DATA"), reason="MODTS_DATA names no folder with real data")

THEIRS = """
from modts.cohorts import import_tsdb
tsdb = import_tsdb()
from benchpots.datasets import preprocess_physionet2012
preprocess_physionet2012(subset="all", rate=0.1)
"""
OURS = """
from modts.cohorts import physionet, tsdb_home
folder = tsdb_home.dataset_folder("physionet_2012")
[physionet._cached_2012(folder, name) for name in ("set-a", "set-b", "set-c")]
"""  # arrays alone: as a cohort set-c is sealed until the protocol is frozen
NOTEBOOK = "import modts; from modts import experiments, notebook, params; modts.load_cohort('simulated_icu', seed=0)"


def seconds(code: str, **environment) -> float:
    """Of a fresh process."""
    clock = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env={**os.environ, **environment})
    return time.perf_counter() - clock


@needs_data
def bench_loading_physionet_2012(record):
    """Both parse the raw files: ours with an empty cache, theirs on a copy of the folder without TSDB's."""
    with tempfile.TemporaryDirectory() as folder:
        home = os.path.join(folder, "data")
        os.makedirs(home)
        source = os.path.join(os.environ["MODTS_DATA"], "physionet_2012")
        subprocess.run(["cp", "-r", source, home], check=True)
        for name in os.listdir(os.path.join(home, "physionet_2012")):
            if name.endswith((".pkl", ".pickle")):
                os.unlink(os.path.join(home, "physionet_2012", name))
        cache = os.path.join(folder, "cache")
        ours = seconds(OURS, MODTS_DATA=home, MODTS_CACHE=cache)
        again = [seconds(OURS, MODTS_DATA=home, MODTS_CACHE=cache) for _ in range(3)]
        theirs = seconds(THEIRS, MODTS_DATA=home)
    note = "all 11,988 stays, a process each, imports included"
    record("PhysioNet 2012, raw text to arrays", "TSDB and BenchPOTS", ours, theirs, "s", "3", note=note)
    record("PhysioNet 2012, second load", "our first", again, ours, "s", note=note)


def bench_starting_a_notebook(record):
    """Imports and an embedded cohort, no PyPOTS model: at most the import of torch and a second more."""
    torch, ours, model = [], [], []
    built = NOTEBOOK + "; modts.build('SAITS', modts.load_cohort('simulated_icu', seed=0))"
    for _ in range(1 + 2):  # the first does not count
        torch.append(seconds("import torch"))
        ours.append(seconds(NOTEBOOK))
        model.append(seconds(built))
    torch, ours, model = (np.array(times[1:]) for times in (torch, ours, model))
    peer, note = "import of torch plus 1 s", "the import of PyPOTS, paid once a process"
    record("starting a notebook, no model built", peer, ours, torch + 1, "s", "1")
    record("starting a notebook, a model built", peer, model, torch + 1, "s", note=note)
