"""Which backbones there are, and how torchvision's networks are cut into stages.

A ``split_*`` function takes a whole network and returns its feature stages in order: stage k takes
the output of stage k - 1, the first takes the normalised image ``(N, 3, S, S)`` float32.
Classifiers are left behind. The stages hold the network's own modules, so weights loaded into the
network are in the stages too.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models.resnet import BasicBlock

__all__ = [
    "BACKBONES",
    "GRID",
    "BackboneSpec",
    "Pool",
    "Stage",
    "split_features",
    "split_resnet",
    "split_vit",
]

Pool = Literal["average", "class_token", "none"]

GRID = "4x4"
"""How fine a head reads a stage's map."""
_RESNET_TAPS = tuple(f"layer{layer}:{GRID}" for layer in (1, 2, 3))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One place where features can be taken: its tap's name and its width in values."""

    name: str
    width: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneSpec:
    """One backbone that can be built.

    ``image_size`` is the default edge S in pixels; S must be at least ``smallest`` and a multiple
    of ``step``. ``head_taps`` are where a head reads it best, as they are written for 224 pixels:
    several early stages, each on a grid (``docs/decisions/0021-earlier-stages.md``; where no
    weights were at hand to measure, those of its smaller kin; none of ``pca``). ``architecture`` is
    what a weights file's ``arch`` metadata says; ``imagenet`` is torchvision's name of its
    checkpoint, if it offers one. ``network`` builds the whole network for an edge S with random
    weights, ``split`` cuts it into ``stages``; both are ``None`` for ``pca``, which is fitted
    (``boost_edge.models.pca``).
    """

    name: str
    image_size: int
    stages: tuple[Stage, ...]
    head_taps: tuple[str, ...]
    architecture: str
    imagenet: str | None
    pool: Pool
    smallest: int = 32
    step: int = 1
    network: Callable[[int], nn.Module] | None = None
    split: Callable[[nn.Module], Mapping[str, nn.Module]] | None = None

    @property
    def taps(self) -> tuple[str, ...]:
        """Return the names of all taps, in the order of the stages."""
        return tuple(stage.name for stage in self.stages)


def split_resnet(network: nn.Module) -> Mapping[str, nn.Module]:
    """Cut a ResNet after each of its four layers; the stem belongs to ``layer1``."""
    net = cast("models.ResNet", network)
    stem = (net.conv1, net.bn1, net.relu, net.maxpool)
    return {
        "layer1": nn.Sequential(*stem, net.layer1),
        "layer2": net.layer2,
        "layer3": net.layer3,
        "layer4": net.layer4,
    }


def split_features(network: nn.Module, ends: tuple[int, ...]) -> Mapping[str, nn.Module]:
    """Cut the ``features`` of SqueezeNet or MobileNetV2 after the modules numbered ``ends``."""
    layers = cast("models.MobileNetV2 | models.SqueezeNet", network).features
    starts = (0, *(end + 1 for end in ends[:-1]))
    return {
        f"features.{end}": layers[start : end + 1] for start, end in zip(starts, ends, strict=True)
    }


def split_vit(network: nn.Module) -> Mapping[str, nn.Module]:
    """Cut a vision transformer after each block; the final layer norm belongs to the last."""
    net = cast("models.VisionTransformer", network)
    stages: dict[str, nn.Module] = dict(net.encoder.layers.named_children())
    names = list(stages)
    stages[names[0]] = nn.Sequential(_PatchEmbedding(net), stages[names[0]])
    stages[names[-1]] = nn.Sequential(stages[names[-1]], net.encoder.ln)
    return stages


class _PatchEmbedding(nn.Module):
    """Image to tokens as in torchvision's ``VisionTransformer.forward``, class token first."""

    def __init__(self, network: models.VisionTransformer) -> None:
        super().__init__()
        self.projection: nn.Module = network.conv_proj
        self.class_token: nn.Parameter = network.class_token
        self.positions: nn.Parameter = network.encoder.pos_embedding

    def forward(self, image: Tensor) -> Tensor:
        """Map ``(N, 3, S, S)`` to ``(N, 1 + (S / patch)^2, width)``."""
        patches = self.projection(image).flatten(2).transpose(1, 2)
        token = self.class_token.expand(patches.shape[0], -1, -1)
        return torch.cat([token, patches], dim=1) + self.positions


def _any_size(builder: Callable[..., nn.Module], _image_size: int) -> nn.Module:
    """Build a convolutional network, which takes images of any size."""
    return builder(weights=None)


class _NarrowResNet18(models.ResNet):  # type: ignore[misc]  # torchvision is untyped
    """torchvision's ResNet-18 with another number of channels than 64 in its first layer."""

    def __init__(self, width: int) -> None:
        super().__init__(BasicBlock, [2, 2, 2, 2])
        # What the constructor made is made again, by torchvision's own code, at the width asked.
        self.inplanes = width
        self.conv1 = nn.Conv2d(3, width, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = self._make_layer(BasicBlock, width, 2)
        self.layer2 = self._make_layer(BasicBlock, 2 * width, 2, stride=2)
        self.layer3 = self._make_layer(BasicBlock, 4 * width, 2, stride=2)
        self.layer4 = self._make_layer(BasicBlock, 8 * width, 2, stride=2)
        self.fc = nn.Linear(8 * width, 1000)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def _narrow_resnet18(width: int, _image_size: int) -> nn.Module:
    return _NarrowResNet18(width)


def _given_size(builder: Callable[..., nn.Module], image_size: int) -> nn.Module:
    """Build a vision transformer, which has one position embedding per patch."""
    return builder(weights=None, image_size=image_size)


def _vit_tiny(image_size: int) -> nn.Module:
    network: nn.Module = models.VisionTransformer(
        image_size=image_size,
        patch_size=16,
        num_layers=12,
        num_heads=3,
        hidden_dim=192,
        mlp_dim=768,
    )
    return network


def _narrow(width: int) -> BackboneSpec:
    return BackboneSpec(
        name=f"resnet18_w{width}",
        image_size=96,
        stages=_stages({f"layer{layer}": width * 2 ** (layer - 1) for layer in range(1, 5)}),
        head_taps=_RESNET_TAPS,
        architecture=f"torchvision.models.resnet18(width={width})",
        imagenet=None,
        pool="average",
        network=functools.partial(_narrow_resnet18, width),
        split=split_resnet,
    )


def _resnet(
    builder: Callable[..., nn.Module], name: str, imagenet: str, expansion: int
) -> BackboneSpec:
    widths = {f"layer{layer}": 32 * 2**layer * expansion for layer in range(1, 5)}
    return BackboneSpec(
        name=name,
        image_size=224,
        stages=_stages(widths),
        head_taps=_RESNET_TAPS,
        architecture=f"torchvision.models.{name}",
        imagenet=imagenet,
        pool="average",
        network=functools.partial(_any_size, builder),
        split=split_resnet,
    )


def _sequential(
    builder: Callable[..., nn.Module],
    name: str,
    imagenet: str,
    widths: Mapping[int, int],
    head_ends: tuple[int, ...],
) -> BackboneSpec:
    return BackboneSpec(
        name=name,
        image_size=224,
        stages=_stages({f"features.{end}": width for end, width in widths.items()}),
        head_taps=tuple(f"features.{end}:{GRID}" for end in head_ends),
        architecture=f"torchvision.models.{name}",
        imagenet=imagenet,
        pool="average",
        network=functools.partial(_any_size, builder),
        split=functools.partial(split_features, ends=tuple(widths)),
    )


def _vit(
    network: Callable[[int], nn.Module],
    name: str,
    imagenet: str | None,
    width: int,
    architecture: str,
) -> BackboneSpec:
    return BackboneSpec(
        name=name,
        image_size=224,
        stages=_stages({f"encoder_layer_{block}": width for block in range(12)}),
        head_taps=tuple(f"encoder_layer_{block}:{GRID}" for block in (5, 8)),
        architecture=f"torchvision.models.{architecture}",
        imagenet=imagenet,
        pool="class_token",
        step=16,
        network=network,
        split=split_vit,
    )


def _stages(widths: Mapping[str, int]) -> tuple[Stage, ...]:
    return tuple(Stage(name=name, width=width) for name, width in widths.items())


_SPECS = (
    BackboneSpec(
        name="pca",
        image_size=32,
        stages=_stages({"pca512": 512, "pca1024": 1024, "pca2048": 2048}),
        head_taps=(),
        architecture="pca",
        imagenet=None,
        pool="none",
    ),
    _resnet(models.resnet18, "resnet18", "ResNet18_Weights.IMAGENET1K_V1", 1),
    _resnet(models.resnet34, "resnet34", "ResNet34_Weights.IMAGENET1K_V1", 1),
    _resnet(models.resnet50, "resnet50", "ResNet50_Weights.IMAGENET1K_V1", 4),
    _resnet(models.resnet101, "resnet101", "ResNet101_Weights.IMAGENET1K_V1", 4),
    _vit(
        functools.partial(_given_size, models.vit_b_16),
        "vit_b_16",
        "ViT_B_16_Weights.IMAGENET1K_V1",
        768,
        "vit_b_16",
    ),
    _sequential(
        models.mobilenet_v2,
        "mobilenet_v2",
        "MobileNet_V2_Weights.IMAGENET1K_V1",
        {3: 24, 6: 32, 13: 96, 17: 320, 18: 1280},
        (3, 6, 13),
    ),
    _sequential(
        models.squeezenet1_1,
        "squeezenet1_1",
        "SqueezeNet1_1_Weights.IMAGENET1K_V1",
        {4: 128, 7: 256, 10: 384, 12: 512},
        (7, 10),
    ),
    _vit(
        _vit_tiny,
        "vit_tiny_patch16_224",
        None,
        192,
        "VisionTransformer(image_size=224,patch_size=16,num_layers=12,num_heads=3,hidden_dim=192,"
        "mlp_dim=768)",
    ),
    _narrow(40),
    _narrow(56),
)

BACKBONES: Mapping[str, BackboneSpec] = MappingProxyType({spec.name: spec for spec in _SPECS})
"""Every backbone by name, the paper's six first."""
