"""Weights for a backbone: torchvision's own, none, or a file; and whether they fit.

Files are read as data alone: safetensors, or torch's format with ``weights_only=True``, which
runs no code from the file.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torchvision import models

from boost_edge.models.architectures import BackboneSpec
from boost_edge.models.checkpoints import file_sha256, imagenet_checkpoint
from boost_edge.runtime.errors import WeightsError
from boost_edge.runtime.manifest import Weights

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "LoadedWeights", "load_weights"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Red, green and blue means of ImageNet in [0, 1], as torchvision's checkpoints expect."""
IMAGENET_STD = (0.229, 0.224, 0.225)

_NAMED_TENSORS = 20
_SUFFIXES = (".safetensors", ".pth", ".pt")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedWeights:
    """Where a backbone's weights came from, and the normalisation they expect.

    ``mean`` and ``std`` are per channel, RGB, for pixels scaled to [0, 1].
    """

    weights: Weights
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def load_weights(
    network: nn.Module,
    stages: Mapping[str, nn.Module],
    spec: BackboneSpec,
    weights: str | PathLike[str],
) -> LoadedWeights:
    """Load weights into a network, of which ``stages`` are the part that will be used.

    Parameters
    ----------
    network
        The whole network, as ``spec.network`` built it; changed in place.
    stages
        Modules of ``network`` up to the last tap. What a file lacks beyond them does not matter.
    spec
        The backbone; its architecture is compared with the file's ``arch`` metadata.
    weights
        ``imagenet`` (torchvision's IMAGENET1K_V1, the paper's; from torch's cache, else the
        network), ``none`` (the network as it is), or a ``.safetensors``, ``.pth`` or ``.pt`` file
        with a state dictionary. Metadata of a safetensors file may say ``arch``, ``mean``,
        ``std`` and ``licence``; without it the normalisation is ImageNet's.

    Raises
    ------
    UsageError
        When there is no such file.
    WeightsError
        When the weights cannot be fetched or read, or do not fit.
    """
    if weights == "none":
        source = Weights(
            name="none", source="random initialisation with seed 0", sha256=None, licence=None
        )
        return LoadedWeights(weights=source, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    if weights == "imagenet":
        path, source = imagenet_checkpoint(spec)
    else:
        path = Path(weights)
        source = Weights(
            name=path.stem, source=f"file:{path.name}", sha256=file_sha256(path), licence=None
        )
    state, metadata = _read(path)
    _check_architecture(path, metadata, spec)
    _load_state(network, stages, spec, state, path)
    licence = metadata.get("licence", metadata.get("license", source.licence))
    return LoadedWeights(
        weights=dataclasses.replace(source, licence=licence),
        mean=_channels(path, metadata, "mean", IMAGENET_MEAN),
        std=_channels(path, metadata, "std", IMAGENET_STD),
    )


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors by name and the metadata of a weights file."""
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise WeightsError(f"{path}: weights are a .safetensors, .pth or .pt file")
    try:
        if suffix == ".safetensors":
            header: Any = safe_open(path, framework="pt")
            with header as file:
                names: list[str] = file.keys()
                metadata: dict[str, str] = file.metadata() or {}
                return {name: file.get_tensor(name) for name in names}, metadata
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what torch's reader raises depends on where a file is damaged
        raise WeightsError(
            f"{path} is damaged, or holds more than tensors ({_one_line(error)[:120]}): "
            "get it again, or convert it to safetensors"
        ) from error
    state = cast("dict[object, object]", loaded) if isinstance(loaded, dict) else {}
    tensors = {str(name): value for name, value in state.items() if isinstance(value, Tensor)}
    if not tensors or len(tensors) < len(state):
        raise WeightsError(f"{path} is not a plain state dictionary: save model.state_dict()")
    return tensors, {}


def _check_architecture(path: Path, metadata: Mapping[str, str], spec: BackboneSpec) -> None:
    said = "".join(metadata.get("arch", spec.architecture).split())
    if said.removeprefix("torchvision.models.") not in (
        spec.name,
        spec.architecture.removeprefix("torchvision.models."),
    ):
        raise WeightsError(
            f"{path} holds weights of {said}, not of {spec.name}: choose the file or the backbone "
            "to match"
        )


def _channels(
    path: Path, metadata: Mapping[str, str], key: str, default: tuple[float, float, float]
) -> tuple[float, float, float]:
    """Read ``mean`` or ``std``: three comma-separated numbers."""
    if key not in metadata:
        return default
    try:
        red, green, blue = (float(part) for part in metadata[key].split(","))
    except ValueError:
        red = green = blue = math.nan
    if not all(math.isfinite(v) and (key == "mean" or v > 0) for v in (red, green, blue)):
        raise WeightsError(
            f"{path}: its metadata says {key} {metadata[key]!r}, not three comma-separated numbers"
            f"{' above 0' if key == 'std' else ''}: correct the file"
        )
    return red, green, blue


def _load_state(
    network: nn.Module,
    stages: Mapping[str, nn.Module],
    spec: BackboneSpec,
    state: dict[str, Tensor],
    path: Path,
) -> None:
    kept = {
        id(tensor)
        for stage in stages.values()
        for tensor in itertools.chain(stage.parameters(), stage.buffers())
    }
    targets: dict[str, Tensor] = network.state_dict(keep_vars=True)
    needed = {name for name, tensor in targets.items() if id(tensor) in kept}
    try:
        if isinstance(network, models.VisionTransformer) and "encoder.pos_embedding" in state:
            state = models.vision_transformer.interpolate_embeddings(
                network.image_size, network.patch_size, OrderedDict(state)
            )
        misfits = {
            name
            for name, tensor in state.items()
            if name in targets and not _fits(tensor, targets[name])
        }
        # Not strict: torch's own conversions of older files still run, and we judge the rest.
        fitting = {name: tensor for name, tensor in state.items() if name not in misfits}
        missing, unexpected = cast(
            "tuple[list[str], list[str]]", network.load_state_dict(fitting, strict=False)
        )
    except (RuntimeError, ValueError) as error:
        raise WeightsError(f"{path} does not fit {spec.name} ({_one_line(error)})") from error
    problems = {
        "lacks": [name for name in missing if name in needed - misfits],
        "has misshapen": sorted(misfits & needed),
        "has unknown": unexpected,
    }
    if found := [f"{verb} {_named(names)}" for verb, names in problems.items() if names]:
        raise WeightsError(
            f"{path} does not fit {spec.name} up to {list(stages)[-1]}: it {' and '.join(found)}: "
            "choose another file, backbone or an earlier tap"
        )


def _fits(tensor: Tensor, target: Tensor) -> bool:
    """Tell whether a tensor can be copied: same shape and kind, and no infinity or NaN."""
    return (
        tensor.shape == target.shape
        and tensor.is_floating_point() == target.is_floating_point()
        and bool(torch.isfinite(tensor).all())
    )


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMED_TENSORS])
    more = ", ..." if len(names) > _NAMED_TENSORS else ""
    return f"{len(names)} tensor{'s' if len(names) > 1 else ''} ({shown}{more})"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
