"""Which candidates there are, and which of them are the same."""

from __future__ import annotations

import pytest

from boost_edge.export.candidates import (
    default_image_sizes,
    default_taps,
    list_candidates,
    list_networks,
)
from boost_edge.models.architectures import BACKBONES
from boost_edge.models.backbones import build_backbone, parse_taps


def test_every_combination_is_there_once() -> None:
    """Networks are the product of what is asked, candidates each of them with each readout."""
    networks = list_networks((96, 64, 96), (("layer2",), ("layer3",), ("layer2",)), (32, 16))
    assert len(networks) == len(set(networks)) == 2 * 2 * 2
    assert [each.image_size for each in networks] == [64] * 4 + [96] * 4
    candidates = list_candidates(networks, ("match", "attributes", "match"))
    assert len(candidates) == len(set(candidates)) == 16


def test_raw_features_have_no_width() -> None:
    """With several widths of the head, the readout without a head is there once for each tap."""
    networks = list_networks((64,), (("layer2",), ("layer3",)), (16, 32))
    candidates = list_candidates(networks, ("raw", "hidden"))
    raw = [each for each in candidates if each.readout == "raw"]
    assert len(raw) == 2
    assert len(candidates) == 2 + 4


def test_names_are_different_and_no_paths() -> None:
    """Each network has a name of its own, that can be a folder's."""
    networks = list_networks((64, 96), (("layer3",), ("layer3:4x4",), ("layer4",)), (16, 32))
    names = {each.name for each in networks}
    assert len(names) == len(networks)
    assert "64px-layer3-4x4-w16" in names
    assert not any(set(name) & set("/: ") for name in names)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_defaults_are_possible(backbone: str) -> None:
    """Sizes suit the backbone, with its own the largest; taps are its stages."""
    sizes = default_image_sizes(backbone)
    spec = BACKBONES[backbone]
    assert sizes[-1] == max(sizes) == spec.image_size
    assert all(size >= spec.smallest and size % spec.step == 0 for size in sizes)
    for taps in default_taps(backbone):
        assert taps is None or parse_taps("+".join(taps), backbone) == taps


def test_the_default_blocks_of_a_transformer() -> None:
    """They are those at half and three quarters of its depth: there is no grid of all twelve."""
    blocks = ("encoder_layer_5:4x4", "encoder_layer_8:4x4")
    assert default_taps("vit_tiny_patch16_224")[-1] == blocks


def test_pca_has_as_many_components_as_can_be_had() -> None:
    """A fixed number would be refused where the images are fewer."""
    assert default_taps("pca") == (None,)


def test_the_defaults_of_resnet18() -> None:
    """They are what docs/tune.md says, and every one of them can be built."""
    assert default_image_sizes("resnet18") == (96, 128, 160, 224)
    assert default_taps("resnet18") == (
        ("layer3",), ("layer4",), ("layer3:4x4",), ("layer1:4x4", "layer2:4x4", "layer3:4x4"),
    )  # fmt: skip
    for tap in default_taps("resnet18"):
        assert build_backbone("resnet18", weights="none", taps=tap, image_size=96).taps == tap
