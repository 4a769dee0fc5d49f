"""Backbones: frozen networks that turn a batch of images into pooled features.

A backbone ends at its last tap: layers beyond it do not exist in the module. It takes the image
as it is stored (uint8, RGB, height by width by colour), because that is also the input of the
exported model.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from typing import Self

import torch
from torch import Tensor, nn

from boost_edge.models.architectures import BACKBONES, BackboneSpec, Stage
from boost_edge.models.taps import Tap, pool_grid
from boost_edge.models.weights import load_weights
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.manifest import Weights

__all__ = [
    "BACKBONES",
    "Backbone",
    "BackboneSpec",
    "Normalise",
    "Stage",
    "build_backbone",
    "check_backbone",
    "head_taps",
    "parse_taps",
]


class Normalise(nn.Module):
    """Stored image to network input: colour first, centred and scaled per channel.

    ``offset`` and ``scale`` are ``(3, 1, 1)`` float32 buffers with
    ``(x - offset) * scale == (x / 255 - mean) / std``; ``None`` once folded into a later layer.
    """

    offset: Tensor | None
    scale: Tensor | None

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        shape = (3, 1, 1)
        self.register_buffer("offset", 255.0 * torch.tensor(mean).reshape(shape))
        self.register_buffer("scale", 1.0 / (255.0 * torch.tensor(std).reshape(shape)))

    def forward(self, image: Tensor) -> Tensor:
        """Map ``(N, S, S, 3)`` uint8 to ``(N, 3, S, S)`` float32."""
        pixels = image.permute(0, 3, 1, 2).to(torch.float32)
        if self.offset is not None:
            pixels = pixels - self.offset
        if self.scale is not None:
            pixels = pixels * self.scale
        return pixels


class Backbone(nn.Module):
    """A frozen network up to its last tap; built by ``build_backbone`` or ``fit_pca``.

    Attributes
    ----------
    spec : BackboneSpec
        What was built; ``spec.name`` is the backbone's name.
    taps : tuple of str
        The stages whose pooled outputs make the features, in the order of the stages, each with
        its grid (``boost_edge.models.taps``). A vision transformer gives its class token, and on a
        grid the tokens of its patches.
    width : int
        Number of features F.
    image_size : int
        Edge S of the input image in pixels.
    weights : Weights
        Where the weights come from.
    """

    def __init__(
        self,
        spec: BackboneSpec,
        stages: Mapping[str, nn.Module],
        *,
        taps: tuple[str, ...],
        width: int,
        image_size: int,
        mean: Sequence[float],
        std: Sequence[float],
        weights: Weights,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.taps = taps
        self.width = width
        self.image_size = image_size
        self.weights = weights
        self.normalise = Normalise(mean, std)
        self.stages = nn.ModuleList(stages.values())
        grids = {tap.stage: tap.grid for tap in map(Tap.parse, taps)}
        # For each stage the grid to pool it on; 0 where it is not tapped.
        self._grids = tuple(grids.get(name, 0) for name in stages)
        self.requires_grad_(requires_grad=False)
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Set the mode as any module does, but keep the frozen stages in evaluation mode."""
        super().train(mode)
        self.stages.eval()
        return self

    def forward(self, image: Tensor) -> Tensor:
        """Map images ``(N, S, S, 3)`` uint8 RGB to pooled features ``(N, F)`` float32."""
        values = self.normalise(image)
        features: list[Tensor] = []
        for stage, grid in zip(self.stages, self._grids, strict=True):
            values = stage(values)
            if grid:
                features.append(self._pooled(values, grid))
        return torch.cat(features, dim=1)

    def _pooled(self, values: Tensor, grid: int) -> Tensor:
        match self.spec.pool:
            case "average":
                return pool_grid(values, grid)
            case "class_token" if grid == 1:
                return values[:, 0]
            case "class_token":
                edge = self.image_size // self.spec.step
                patches = values[:, 1:].transpose(1, 2)
                return pool_grid(patches.reshape(*patches.shape[:2], edge, edge), grid)
            case "none":
                return values

    def takes(self, size: int) -> bool:
        """Tell whether images of another edge can pass, and leave maps as fine as the grids.

        A vision transformer takes images of its own size only.
        """
        if self.spec.pool != "average":
            return size == self.image_size
        stages = dict(zip(self.spec.taps, self.stages, strict=False))
        try:
            edges = [edge for _, edge in _map_edges(self.spec, stages, size)]
        except RuntimeError:
            # torch's own words for a map that has become too small.
            return False
        return all(edge >= max(1, grid) for edge, grid in zip(edges, self._grids, strict=True))

    def digest(self) -> str:
        """Return a sha256 in hex over all that decides the features: for cache keys."""
        digest = hashlib.sha256(repr((self.spec.name, self.taps, self.image_size)).encode("utf-8"))
        for name, tensor in self.state_dict().items():
            array = tensor.detach().cpu().contiguous().numpy()
            digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
            digest.update(array.tobytes())
        return digest.hexdigest()


def check_backbone(name: str) -> None:
    """Refuse a name that is no backbone's.

    Raises
    ------
    UsageError
        When it is unknown.
    """
    _spec(name)


def parse_taps(text: str, backbone: str) -> tuple[str, ...]:
    """Read taps joined by ``+``, such as ``layer3:2x2+layer4``, in the order of the stages.

    Raises
    ------
    UsageError
        When the backbone, a tap or its grid is unknown, or a tap stands twice.
    """
    return _ordered_taps(_spec(backbone), tuple(part.strip() for part in text.split("+")))


def head_taps(name: str, image_size: int | None = None) -> tuple[str, ...] | None:
    """Return the taps where a head reads a backbone best: early stages, each on a grid.

    The grids are of 4 x 4 cells, or as fine as the stage's map is where that is less. ``None`` for
    pca: as many components as can be had.

    Parameters
    ----------
    image_size
        Edge S in pixels; ``None`` is the backbone's own.

    Raises
    ------
    UsageError
        When the name or the image size is not possible.
    """
    spec = _spec(name)
    if spec.network is None or spec.split is None:
        return None
    size = _checked_size(spec, image_size)
    taps = [Tap.parse(tap) for tap in spec.head_taps]
    with torch.device("meta"):
        stages = list(spec.split(spec.network(size)).items())
        count = spec.taps.index(taps[-1].stage) + 1
        edges = dict(_map_edges(spec, dict(stages[:count]), size))
    return tuple(replace(tap, grid=min(tap.grid, edges[tap.stage])).name for tap in taps)


def build_backbone(
    name: str,
    *,
    weights: str | PathLike[str] = "imagenet",
    taps: Sequence[str] | None = None,
    image_size: int | None = None,
) -> Backbone:
    """Build a frozen backbone that ends at its last tap.

    Parameters
    ----------
    name
        A key of ``BACKBONES`` other than ``pca``, which is fitted (``fit_pca``).
    weights
        ``imagenet`` (torchvision's IMAGENET1K_V1), ``none`` (random, the same every time) or a
        ``.safetensors``, ``.pth`` or ``.pt`` file; see ``boost_edge.models.weights``.
    taps
        Stages to pool, each with a grid or none; ``None`` is the last stage alone.
    image_size
        Edge S in pixels; ``None`` is the backbone's own. A vision transformer's positions are
        interpolated (torchvision's ``interpolate_embeddings``) where S is not that of its weights.

    Raises
    ------
    UsageError
        When the name, a tap or the image size is not possible.
    WeightsError
        When the weights cannot be had, or do not fit.
    """
    spec = _spec(name)
    if spec.network is None or spec.split is None:
        raise UsageError(f"{name} has no weights to load: it is fitted to the training images")
    chosen = _ordered_taps(spec, taps)
    tapped = [Tap.parse(tap) for tap in chosen]
    size = _checked_size(spec, image_size)
    with _seeded():
        network = spec.network(size)
        if weights == "none":
            _settle_batch_norms(network)
    count = spec.taps.index(tapped[-1].stage) + 1
    stages = dict(list(spec.split(network).items())[:count])
    _check_grids(spec, stages, tapped, size)
    loaded = load_weights(network, stages, spec, weights)
    widths = {stage.name: stage.width for stage in spec.stages}
    return Backbone(
        spec,
        stages,
        taps=chosen,
        width=sum(widths[tap.stage] * tap.cells for tap in tapped),
        image_size=size,
        mean=loaded.mean,
        std=loaded.std,
        weights=loaded.weights,
    )


@contextlib.contextmanager
def _seeded() -> Generator[None, None, None]:
    """Draw the same random numbers on every machine, and leave the caller's sequence alone."""
    state = torch.get_rng_state()
    torch.default_generator.manual_seed(0)
    try:
        yield
    finally:
        torch.set_rng_state(state)


def _settle_batch_norms(network: nn.Module) -> None:
    """Set running statistics from a batch of noise.

    Without them a deep random network scales its features up or down by orders of magnitude, and
    what is computed from them drowns in rounding.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        return
    for norm in norms:
        norm.momentum = None  # the plain average of the batches seen, here of one
    network.train()
    with torch.no_grad():
        network(torch.randn(8, 3, 64, 64))
    network.eval()


def _spec(name: str) -> BackboneSpec:
    if name not in BACKBONES:
        raise UsageError(f"backbone {name!r} is not one of {', '.join(BACKBONES)}")
    return BACKBONES[name]


def _checked_size(spec: BackboneSpec, image_size: int | None) -> int:
    size = spec.image_size if image_size is None else image_size
    if size < spec.smallest or size % spec.step:
        multiple = f" and a multiple of {spec.step}" if spec.step > 1 else ""
        raise UsageError(
            f"image size {size} does not suit {spec.name}: it must be at least {spec.smallest}"
            f"{multiple} pixels"
        )
    return size


def _ordered_taps(spec: BackboneSpec, taps: Sequence[str] | None) -> tuple[str, ...]:
    if taps is None:
        return spec.taps[-1:]
    if spec.name == "pca":
        if len(taps) != 1 or not re.fullmatch(r"pca[1-9][0-9]*", taps[0]):
            raise UsageError(f"pca takes one tap such as {spec.taps[0]}, not {'+'.join(taps)!r}")
        return tuple(taps)
    asked = [Tap.parse(tap) for tap in taps]
    if unknown := [tap.stage for tap in asked if tap.stage not in spec.taps]:
        raise UsageError(
            f"{spec.name} has no tap {unknown[0]!r}: its taps are {', '.join(spec.taps)}"
        )
    if not asked or len({tap.stage for tap in asked}) < len(asked):
        raise UsageError(f"name each tap of {spec.name} once, not {'+'.join(taps) or 'none'}")
    return tuple(tap.name for tap in sorted(asked, key=lambda tap: spec.taps.index(tap.stage)))


def _check_grids(
    spec: BackboneSpec, stages: Mapping[str, nn.Module], taps: Sequence[Tap], size: int
) -> None:
    """Refuse a grid that is finer than its stage's map is at this image size."""
    grids = {tap.stage: tap.grid for tap in taps}
    if max(grids.values()) == 1:
        return
    for name, edge in _map_edges(spec, stages, size):
        if edge < grids.get(name, 1):
            raise UsageError(
                f"a grid of {grids[name]}x{grids[name]} is finer than the {edge}x{edge} map "
                f"of {name} at {size} px: take a coarser one, or a larger --image-size"
            )


def _map_edges(
    spec: BackboneSpec, stages: Mapping[str, nn.Module], size: int
) -> Iterator[tuple[str, int]]:
    """Yield the stages' names, and how many values the shorter edge of their maps has."""
    if spec.pool == "class_token":
        yield from ((name, size // spec.step) for name in stages)
        return
    values = torch.zeros(1, 3, size, size)
    with torch.inference_mode():
        for name, stage in stages.items():
            values = stage.eval()(values)
            yield name, min(values.shape[2:])
