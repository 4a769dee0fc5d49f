"""Principal components of the pixels: the paper's weakest backbone, fitted instead of loaded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from boost_edge.models.backbones import BACKBONES, Backbone, parse_taps
from boost_edge.runtime.errors import UsageError, WeightsError
from boost_edge.runtime.manifest import Weights

__all__ = ["fit_pca", "restore_pca"]

_SPEC = BACKBONES["pca"]
_WEIGHT = "stages.0.1.weight"
_BIAS = "stages.0.1.bias"


def fit_pca(images: NDArray[np.uint8], taps: Sequence[str] | None = None) -> Backbone:
    """Fit principal components to images, as a backbone.

    Parameters
    ----------
    images
        ``(n, S, S, 3)`` uint8 RGB, n >= 2.
    taps
        One name ``pca<k>`` for k components; ``None`` is the largest of 2048, 1024 and 512 that
        can be had from n images of that size, and where none can, as many as can: at most
        ``min(n - 1, 3 S^2)``.

    Returns
    -------
    Backbone
        Named ``pca``; its features are the projections of the centred pixels in [0, 1] on the
        components by falling variance, without whitening. A component's largest value is
        positive. ``restore_pca`` makes it again from its ``state_dict()``.

    Raises
    ------
    UsageError
        When the images are of another form or too few, or more components are asked for than can
        be had.
    """
    if images.ndim != 4 or images.dtype != np.uint8 or images.shape[2:] != (images.shape[1], 3):
        raise UsageError(f"pca takes uint8 images (n, S, S, 3), not {images.dtype} {images.shape}")
    count, size = images.shape[:2]
    most = min(count - 1, 3 * size * size)
    if most < 1:
        raise UsageError(f"pca needs at least two images, not {count}")
    if taps is None:
        components = max(
            (stage.width for stage in _SPEC.stages if stage.width <= most), default=most
        )
    else:
        components = int(parse_taps("+".join(taps), "pca")[0].removeprefix("pca"))
    if components > most:
        raise UsageError(
            f"{count} images of {size} pixels make at most pca{most}, not pca{components}: name "
            "that tap, or add images"
        )
    # Colour first, as the network sees the image.
    pixels = images.transpose(0, 3, 1, 2).reshape(count, -1).astype(np.float32) / np.float32(255.0)
    mean = pixels.mean(axis=0, dtype=np.float64).astype(np.float32)
    axes = _principal_axes(pixels - mean, components)
    return restore_pca({_WEIGHT: torch.as_tensor(axes), _BIAS: torch.as_tensor(-(axes @ mean))})


def restore_pca(state: Mapping[str, Tensor]) -> Backbone:
    """Make a fitted ``pca`` backbone again from its ``state_dict()``.

    Raises
    ------
    WeightsError
        When the tensors are not those of a fitted ``pca``.
    """
    weight, bias = state.get(_WEIGHT), state.get(_BIAS)
    if weight is None or bias is None or weight.ndim != 2 or bias.shape != weight.shape[:1]:
        raise WeightsError(f"pca needs a matrix {_WEIGHT} and a vector {_BIAS} to match: fit it")
    components, values = weight.shape
    size = math.isqrt(values // 3)
    if values != 3 * size * size or components < 1:
        raise WeightsError(f"pca's matrix of {components} x {values} is for no square image")
    linear = nn.Linear(values, components, device="meta")
    linear.weight = nn.Parameter(weight.to(torch.float32), requires_grad=False)
    linear.bias = nn.Parameter(bias.to(torch.float32), requires_grad=False)
    tap = f"pca{components}"
    return Backbone(
        _SPEC,
        {tap: nn.Sequential(nn.Flatten(), linear)},
        taps=(tap,),
        width=components,
        image_size=size,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        weights=Weights(
            name="pca", source="fitted to the training images", sha256=None, licence=None
        ),
    )


def _principal_axes(centred: NDArray[np.float32], components: int) -> NDArray[np.float32]:
    """Return the leading right singular vectors ``(k, d)`` of ``(n, d)``, signs made definite."""
    if centred.shape[0] > centred.shape[1]:
        # The triangle of QR has the same right singular vectors, and no more rows than columns.
        centred = np.asarray(np.linalg.qr(centred, mode="r"))
    axes = np.linalg.svd(centred, full_matrices=False).Vh[:components]
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1, keepdims=True), axis=1)
    return np.ascontiguousarray(np.where(largest < 0, -axes, axes))
