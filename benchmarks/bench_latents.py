"""Latents of many windows: against the bare forward pass, against PyPOTS's predict, and a million windows from disk to disk."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import peers
import pytest
import torch

from modts.backbones import BACKBONES

N = 512


@pytest.mark.parametrize("name", BACKBONES)
def bench_bare_forward(name, compare):
    backbone, X = peers.backbone(name), peers.windows(N)
    prepared = [backbone.inputs(part) for part in backbone.tensor(X).split(256)]

    @torch.inference_mode()
    def forward():
        for inputs in prepared:
            backbone.run(inputs)

    compare(
        f"latents of {N} windows, {name}",
        "the bare forward pass",
        lambda: backbone.latents(X),
        forward,
        rounds=9,
        target="0.91",
        note="the bare pass goes on to the imputation, latents end where the states are there",
    )


@pytest.mark.parametrize("name", BACKBONES)
def bench_pypots_predict(name, compare):
    backbone, X = peers.backbone(name), peers.windows(N)
    model, given = peers.imputer(backbone), peers.given(backbone, X)
    compare(
        f"latents of {N} windows, {name}",
        "PyPOTS predict",
        lambda: backbone.latents(X),
        lambda: model.predict(given),
        rounds=5,
        target="2" if BACKBONES[name].kind == "recurrent" else "",
    )


def bench_a_million_windows(record):
    """GRU-D over 48 x 35 windows, from one .npy to another: resident memory, and that it does not grow with their number."""
    code = (
        "import sys, torch, peers; from modts.streaming import stream; torch.set_num_threads(int(sys.argv[3]));"
        "b = peers.backbone('GRU-D'); stream(b, sys.argv[1], sys.argv[2], batch_size=512);" + peers.PEAK
    )
    peak = {}
    with tempfile.TemporaryDirectory(dir=os.environ.get("MODTS_BENCH_DISK")) as folder:
        for n in (10_000, int(os.environ.get("MODTS_BENCH_WINDOWS", 200_000))):
            source = Path(folder) / f"{n}.npy"
            peers.write_windows(source, n)
            done = subprocess.run(
                [
                    sys.executable,
                    "-c",
                    code,
                    str(source),
                    str(Path(folder) / "latents.npy"),
                    str(torch.get_num_threads()),
                ],
                capture_output=True,
                text=True,
                cwd=Path(__file__).parent,
                check=True,
            )
            assert np.load(Path(folder) / "latents.npy", mmap_mode="r").shape == (n, 64)
            peak[n] = float(done.stdout.split()[-1])
            source.unlink()
    few, many = sorted(peak)
    record(
        f"peak memory, {many:,} windows disk to disk",
        f"the same with {few:,}",
        peak[many],
        peak[few],
        "GiB",
        target="0.95",
    )
    record(f"peak memory, {many:,} windows disk to disk", "2 GB", peak[many], 2e9 / 2**30, "GiB", target="1")
