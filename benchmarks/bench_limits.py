"""How near the measured times come to what this machine can do at all: a roofline of each (Williams, Waterman and Patterson 2009).

A computation needs at least the largest of three times: its arithmetic at the rate of a large matrix product or of a large convolution,
whichever is the faster; its reading and writing at the rate of arrays that fit the cache; its operations at the rate at which PyTorch starts
them. Counted are the operations that run, whatever they are part of; views cost nothing here. `best` is the ratio to the peer of the row of
the same name if ours took that time.
"""

import statistics
import time
from functools import cache

import bench_heads
import peers
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from modts.backbones import BACKBONES, ships_classifier
from modts.learning import Head, train_heads
from modts.serving import Predictor


def seconds(call, rounds=5, of=statistics.median) -> float:
    """Median or another statistic of some calls, after one that does not count."""
    call()
    spent = []
    for _ in range(rounds):
        clock = time.perf_counter()
        call()
        spent.append(time.perf_counter() - clock)
    return of(spent)


@cache
def machine() -> dict[str, float]:
    """GFLOP/s of a product of 2048 x 2048 or of a large convolution, GB/s of an addition of arrays of 2 MB, microseconds from one
    tiny operation to the next; of 20 times the best, for a limit."""
    a, (b, c, out), tiny = torch.randn(2048, 2048), torch.randn(3, 500_000), torch.zeros(1)
    images, kernels = torch.randn(256, 32, 24, 24), torch.randn(32, 32, 11, 11)
    convolution = 2 * 256 * 32 * 14 * 14 * 32 * 11 * 11

    def least(call):
        return seconds(call, rounds=20, of=min)

    def thousand(call):
        return least(lambda: [call() for _ in range(1000)]) / 1000

    with torch.inference_mode():
        rates = 2 * 2048**3 / least(lambda: a @ a), convolution / least(lambda: torch.conv2d(images, kernels))
        return {
            "peak_gflops": max(rates) / 1e9,
            "gigabytes_per_s": 6e6 / thousand(lambda: torch.add(b, c, out=out)) / 1e9,
            "start_us": 1e6 * thousand(lambda: tiny.add_(1)),
        }


class Traffic(TorchDispatchMode):
    """Operations that are no views, and the bytes of the tensors that they read and write."""

    def __init__(self):
        super().__init__()
        self.operations = self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if not (func.is_view or func.name().startswith("aten::empty")):
            tensors = {id(leaf): leaf for leaf in tree_leaves((args, kwargs, out)) if torch.is_tensor(leaf)}
            self.operations += 1
            self.bytes += sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
        return out


def attention_flops(query, key, value, *args, **kwargs) -> int:
    """Two products of PyTorch's attention on a CPU, which its own counter does not know."""
    *batch, length, width = query
    return 4 * torch.Size(batch).numel() * length * key[-2] * width


def convolution_flops(x, weight, bias, stride, padding, dilation, transposed, *args, **kwargs) -> int:
    """Of a convolution, without the products with the zeros around its input, which PyTorch's own counter takes in: they need not be made."""
    windows, width, *size = x
    taps = 1
    for n, kernel, step, pad, apart in zip(size, weight[2:], stride, padding, dilation, strict=True):
        starts = range(-pad, n + pad - apart * (kernel - 1), step)
        taps *= sum(0 <= start + apart * tap < n for start in starts for tap in range(kernel))
    return 2 * windows * weight[0] * weight[1] * taps


def count(call) -> dict[str, float]:
    fused = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    known = {fused: attention_flops, torch.ops.aten.convolution: convolution_flops}
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=known) as flops:
        call()
    with torch.no_grad(), Traffic() as traffic:
        call()
    return {"gflop": flops.get_total_flops() / 1e9, "gigabytes": traffic.bytes / 1e9, "operations": traffic.operations}


def floor(counted: dict[str, float]) -> float:
    """Seconds that this machine needs at least."""
    rates = machine()
    return max(
        counted["gflop"] / rates["peak_gflops"],
        counted["gigabytes"] / rates["gigabytes_per_s"],
        counted["operations"] * rates["start_us"] / 1e6,
    )


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("kind", ["simple", "complex"])
def bench_heads_at_the_limit(task, kind, roofline):
    latents, targets = bench_heads.latents_and_targets(task)
    settings = bench_heads.grids(kind)
    one, two = (
        count(lambda n=n: train_heads(kind, latents, targets, settings, epochs=n, patience=n)) for n in (1, 2)
    )  # counting is slow, and every further epoch is like the second
    counted = {key: one[key] + (bench_heads.EPOCHS - 1) * (two[key] - one[key]) for key in one}
    for peer in ("one after another, full batch", "scikit-learn LogisticRegression"):
        if peer.startswith("one") or (kind, task) == ("simple", "classification"):
            name = f"{len(settings)} {kind} heads, {task}"
            roofline(name, peer, counted, lambda theirs: theirs / floor(counted))


@pytest.mark.parametrize("name", BACKBONES)
def bench_latents_at_the_limit(name, roofline):
    backbone, X = peers.backbone(name), peers.windows(512)
    counted = count(lambda: backbone.latents(X))
    roofline(
        f"latents of 512 windows, {name}", "the bare forward pass", counted, lambda theirs: theirs / floor(counted)
    )


@pytest.mark.parametrize("name", [name for name in BACKBONES if ships_classifier(name)])
def bench_serving_at_the_limit(name, roofline):
    backbone, X = peers.backbone(name), peers.windows(1)
    predictor = Predictor(backbone, Head("simple", backbone.latents(X).shape[1], 1))
    what, peer = f"raw window to probability, {name}, batch 1, p50", "PyPOTS predict, end to end"
    counted = count(lambda: predictor.predict(X))
    roofline(what, peer, counted, lambda theirs: theirs / floor(counted))


@pytest.mark.parametrize("name", [name for name, row in BACKBONES.items() if row.kind == "recurrent"])
def bench_time_loops_at_the_limit(name, roofline):
    backbone = peers.backbone(name)
    inputs = backbone.inputs(backbone.tensor(peers.windows(128)))
    what, peer = f"forward pass, batch 128, {name}", "PyPOTS's module"
    counted = count(lambda: backbone.run(inputs))
    roofline(what, peer, counted, lambda theirs: theirs / floor(counted))
