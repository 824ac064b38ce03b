"""What a CUDA graph would capture gives what the plain call gives; the graph itself needs a GPU."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from modts.backbones import build, graphs
from modts.cohorts import load_cohort
from modts.errors import ModtsError
from modts.learning import pretrain


def twin(calls):
    def capture(module, tensors):
        calls.append(tensors[0].shape)
        return module

    return capture


@pytest.mark.parametrize("name", ["BRITS", "GRU-D", "CSAI"])
def test_training_by_the_eager_twin_ends_with_the_same_weights(name):
    cohort = load_cohort("simulated_icu")
    X, X_val = cohort.part("train")[0][:20], cohort.part("val")[0][:10]
    calls, hashes = [], []
    for capture in (None, twin(calls)):
        backbone = build(name, cohort, seed=1)
        if capture:
            graphs.replay(backbone, capture)
        history = pretrain(backbone, X, X_val, epochs=2, batch_size=16, seed=1)
        hashes.append((backbone.weights_hash(), history.validation, backbone.latents(X_val).tobytes()))
    assert hashes[0] == hashes[1]
    assert {shape[0] for shape in calls} == {16, 4} and len(calls) == 2  # one capture a shape, in training only


class Elsewhere(TorchDispatchMode):
    """The operations with a tensor that is not on the meta device."""

    def __init__(self):
        super().__init__()
        self.all, self.found = 0, set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs, out)) if torch.is_tensor(leaf)]
        self.all += 1
        if any(tensor.device.type != "meta" for tensor in tensors):
            self.found.add(func.name())
        return out


@pytest.mark.parametrize("name", ["BRITS", "GRU-D", "CSAI"])
def test_what_a_graph_captures_never_touches_the_cpu(name):
    cohort = load_cohort("simulated_icu")
    backbone = build(name, cohort, seed=1).train()
    for module in backbone.modules():
        if isinstance(module, torch.nn.MultiheadAttention):  # its dropout is made on the CPU there, by PyTorch on a GPU
            module.eval()
    Z = backbone.tensor(cohort.part("train")[0][:16])
    inputs = tree_map(lambda leaf: leaf.to("meta") if torch.is_tensor(leaf) else leaf, backbone.inputs(Z, Z))
    forward, backward = Elsewhere(), Elsewhere()

    def capture(module, tensors):
        assert all(constant is None for constant in module.constants)  # a number would be copied from the CPU

        def call(*args):
            with forward:  # what stands on the meta device has no values: reading one raises
                return module(*args)

        return call

    graphs.replay(backbone.to("meta"), capture)
    results = backbone.module(inputs, calc_criterion=False).values()
    loss = sum(value.sum() for value in results if torch.is_tensor(value) and value.requires_grad)
    with backward:
        loss.backward()
    assert forward.all > 100 and backward.all > 100
    assert not forward.found and not backward.found


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", ["BRITS", "GRU-D", "CSAI"])
def test_a_graph_gives_the_losses_of_the_plain_step(name):
    cohort = load_cohort("simulated_icu")
    losses = []
    for replayed in (False, True):
        backbone = build(name, cohort, seed=1).cuda().train()
        for module in backbone.modules():
            if isinstance(module, (torch.nn.Dropout, torch.nn.MultiheadAttention)):
                module.eval()
        if replayed:
            graphs.replay(backbone)
        optimiser = torch.optim.SGD(backbone.parameters(), lr=1e-2)
        Z = backbone.tensor(cohort.part("train")[0][:16])
        losses.append([])
        for _ in range(4):
            optimiser.zero_grad(set_to_none=True)
            loss = backbone.run(backbone.inputs(Z, Z))[0]["loss"]
            loss.backward()
            optimiser.step()
            losses[-1].append(loss.item())
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)


def test_what_cannot_be_captured_is_refused():
    cohort = load_cohort("simulated_icu")
    with pytest.raises(ModtsError, match="no time loop"):
        graphs.replay(build("SAITS", cohort))
    with pytest.raises(ModtsError, match="on a GPU, but it is on cpu"):
        graphs.replay(build("GRU-D", cohort))
