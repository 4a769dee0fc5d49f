"""Random changes of training images that leave their labels true: crop, flip, colour, blur, JPEG.

Everything works on a batch ``(N, S, S, 3)`` of pixels in [0, 255] and draws from the generator
it is given, so that a step of a training can be repeated: first `compress`, then `augment`, then
`mix`, after which a label holds only where both pictures have it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample

__all__ = ["Augmentation", "augment", "compress", "mix"]

_GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601, as JPEG has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """How much product photos are changed.

    Parameters
    ----------
    smallest_area
        A crop keeps from this share of the picture's area to all of it.
    stretch
        The crop's aspect is from ``1 / stretch`` to ``stretch`` times the picture's.
    flip
        Share of the images that are mirrored, left to right.
    light
        Brightness and contrast are each multiplied by 1 - ``light`` to 1 + ``light``.
    saturation
        The same for the distance from grey. The hue is never changed: it is a label.
    blur, jpeg
        Shares of the images that are blurred, and compressed with a JPEG quality from
        ``jpeg_quality`` to 95.
    mixup
        Share of the images that are laid over with another one of the batch (Zhang et al., "mixup:
        Beyond empirical risk minimization", 2018).
    """

    smallest_area: float
    stretch: float
    flip: float
    light: float
    saturation: float
    blur: float
    jpeg: float
    jpeg_quality: int
    mixup: float


def compress(
    images: NDArray[np.uint8], how: Augmentation, generator: torch.Generator
) -> NDArray[np.uint8]:
    """Return copies of images ``(N, S, S, 3) uint8``, some of them as JPEG leaves them."""
    chosen = _chance(len(images), how.jpeg, generator)
    qualities = _draw(len(images), how.jpeg_quality, 95, generator).int()
    changed = images.copy()
    rows: list[int] = np.flatnonzero(chosen.numpy()).tolist()
    for row in rows:
        settings = [cv2.IMWRITE_JPEG_QUALITY, int(qualities[row])]
        _, data = cv2.imencode(".jpg", images[row], settings)
        decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
        if decoded is not None:
            changed[row] = decoded
    return changed


def augment(images: Tensor, size: int, how: Augmentation, generator: torch.Generator) -> Tensor:
    """Return changed copies ``(N, size, size, 3) float32`` of images ``(N, S, S, 3) uint8``.

    All changes but JPEG (`compress`), made where the images are: on the CPU or another device. The
    generator is the CPU's, so that every device draws the same.
    """
    pixels = images.permute(0, 3, 1, 2).to(torch.float32)
    pixels = _crop(pixels, size, how, generator)
    pixels = _blur(pixels, how.blur, generator)
    return _colour(pixels, how, generator).permute(0, 2, 3, 1)


def mix(images: Tensor, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return images ``(N, s, s, 3) float32``, a ``share`` of them means of two, and whom they met.

    The second is ``(N,) int64``, on the CPU: the place of the other picture, its own where there is
    none. The weights of both are drawn evenly.
    """
    count = len(images)
    if not share:
        return images, torch.arange(count)
    chosen = _chance(count, share, generator)
    others = torch.where(chosen, torch.randperm(count, generator=generator), torch.arange(count))
    weights = _there(_draw(count, 0.0, 1.0, generator).reshape(-1, 1, 1, 1), images)
    return torch.lerp(images[_there(others, images)], images, weights), others


def _there(values: Tensor, images: Tensor) -> Tensor:
    """Return small values of the CPU where the images are; a GPU is not waited for."""
    return values.to(images.device, non_blocking=True)


def _draw(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.empty(count).uniform_(low, high, generator=generator)


def _chance(count: int, share: float, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator) < share


def _crop(pixels: Tensor, size: int, how: Augmentation, generator: torch.Generator) -> Tensor:
    """Cut a random part of each picture, mirror some, and scale it to the size."""
    count = len(pixels)
    area = _draw(count, how.smallest_area, 1.0, generator)
    stretch = math.log(how.stretch)
    aspect = _draw(count, -stretch, stretch, generator).exp()
    width = (area * aspect).sqrt().clamp(max=1.0)
    height = (area / aspect).sqrt().clamp(max=1.0)
    across = _draw(count, -1.0, 1.0, generator) * (1.0 - width)
    down = _draw(count, -1.0, 1.0, generator) * (1.0 - height)
    mirror = torch.where(_chance(count, how.flip, generator), -1.0, 1.0)
    zero = torch.zeros(count)
    theta = torch.stack(
        [
            torch.stack([width * mirror, zero, across], dim=1),
            torch.stack([zero, height, down], dim=1),
        ],
        dim=1,
    )
    grid = affine_grid(_there(theta, pixels), [count, 3, size, size], align_corners=False)
    return grid_sample(pixels, grid, padding_mode="border", align_corners=False)


def _blur(pixels: Tensor, share: float, generator: torch.Generator) -> Tensor:
    chosen = _chance(len(pixels), share, generator)
    if chosen.any():
        rows = _there(chosen.nonzero().flatten(), pixels)
        blurred = avg_pool2d(pixels[rows], 3, stride=1, padding=1, count_include_pad=False)
        pixels = pixels.index_put((rows,), blurred)
    return pixels


def _colour(pixels: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    count = len(pixels)
    factors = [
        _there(_draw(count, 1.0 - spread, 1.0 + spread, generator).reshape(-1, 1, 1, 1), pixels)
        for spread in (how.light, how.light, how.saturation)
    ]
    brightness, contrast, saturation = factors
    shares = torch.tensor(_GREY, device=pixels.device).reshape(1, 3, 1, 1)
    grey = (pixels * shares).sum(dim=1, keepdim=True)
    pixels = grey + (pixels - grey) * saturation
    middle = grey.mean(dim=(2, 3), keepdim=True)
    return ((middle + (pixels - middle) * contrast) * brightness).clamp(0.0, 255.0)
