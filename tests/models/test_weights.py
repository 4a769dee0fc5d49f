"""Loading weights from files: what fits, what does not, and what the error says."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from boost_edge.models.backbones import BACKBONES, Backbone, build_backbone
from boost_edge.runtime.errors import UsageError, WeightsError

State = dict[str, Tensor]


def _state(name: str, size: int = 32) -> State:
    spec = BACKBONES[name]
    assert spec.network is not None
    torch.default_generator.manual_seed(7)
    return dict(spec.network(size).state_dict())


def _write(folder: Path, state: State, **metadata: str) -> Path:
    path = folder / "mine.safetensors"
    path.write_bytes(save(state, metadata))
    return path


def _squeezenet(weights: Path) -> Backbone:
    return build_backbone("squeezenet1_1", weights=weights, taps=("features.4",), image_size=32)


def _images(size: int = 32) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randint(0, 256, (2, size, size, 3), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("squeezenet1_1", "squeezenet1_1"),
        ("mobilenet_v2", "mobilenet_v2"),
        ("vit_tiny_patch16_224", "vit_tiny_patch16_224"),
        ("resnet18_layer4_distilled", "resnet18"),
    ],
)
@pytest.mark.shared
def test_real_weights_load(shared: Path, file: str, name: str) -> None:
    """The shared files are known by name and sha256 alone, never by the path on this machine."""
    path = shared / "weights" / f"{file}.safetensors"
    backbone = build_backbone(name, weights=path, image_size=64)
    assert backbone.weights.name == file
    assert backbone.weights.source == f"file:{path.name}"
    assert backbone.weights.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    features = backbone(_images(64))
    assert bool(torch.isfinite(features).all())
    assert features.std().item() > 0.01


@pytest.mark.shared
def test_file_without_late_layers_serves_earlier_taps(shared: Path) -> None:
    """What a file lacks after the last tap does not matter; what it lacks before it is named."""
    path = shared / "weights" / "resnet18_partial_no_layer4_convs.safetensors"
    whole = shared / "weights" / "resnet18_layer4_distilled.safetensors"
    images = _images(64)
    features = build_backbone("resnet18", weights=path, taps=("layer3",), image_size=64)(
        _images(64)
    )
    same = build_backbone("resnet18", weights=whole, taps=("layer3",))(images)
    assert torch.equal(features, same)
    with pytest.raises(WeightsError, match=r"up to layer4: it lacks 4 tensors \(layer4\.0\.conv1"):
        build_backbone("resnet18", weights=path)


def test_normalisation_and_licence_come_from_the_metadata(tmp_path: Path) -> None:
    """A safetensors file may say which mean, std and licence belong to it."""
    state = _state("squeezenet1_1")
    plain = _squeezenet(_write(tmp_path, state))
    assert plain.weights.licence is None
    assert plain.normalise.offset is not None
    torch.testing.assert_close(
        plain.normalise.offset.flatten(), 255 * torch.tensor((0.485, 0.456, 0.406))
    )
    told = _squeezenet(
        _write(
            tmp_path,
            state,
            mean="0.5, 0.25,0",
            std="1,0.5,0.5",
            licence="MIT",
            arch="squeezenet1_1",
        )
    )
    assert told.weights.licence == "MIT"
    assert told.normalise.offset is not None
    assert told.normalise.scale is not None
    torch.testing.assert_close(told.normalise.offset.flatten(), torch.tensor((127.5, 63.75, 0.0)))
    torch.testing.assert_close(told.normalise.scale.flatten(), torch.tensor((1.0, 2.0, 2.0)) / 255)


@pytest.mark.parametrize(
    ("key", "value"),
    [("mean", "0.5"), ("mean", "a,b,c"), ("mean", "0,0,inf"), ("std", "0.2,0.2,0"), ("std", "")],
)
def test_senseless_normalisation_is_refused(tmp_path: Path, key: str, value: str) -> None:
    """Metadata that is not three usable numbers is an error, never a guess."""
    path = _write(tmp_path, _state("squeezenet1_1"), **{key: value})
    with pytest.raises(WeightsError, match=f"its metadata says {key}"):
        _squeezenet(path)


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    """The architecture that a file claims must be that of the backbone."""
    path = _write(tmp_path, _state("squeezenet1_1"), arch="torchvision.models.resnet18")
    with pytest.raises(WeightsError, match=r"weights of torchvision\.models\.resnet18, not of squ"):
        _squeezenet(path)


def _drop(state: State) -> None:
    del state["features.0.weight"], state["features.3.squeeze.bias"]


def _reshape(state: State) -> None:
    state["features.0.weight"] = torch.zeros(64, 3, 5, 5)


def _add(state: State) -> None:
    for number in range(25):
        state[f"neck.{number}"] = torch.zeros(1)


def _quantise(state: State) -> None:
    state["features.0.weight"] = torch.ones(64, 3, 3, 3, dtype=torch.int8)


def _poison(state: State) -> None:
    state["features.0.bias"][5] = torch.nan


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_drop, r"lacks 2 tensors \(features\.0\.weight, features\.3\.squeeze\.bias\)"),
        (_reshape, r"has misshapen 1 tensor \(features\.0\.weight\)"),
        (_quantise, r"has misshapen 1 tensor \(features\.0\.weight\)"),
        (_poison, r"has misshapen 1 tensor \(features\.0\.bias\)"),
        (_add, r"has unknown 25 tensors \(neck\.0, neck\.1, .*, \.\.\.\)"),
    ],
)
def test_tensors_that_do_not_fit_are_named(
    tmp_path: Path, spoil: Callable[[State], None], says: str
) -> None:
    """Missing, misshapen, integer, non-finite and unknown tensors are counted and named."""
    state = {name: tensor.clone() for name, tensor in _state("squeezenet1_1").items()}
    spoil(state)
    with pytest.raises(WeightsError, match=says) as caught:
        _squeezenet(_write(tmp_path, state))
    assert "\n" not in str(caught.value)


def test_another_classifier_does_not_matter(tmp_path: Path) -> None:
    """A network that was fine-tuned to ten classes is as good a backbone."""
    state = _state("squeezenet1_1")
    expected = _squeezenet(_write(tmp_path, state))(_images())
    state["classifier.1.weight"] = torch.zeros(10, 512, 1, 1)
    state["classifier.1.bias"] = torch.zeros(10)
    assert torch.equal(_squeezenet(_write(tmp_path, state))(_images()), expected)


def test_half_precision_becomes_float32(tmp_path: Path) -> None:
    """Weights stored as float16 are computed with as float32."""
    state = {name: tensor.half() for name, tensor in _state("squeezenet1_1").items()}
    backbone = _squeezenet(_write(tmp_path, state))
    assert {parameter.dtype for parameter in backbone.parameters()} == {torch.float32}


def test_positions_are_interpolated_to_another_image_size(tmp_path: Path) -> None:
    """A transformer's weights for one size serve another, with one position per patch."""
    state = _state("vit_tiny_patch16_224", 64)
    path = _write(tmp_path, state)
    same = build_backbone("vit_tiny_patch16_224", weights=path, image_size=64)
    other = build_backbone("vit_tiny_patch16_224", weights=path, image_size=96)
    shapes = [
        tensor.shape
        for backbone in (same, other)
        for name, tensor in backbone.state_dict().items()
        if name.endswith("positions")
    ]
    assert shapes == [(1, 17, 192), (1, 37, 192)]
    assert other(_images(96)).shape == (2, 192)


def test_older_checkpoints_of_torchvision_load(tmp_path: Path) -> None:
    """Renamed layers (ViT) and counters that did not exist yet (BN) are no hindrance."""
    renamed = {
        name.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): tensor
        for name, tensor in _state("vit_tiny_patch16_224").items()
    }
    vit = build_backbone("vit_tiny_patch16_224", weights=_write(tmp_path, renamed), image_size=32)
    assert vit.width == 192
    without = {
        name: tensor for name, tensor in _state("resnet18").items() if "num_batches" not in name
    }
    path = tmp_path / "old.pth"
    torch.save(without, path)
    backbone = build_backbone("resnet18", weights=path, image_size=32)
    assert backbone.weights.source == "file:old.pth"


class _Trap:
    """A pickled object that would make a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    """A .pth file that carries code is refused, and the code stays asleep."""
    path, sprung = tmp_path / "trap.pth", tmp_path / "sprung"
    torch.save({"conv1.weight": _Trap(sprung)}, path)
    with pytest.raises(WeightsError, match="holds more than tensors"):
        build_backbone("resnet18", weights=path)
    assert not sprung.exists()


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
@pytest.mark.parametrize(
    "data", [b"", b"\0" * 64, pickle.dumps({"a": 1}, protocol=2)[:-3], b"PK\x03\x04" + b"x" * 40]
)
def test_damaged_files_are_named(tmp_path: Path, suffix: str, data: bytes) -> None:
    """A file that cannot be read is an error of one line, whatever is wrong inside."""
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="broken") as caught:
        build_backbone("squeezenet1_1", weights=path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [{"state_dict": {}, "epoch": 3}, {}, [torch.zeros(1)]])
def test_checkpoint_must_be_a_plain_state_dictionary(tmp_path: Path, content: object) -> None:
    """A checkpoint with more in it than named tensors is refused with the way to save it."""
    path = tmp_path / "wrapped.pth"
    torch.save(content, path)
    with pytest.raises(WeightsError, match=r"save model\.state_dict\(\)"):
        build_backbone("squeezenet1_1", weights=path)


def test_other_files_and_missing_files_are_refused(tmp_path: Path) -> None:
    """A file of another kind, a folder or nothing at all is named."""
    other = tmp_path / "weights.onnx"
    other.write_bytes(b"x")
    with pytest.raises(WeightsError, match=r"weights are a \.safetensors, \.pth or \.pt file"):
        build_backbone("squeezenet1_1", weights=other)
    with pytest.raises(WeightsError, match="Is a directory"):
        build_backbone("squeezenet1_1", weights=tmp_path)
    with pytest.raises(UsageError, match="cannot read the weights imagnet"):
        build_backbone("squeezenet1_1", weights="imagnet")
