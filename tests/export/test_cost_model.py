"""Costs: counted against a count by hooks and by hand, and fitted to times that are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from boost_edge.export.cost_model import (
    Cost,
    CostModel,
    calibrate_costs,
    check_costs,
    count_cost,
)
from boost_edge.models.backbones import build_backbone
from boost_edge.models.fused import FusedEncoder, fold
from boost_edge.models.head import BoostHead
from boost_edge.models.pca import fit_pca
from boost_edge.runtime.manifest import Readout

costs = st.lists(
    st.builds(Cost, macs=st.integers(0, 10**10), bytes=st.integers(0, 10**9)),
    min_size=1,
    max_size=6,
)


def count_by_hooks(encoder: FusedEncoder) -> Cost:
    """Run an image through the folded network, and count at each convolution and linear layer."""
    macs, moved = 0, 0

    def count(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal macs, moved
        assert isinstance(module, nn.Conv2d | nn.Linear)
        # Each output value is one sum over the weights of its channel.
        macs += output.numel() * module.weight[0].numel()
        parameters = sum(each.numel() for each in module.parameters())
        moved += 4 * (inputs[0].numel() + output.numel() + parameters)

    folded: Any = fold(encoder)
    hooks = [
        module.register_forward_hook(count)
        for module in folded.modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    assert hooks
    size = encoder.backbone.image_size
    with torch.no_grad():
        folded(torch.zeros(1, size, size, 3, dtype=torch.uint8))
    return Cost(macs=macs, bytes=moved)


@pytest.mark.parametrize("readout", ["raw", "hidden", "attributes", "match"])
@pytest.mark.parametrize(
    ("name", "tap", "size"),
    [("squeezenet1_1", "features.7", 32), ("resnet18_w40", "layer2:2x2", 40)],
)
def test_the_count_is_that_of_hooks(name: str, tap: str, size: int, readout: Readout) -> None:
    """Multiply-accumulates and bytes are those that are met when the network really runs."""
    backbone = build_backbone(name, weights="none", taps=(tap,), image_size=size)
    head = BoostHead(backbone.width, 24, [3, 5], standardise=True, components=16)
    encoder = FusedEncoder(backbone, None if readout == "raw" else head, readout)
    assert count_cost(encoder) == count_by_hooks(encoder)


def test_the_count_by_hand() -> None:
    """PCA is one matrix: its rows times its columns, and its bytes."""
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3), np.uint8)
    backbone = fit_pca(images, taps=("pca5",))
    cost = count_cost(FusedEncoder(backbone, None, "raw"))
    assert cost == Cost(macs=48 * 5, bytes=4 * (48 + 48 * 5 + 5 + 5))


def test_attention_counts() -> None:
    """A transformer's products of activations count too: what hooks at layers do not see."""
    backbone = build_backbone(
        "vit_tiny_patch16_224", weights="none", taps=("encoder_layer_1",), image_size=32
    )
    encoder = FusedEncoder(backbone, None, "raw")
    tokens, width, layers = 1 + (32 // 16) ** 2, 192, 2
    attention = layers * 2 * tokens * tokens * width
    assert count_cost(encoder).macs == count_by_hooks(encoder).macs + attention


def test_counting_changes_nothing() -> None:
    """The network that was counted still has its weights, where they were."""
    backbone = build_backbone("squeezenet1_1", weights="none", taps=("features.4",), image_size=32)
    before = backbone.digest()
    count_cost(FusedEncoder(backbone, None, "raw"))
    assert backbone.digest() == before


def test_rates_that_are_known_are_found() -> None:
    """Times that follow the model exactly give its rates, and its predictions."""
    truth = CostModel(fixed_ms=0.5, ms_per_gmac=20.0, ms_per_megabyte=0.1)
    known = [
        Cost(macs=10**8, bytes=10**7),
        Cost(macs=10**9, bytes=10**7),
        Cost(macs=5 * 10**8, bytes=9 * 10**7),
        Cost(macs=2 * 10**9, bytes=10**8),
    ]
    found = calibrate_costs(known, [truth.predict(cost) for cost in known])
    assert found.fixed_ms == pytest.approx(0.5)
    assert found.ms_per_gmac == pytest.approx(20.0)
    assert found.ms_per_megabyte == pytest.approx(0.1)


@given(costs, st.integers(0, 2**32))
def test_predictions_are_never_negative(known: list[Cost], seed: int) -> None:
    """Whatever was timed, no rate is below zero, so that more work never takes less time."""
    times = np.random.default_rng(seed).uniform(0.01, 500, len(known)).tolist()
    model = calibrate_costs(known, times)
    assert min(model.fixed_ms, model.ms_per_gmac, model.ms_per_megabyte) >= 0
    assert all(np.isfinite(model.predict(cost)) for cost in known)
    more = [Cost(macs=2 * cost.macs, bytes=2 * cost.bytes) for cost in known]
    pairs = zip(known, more, strict=True)
    assert all(model.predict(less) <= model.predict(twice) for less, twice in pairs)


@pytest.mark.parametrize(
    ("predicted", "measured", "expected"),
    [
        ([1, 2, 3, 4], [2, 4, 6, 8], 1.0),
        ([1, 2, 3, 4], [9, 7, 5, 3], -1.0),
        # Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4.
        ([1, 2, 2, 3], [1, 2, 3, 4], 4.5 / (4.5 * 5.0) ** 0.5),
        ([1, 2], [2, 4], None),
        ([5, 5, 5], [2, 4, 8], None),
    ],
)
def test_how_predictions_came_out(
    predicted: list[float], measured: list[float], expected: float | None
) -> None:
    """The rank correlation is Spearman's with shared ranks, and the ratios are what they say."""
    found = check_costs(predicted, measured)
    if expected is None:
        assert found.rank_correlation is None
    else:
        assert found.rank_correlation == pytest.approx(expected)
    ratios = [before / after for before, after in zip(predicted, measured, strict=True)]
    assert (found.lowest, found.highest) == (min(ratios), max(ratios))
    assert found.ratio == pytest.approx(float(np.median(ratios)))
    assert found.models == len(predicted)
