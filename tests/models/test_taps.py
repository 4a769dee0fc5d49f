"""Taps with a grid: how they are written, and what they average."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from boost_edge.models.backbones import build_backbone, parse_taps
from boost_edge.models.taps import Tap, pool_grid
from boost_edge.runtime.errors import UsageError


@given(stage=st.from_regex(r"[a-z][a-z0-9_.]{0,20}", fullmatch=True), grid=st.integers(1, 8))
def test_a_tap_reads_back_as_it_was_written(stage: str, grid: int) -> None:
    """Writing and reading a tap are inverse."""
    tap = Tap(stage=stage, grid=grid)
    assert Tap.parse(tap.name) == tap


@pytest.mark.parametrize(
    "text", ["layer3:", "layer3:2", "layer3:2x3", "layer3:0x0", "layer3:9x9", "layer3:-1x-1"]
)
def test_a_grid_that_is_none_is_refused(text: str) -> None:
    """Grids are square, of 1 to 8 cells along an edge."""
    with pytest.raises(UsageError, match="is no grid"):
        Tap.parse(text)


@settings(max_examples=40, deadline=None)
@given(grid=st.integers(1, 8), rows=st.integers(8, 17), columns=st.integers(8, 17))
def test_cells_cover_the_map_and_are_averaged(grid: int, rows: int, columns: int) -> None:
    """Each feature is the mean over its cell; cells are of one size and leave nothing out."""
    generator = torch.Generator().manual_seed(grid * 1000 + rows * 20 + columns)
    values = torch.randn(2, 3, rows, columns, generator=generator)
    array = values.double().numpy()
    down, across = rows // grid, columns // grid
    high, wide = rows - (grid - 1) * down, columns - (grid - 1) * across
    seen = np.zeros((rows, columns))
    expected = np.zeros((2, 3, grid, grid))
    for i in range(grid):
        for j in range(grid):
            cell = np.s_[i * down : i * down + high, j * across : j * across + wide]
            seen[cell] += 1
            expected[:, :, i, j] = array[(slice(None), slice(None), *cell)].mean(axis=(2, 3))
    assert seen.min() >= 1
    np.testing.assert_allclose(pool_grid(values, grid).numpy(), expected.reshape(2, -1), atol=1e-5)


def test_a_grid_multiplies_the_features() -> None:
    """A backbone is as wide as its taps' cells are many, in the order of the stages."""
    backbone = build_backbone(
        "resnet18", weights="none", taps=("layer3:4x4", "layer2"), image_size=64
    )
    image = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    features = backbone(image)
    assert backbone.taps == ("layer2", "layer3:4x4")
    assert features.shape == (2, backbone.width) == (2, 128 + 16 * 256)
    # At 64 pixels the map of layer3 is 4 x 4 itself, so nothing is averaged any more.
    plain = build_backbone("resnet18", weights="none", taps=("layer2", "layer3"), image_size=64)
    torch.testing.assert_close(features[:, :128], plain(image)[:, :128])
    torch.testing.assert_close(
        features[:, 128:].reshape(2, 256, 16).mean(dim=2), plain(image)[:, 128:]
    )


def test_a_transformers_grid_is_over_its_patches() -> None:
    """Each cell is the mean of its patches' tokens, named by channel, row and column."""
    image = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    backbone = build_backbone(
        "vit_tiny_patch16_224",
        weights="none",
        taps=("encoder_layer_1:2x2", "encoder_layer_2"),
        image_size=64,
    )
    features = backbone(image)
    assert features.shape == (2, backbone.width) == (2, 4 * 192 + 192)
    with torch.inference_mode():
        tokens = backbone.stages[1](backbone.stages[0](backbone.normalise(image)))
    tokens = tokens[:, 1:].reshape(2, 4, 4, 192)
    for cell, (row, column) in enumerate([(0, 0), (0, 2), (2, 0), (2, 2)]):
        expected = tokens[:, row : row + 2, column : column + 2].mean(dim=(1, 2))
        torch.testing.assert_close(features[:, cell : 4 * 192 : 4], expected)
    class_token = build_backbone(
        "vit_tiny_patch16_224", weights="none", taps=("encoder_layer_2",), image_size=64
    )
    torch.testing.assert_close(features[:, 4 * 192 :], class_token(image))


def test_another_grid_is_another_backbone() -> None:
    """Features of another grid are never taken from the cache of this one."""
    digests = {
        build_backbone("squeezenet1_1", weights="none", taps=(tap,), image_size=64).digest()
        for tap in ("features.4", "features.4:2x2", "features.4:3x3")
    }
    assert len(digests) == 3


def test_a_grid_of_one_cell_is_no_grid() -> None:
    """``layer3:1x1`` is the same tap as ``layer3``."""
    assert parse_taps("layer3:1x1", "resnet18") == ("layer3",)


def test_grids_that_cannot_be_are_refused() -> None:
    """A grid finer than the map, on a transformer or on a tap named twice is a usage error."""
    with pytest.raises(UsageError, match="finer than the 2x2 map of layer4 at 64 px"):
        build_backbone("resnet18", weights="none", taps=("layer4:3x3",), image_size=64)
    with pytest.raises(UsageError, match="finer than the 2x2 map of encoder_layer_1 at 32 px"):
        build_backbone(
            "vit_tiny_patch16_224", weights="none", taps=("encoder_layer_1:3x3",), image_size=32
        )
    with pytest.raises(UsageError, match="once"):
        parse_taps("layer3+layer3:2x2", "resnet18")
