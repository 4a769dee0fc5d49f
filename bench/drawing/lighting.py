"""The light of the photo studio: bevels of cloth, the paper behind, shadows on it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from boost_edge.bench.drawing.fabrics import Rgb

__all__ = ["BACKGROUNDS", "Plane", "backdrop", "bevel", "blurred", "ground_shadow", "moved"]

Plane: TypeAlias = NDArray[np.float32]
"""(h, w) float32: light as a factor, or a mask in [0, 1]."""

BACKGROUNDS: Mapping[str, Rgb] = MappingProxyType(
    {
        "beige": (226, 209, 184),
        "blue": (176, 200, 220),
        "grey": (176, 178, 182),
        "white": (246, 246, 246),
    }
)

_LAMP = (-0.55, -0.83)  # the direction the light comes from: the upper left
_COARSE = 4


def bevel(soft: Plane, step: int, relief: float) -> Plane:
    """Light a piece of cloth as if it were a flat cushion.

    Parameters
    ----------
    soft
        (h, w) its mask, blurred.
    step
        The distance in pixels over which the slope is taken.
    relief
        How round it is; 0 gives 1 everywhere.

    Returns
    -------
    (h, w) the factor on its colour.
    """
    step = max(1, step)
    slope_x = np.roll(soft, -step, 1) - np.roll(soft, step, 1)
    slope_y = np.roll(soft, -step, 0) - np.roll(soft, step, 0)
    facing = -(_LAMP[0] * slope_x + _LAMP[1] * slope_y)
    return np.asarray(1 + relief * (0.45 * facing - 0.30 * (1 - soft)), np.float32)


def backdrop(background: str, size: int, rng: np.random.Generator) -> Plane:
    """Return the paper behind, (size, size, 3) in 0 to 255: darker away from the lamp.

    ``background`` is a key of ``BACKGROUNDS``; ``rng`` decides the shade and the lamp's place.
    """
    shade = np.array(BACKGROUNDS[background]) + rng.normal(0, 2.5)
    lamp = rng.uniform((0.2, 0.05), (0.5, 0.35))
    place = (np.arange(size) + 0.5) / size
    squared = (place[None, :] - lamp[0]) ** 2 + (place[:, None] - lamp[1]) ** 2
    fall = 1.03 - (0.13 if background != "white" else 0.07) * squared
    return np.asarray(fall[..., None] * shade, np.float32)


def ground_shadow(cover: Plane, *, standing: bool) -> Plane:
    """Return the factor that an object's shadow puts on the paper, (size, size) in [0, 1].

    ``cover`` is the object's mask, (size, size); it is ``standing`` on a floor, or lies.
    """
    size = len(cover)
    if standing:
        columns = np.flatnonzero(cover.max(axis=0) > 0.5)
        rows = np.flatnonzero(cover.max(axis=1) > 0.5)
        width = float(columns[-1] - columns[0])
        floor = np.zeros((size, size), np.float32)
        middle = (float(columns[0]) + width * 0.53, float(rows[-1]) - size * 0.012)
        cv2.ellipse(floor, (middle, (width * 0.96, size * 0.07), 0), 1.0, cv2.FILLED)
        dark = 0.5 * blurred(floor, size / 38) + 0.25 * blurred(floor, size / 90)
        return np.asarray(1 - dark, np.float32)
    near = moved(blurred(cover, size / 120), size / 220, size / 130)
    far = moved(blurred(cover, size / 28), size / 60, size / 32)
    return np.asarray(1 - 0.30 * near - 0.28 * far, np.float32)


def blurred(plane: Plane, sigma: float) -> Plane:
    """Blur by ``sigma`` pixels; a wide blur is done at a quarter of the size, which costs little.

    Outside the plane there is nothing, so its border is 0, not a mirror image.
    """
    if sigma < _COARSE:
        small = cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
        return small.astype(np.float32, copy=False)
    height, width = plane.shape
    shape = (max(1, width // _COARSE), max(1, height // _COARSE))
    coarse = cv2.resize(plane, shape, interpolation=cv2.INTER_AREA)
    coarse = cv2.GaussianBlur(coarse, (0, 0), sigma / _COARSE, borderType=cv2.BORDER_CONSTANT)
    wide = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return wide.astype(np.float32, copy=False)


def moved(plane: Plane, right: float, down: float) -> Plane:
    """Shift a plane by pixels; what comes in at its border is 0."""
    shift = np.array([[1.0, 0.0, right], [0.0, 1.0, down]])
    return cv2.warpAffine(plane, shift, plane.shape[::-1]).astype(np.float32, copy=False)
