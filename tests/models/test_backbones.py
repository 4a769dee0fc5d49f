"""Backbones: their stages, taps, input and frozenness."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from torch import Tensor, nn

from boost_edge.models.backbones import BACKBONES, build_backbone, head_taps, parse_taps
from boost_edge.runtime.errors import UsageError

LOADED = tuple(name for name in BACKBONES if name != "pca")


def _images(count: int, size: int) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, size, size, 3), dtype=torch.uint8, generator=generator)


def _reference_taps(name: str, network: nn.Module, image: Tensor) -> dict[str, Tensor]:
    """Run torchvision's whole network and note what leaves each tapped submodule."""
    spec = BACKBONES[name]
    seen: dict[str, Tensor] = {}
    for tap in spec.taps:
        path = tap
        if spec.pool == "class_token":
            path = "encoder.ln" if tap == spec.taps[-1] else f"encoder.layers.{tap}"

        def note(_module: nn.Module, _inputs: object, output: Tensor, tap: str = tap) -> None:
            # Cloned, because an in-place activation may follow.
            seen[tap] = output.clone()

        network.get_submodule(path).register_forward_hook(note)
    mean, std = torch.tensor((0.4, 0.5, 0.6)), torch.tensor((0.2, 0.3, 0.25))
    network.eval()
    with torch.no_grad():
        network(((image / 255.0 - mean) / std).permute(0, 3, 1, 2))
    if spec.pool == "class_token":
        return {tap: values[:, 0] for tap, values in seen.items()}
    return {tap: values.flatten(2).mean(dim=2) for tap, values in seen.items()}


@pytest.mark.parametrize(
    "name", ["resnet18", "mobilenet_v2", "squeezenet1_1", "vit_tiny_patch16_224"]
)
def test_taps_are_what_torchvisions_network_computes(name: str, tmp_path: Path) -> None:
    """Features are torchvision's own activations, pooled, in the order of the stages."""
    spec = BACKBONES[name]
    assert spec.network is not None
    torch.default_generator.manual_seed(3)
    network = spec.network(64)
    file = tmp_path / "weights.safetensors"
    normalisation = {"mean": "0.4,0.5,0.6", "std": "0.2,0.3,0.25"}
    file.write_bytes(save(network.state_dict(), normalisation))
    image = _images(2, 64)
    reference = _reference_taps(name, network, image)
    backbone = build_backbone(name, weights=file, taps=spec.taps[::-1], image_size=64)
    features = backbone(image)
    assert backbone.taps == spec.taps
    expected = torch.cat([reference[tap] for tap in spec.taps], dim=1)
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", LOADED)
def test_every_backbone_makes_features_of_its_width(name: str) -> None:
    """Any backbone takes uint8 images and gives finite float32 features of the stated widths."""
    spec = BACKBONES[name]
    taps = (spec.taps[0], spec.taps[-1])
    backbone = build_backbone(name, weights="none", taps=taps, image_size=spec.smallest)
    features = backbone(_images(2, spec.smallest))
    assert backbone.width == spec.stages[0].width + spec.stages[-1].width
    assert features.shape == (2, backbone.width)
    assert features.dtype == torch.float32
    assert bool(torch.isfinite(features).all())
    assert 0.01 < features.abs().max().item() < 1e3
    assert (backbone.weights.name, backbone.weights.sha256) == ("none", None)


@pytest.mark.parametrize("name", LOADED)
def test_specs_name_the_stages_that_are_cut(name: str) -> None:
    """The stages a network is cut into are those that its description lists, in that order."""
    spec = BACKBONES[name]
    assert spec.network is not None
    assert spec.split is not None
    with torch.device("meta"):
        network = spec.network(spec.image_size)
    assert tuple(spec.split(network)) == spec.taps


def test_specs_cannot_be_changed() -> None:
    """The table of backbones is read-only."""
    with pytest.raises(TypeError):
        BACKBONES["mine"] = BACKBONES["resnet18"]  # type: ignore[index]  # what must fail


def test_layers_after_the_last_tap_do_not_exist() -> None:
    """An earlier tap makes a smaller network: there is nothing to compute, save or export."""
    backbone = build_backbone("squeezenet1_1", weights="none", taps=["features.4"])
    assert sum(p.numel() for p in backbone.parameters()) == 25_632
    backbone = build_backbone("resnet18", weights="none", taps=["layer1"], image_size=32)
    assert sum(p.numel() for p in backbone.parameters()) == 157_504


def test_backbone_stays_frozen_in_training_mode() -> None:
    """Batch normalisation must not learn and no parameter may get a gradient."""
    backbone = build_backbone("mobilenet_v2", weights="none", image_size=32)
    before = backbone.digest()
    features = backbone.train()(_images(4, 32))
    assert not features.requires_grad
    assert backbone.digest() == before
    assert not any(parameter.requires_grad for parameter in backbone.parameters())


def test_features_do_not_depend_on_the_batch() -> None:
    """An image has the same features alone and among others."""
    backbone = build_backbone("squeezenet1_1", weights="none", image_size=48)
    images = _images(3, 48)
    alone = torch.cat([backbone(image[None]) for image in images])
    torch.testing.assert_close(backbone(images), alone, rtol=1e-5, atol=1e-5)


def test_random_weights_are_the_same_every_time_and_leave_the_generator_alone() -> None:
    """``none`` is reproducible, and does not disturb the caller's random numbers."""
    torch.default_generator.manual_seed(11)
    first = build_backbone("resnet18", weights="none", image_size=32)
    drawn = torch.rand(1)
    torch.default_generator.manual_seed(11)
    assert torch.equal(torch.rand(1), drawn)
    second = build_backbone("resnet18", weights="none", image_size=32)
    assert first.digest() == second.digest()


def test_digest_changes_with_what_decides_the_features() -> None:
    """Another tap, image size or weight is another digest."""
    backbone = build_backbone("squeezenet1_1", weights="none", image_size=32)
    others = [
        build_backbone("squeezenet1_1", weights="none", image_size=48),
        build_backbone("squeezenet1_1", weights="none", image_size=32, taps=("features.7",)),
        build_backbone("squeezenet1_1", weights="none", image_size=32),
    ]
    next(iter(others[2].parameters())).view(-1)[0] += 1e-3
    assert len({backbone.digest(), *(other.digest() for other in others)}) == 4


def test_backbone_survives_pickling() -> None:
    """A backbone can be sent to another process."""
    backbone = build_backbone("squeezenet1_1", weights="none", image_size=32)
    copy = pickle.loads(pickle.dumps(backbone))  # noqa: S301 - our own bytes
    assert copy.digest() == backbone.digest()
    assert torch.equal(copy(_images(1, 32)), backbone(_images(1, 32)))


@pytest.mark.parametrize(
    ("text", "backbone", "taps"),
    [
        ("layer3+layer4", "resnet18", ("layer3", "layer4")),
        ("layer4 + layer3", "resnet18", ("layer3", "layer4")),
        ("features.12", "squeezenet1_1", ("features.12",)),
        ("encoder_layer_11+encoder_layer_5", "vit_b_16", ("encoder_layer_5", "encoder_layer_11")),
        ("pca100", "pca", ("pca100",)),
    ],
)
def test_taps_are_read_in_the_order_of_the_stages(
    text: str, backbone: str, taps: tuple[str, ...]
) -> None:
    """However taps are written, they come back in the network's order."""
    assert parse_taps(text, backbone) == taps


@pytest.mark.parametrize(
    ("text", "backbone", "says"),
    [
        ("layer5", "resnet18", "its taps are layer1, layer2, layer3, layer4"),
        ("", "resnet18", "has no tap ''"),
        ("layer4+layer4", "resnet18", "once, not layer4"),
        ("layer4", "resnet19", "is not one of pca, resnet18"),
        ("pca", "pca", "one tap such as pca512"),
        ("pca512+pca1024", "pca", "one tap such as pca512"),
        ("pca0", "pca", "one tap such as pca512"),
    ],
)
def test_unknown_taps_are_refused_by_name(text: str, backbone: str, says: str) -> None:
    """A tap that does not exist is a usage error that lists those that do."""
    with pytest.raises(UsageError, match=says):
        parse_taps(text, backbone)


@pytest.mark.parametrize(
    ("name", "size", "says"),
    [
        ("resnet18", 31, "at least 32 pixels"),
        ("vit_tiny_patch16_224", 100, "multiple of 16 pixels"),
        ("pca", None, "fitted to the training images"),
        ("resnet", None, "is not one of"),
    ],
)
def test_impossible_backbones_are_refused(name: str, size: int | None, says: str) -> None:
    """A name or a size that cannot work is a usage error before any weights are sought."""
    with pytest.raises(UsageError, match=says):
        build_backbone(name, image_size=size)


def test_no_taps_at_all_are_refused() -> None:
    """An empty list of taps would make no features."""
    with pytest.raises(UsageError, match="once, not none"):
        build_backbone("resnet18", weights="none", taps=())


@pytest.mark.parametrize("size", [None, 32, 48, 224])
@pytest.mark.parametrize("name", LOADED)
def test_a_head_reads_what_can_be_built(name: str, size: int | None) -> None:
    """Its taps are stages of the backbone, on grids of 4 x 4 or as fine as the map."""
    taps = head_taps(name, size)
    assert taps is not None
    wanted = BACKBONES[name].head_taps
    assert [tap.partition(":")[0] for tap in taps] == [tap.partition(":")[0] for tap in wanted]
    if size == 224:
        assert taps == wanted
    if "resnet18" in name or not name.startswith(("resnet", "vit_b")):
        assert build_backbone(name, weights="none", taps=taps, image_size=size).taps == taps


def test_a_head_reads_small_images_on_coarse_grids() -> None:
    """At 32 pixels layer3 of a ResNet has a map of 2 x 2, and layer1 one of 8 x 8."""
    assert head_taps("resnet18", 32) == ("layer1:4x4", "layer2:4x4", "layer3:2x2")
    assert head_taps("vit_tiny_patch16_224", 48) == ("encoder_layer_5:3x3", "encoder_layer_8:3x3")
    assert head_taps("pca") is None


def test_a_head_reads_no_unknown_backbone() -> None:
    """A name or a size that cannot be is refused as a backbone's is."""
    with pytest.raises(UsageError, match="'resnet19' is not one of"):
        head_taps("resnet19")
    with pytest.raises(UsageError, match="image size 20 does not suit resnet18"):
        head_taps("resnet18", 20)


@pytest.mark.parametrize("size", [8, 16, 32, 33, 64])
@pytest.mark.parametrize(
    ("name", "taps"),
    [("resnet18_w40", ("layer4:2x2",)), ("squeezenet1_1", None), ("vit_tiny_patch16_224", None)],
)
def test_takes_what_it_can_compute(name: str, taps: tuple[str, ...] | None, size: int) -> None:
    """A size is taken if features of it come out, and are finite."""
    backbone = build_backbone(name, weights="none", taps=taps, image_size=64)
    try:
        works = bool(backbone(_images(2, size)).isfinite().all())
    except RuntimeError:
        works = False
    assert backbone.takes(size) == works
