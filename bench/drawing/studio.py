"""A small photo studio: lays shaped pieces of cloth on a table, lights them, takes the picture.

Garments are drawn in local units: x to the right, y down, the middle of the picture at (0, 0),
its edges at -1.2 and 1.2. A piece is an outline filled with cloth; it has a bevel lit from the
upper left, and casts a small shadow on what lies below it.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from boost_edge.bench.drawing.fabrics import TILE_SPAN, Fabric, Rgb
from boost_edge.bench.drawing.lighting import Plane, backdrop, bevel, blurred, ground_shadow, moved

__all__ = ["Outline", "Studio"]

Outline: TypeAlias = NDArray[np.float64]
"""(P, 2) float64 points in local units."""
_Corner: TypeAlias = NDArray[np.int64]


_OVERSAMPLING = 2
_COARSE = 4  # soft things (shadows, folds) are computed at a quarter of the oversampled size
_HALF_VIEW = 1.2
_SUBPIXEL = 4  # fractional bits of the points given to OpenCV


class Studio:
    """One picture in the making, and the generator that decides all that varies in it."""

    def __init__(
        self,
        size: int,
        rng: np.random.Generator,
        *,
        tilt: float = 0.0,
        zoom: float = 1.0,
        middle: float = 0.0,
    ) -> None:
        """Set up a table of ``size`` pixels.

        ``tilt`` is the largest turn of the pose in degrees, ``zoom`` how near the camera is, and
        ``middle`` the height, in local units, that it looks at.
        """
        self._rng = rng
        self._size = size
        self._side = side = size * _OVERSAMPLING
        angle = math.radians(float(rng.uniform(-tilt, tilt)))
        scale = side / (2 * _HALF_VIEW) * zoom * float(rng.uniform(0.92, 1.06))
        stretch = float(rng.uniform(0.96, 1.04))
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        self._linear = scale * turn @ np.diag([stretch, 1 / stretch])
        centre = side * (0.5 + rng.uniform(-0.02, 0.02, 2))
        self._offset = centre - self._linear @ np.array([0.0, middle])
        self._scale = scale
        self._colour = np.zeros((side, side, 3), np.float32)
        self._light = np.ones((side, side), np.float32)
        self._cover = np.zeros((side, side), np.float32)
        self._folds = np.zeros((side // _COARSE, side // _COARSE))
        self._fold_x, self._fold_y = self._fold_grid()

    def vary(self, low: float, high: float) -> float:
        """Draw a number between two."""
        return float(self._rng.uniform(low, high))

    def chance(self, share: float) -> bool:
        """Toss a coin that falls on True with the probability ``share``, in [0, 1]."""
        return bool(self._rng.random() < share)

    def aim(self, x: float) -> None:
        """Look at ``x`` local units right of the middle line; to be called before drawing."""
        self._offset = self._offset - self._linear @ np.array([x, 0.0])
        self._fold_x, self._fold_y = self._fold_grid()

    def lay(
        self,
        outline: Outline,
        fabric: Fabric,
        *,
        turn: float = 0.0,
        cast: float = 0.25,
        relief: float = 1.0,
        brightness: float = 1.0,
    ) -> None:
        """Lay a piece of cloth on what is there.

        Parameters
        ----------
        outline
            (P, 2) its edge in local units.
        fabric
            What it is cut from.
        turn
            How far the cloth's pattern is turned, in degrees, clockwise.
        cast
            How dark its shadow on the pieces below is, in [0, 1].
        relief
            How round its edges look; 0 is flat.
        brightness
            Factor on its light, below 1 for what lies inside.
        """
        pixels = self._to_pixels(outline)
        low, high = self._window(pixels, self._side // 16)
        window = np.s_[low[1] : high[1], low[0] : high[0]]
        mask = _filled(pixels - low, (high[1] - low[1], high[0] - low[0]))
        soft = blurred(mask, self._side / 45)
        lit = bevel(soft, self._side // 110, relief) * brightness
        shadow = moved(soft, self._side / 160, self._side / 90)
        under = self._light[window] * (1 - cast * shadow)
        self._light[window] = under + mask * (lit - under)
        cloth = self._cloth(fabric, low, mask.shape, turn)
        self._colour[window] += mask[..., None] * (cloth - self._colour[window])
        cover = self._cover[window]
        self._cover[window] = np.maximum(cover, mask)

    def line(
        self,
        points: Outline,
        colour: Rgb,
        *,
        width: float = 0.012,
        opacity: float = 1.0,
        dash: float = 0.0,
    ) -> None:
        """Draw a seam, a cord or a stitch line of ``width`` local units on the cloth.

        ``dash`` is the length of a stitch; 0 draws an unbroken line.
        """
        pixels = self._to_pixels(points)
        thick = width * self._scale
        pieces = [pixels] if dash == 0 else _stitches(pixels, dash * self._scale)
        low, high = self._window(pixels, math.ceil(thick) + 2)
        mask = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
        fixed = [_fixed(piece - low) for piece in pieces]
        cv2.polylines(mask, fixed, False, 255, max(1, round(thick)), cv2.LINE_AA, _SUBPIXEL)
        # A line thinner than a pixel is drawn a pixel wide, and fainter.
        self._paint(mask, low, colour, opacity * min(1.0, thick))

    def dot(self, x: float, y: float, radius: float, colour: Rgb) -> None:
        """Draw a button, an eyelet or a rivet with a glint; ``radius`` in local units."""
        centre = self._to_pixels(np.array([[x, y]]))
        reach = radius * self._scale
        low, high = self._window(centre, math.ceil(2 * reach) + 2)
        for place, share, tone, opacity in (
            (centre + reach * 0.3, 1.05, (0.0, 0.0, 0.0), 0.30),
            (centre, 1.0, colour, 1.0),
            (centre - reach * 0.3, 0.35, (255.0, 255.0, 255.0), 0.5),
        ):
            mask = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
            column, row = _fixed(place - low)[0]
            size = max(1, round(reach * share * 2**_SUBPIXEL))
            cv2.circle(mask, (int(column), int(row)), size, 255, cv2.FILLED, cv2.LINE_AA, _SUBPIXEL)
            self._paint(mask, low, tone, opacity)

    def crease(
        self, x: float, y: float, angle: float, *, length: float, width: float, depth: float
    ) -> None:
        """Press one soft fold into all that lies there.

        It runs through (``x``, ``y``) at ``angle`` degrees, about ``length`` long and ``width``
        across, both in local units; ``depth`` is the change of light at its flanks.
        """
        cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        right, down = self._fold_x - x, self._fold_y - y
        along = (right * cosine + down * sine) / length
        across = (down * cosine - right * sine) / width
        self._folds += depth * across * np.exp(0.5 - 2 * along**2 - across**2 / 2)

    def drape(self, top: float, bottom: float, *, count: float, fan: float, depth: float) -> None:
        """Hang soft vertical folds from ``top`` to ``bottom``, growing deeper on the way.

        ``count`` is how many fit into one local unit at the top; ``fan`` how much they spread.
        """
        fall = np.clip((self._fold_y - top) / (bottom - top), 0, 1)
        place = self._fold_x / (1 + fan * fall)
        phase, wobble = self._rng.uniform(0, 2 * math.pi, 2)
        wave = np.sin(2 * math.pi * count * place + phase + 1.3 * np.sin(3.1 * place + wobble))
        self._folds += depth * fall**0.7 * wave * (self._fold_y < bottom + 0.3)

    def picture(self, background: str, *, standing: bool = False) -> NDArray[np.uint8]:
        """Take the picture.

        Parameters
        ----------
        background
            A key of ``BACKGROUNDS``.
        standing
            Whether the object stands on a floor, and throws its shadow there, instead of lying.

        Returns
        -------
        (size, size, 3) uint8 RGB.
        """
        size = (self._size, self._size)
        cloth = cv2.resize(self._lit_cloth(), size, interpolation=cv2.INTER_AREA)
        small = cv2.resize(self._cover, size, interpolation=cv2.INTER_AREA)
        cover = np.asarray(small, np.float32)
        shadow = ground_shadow(cover, standing=standing)
        scene = backdrop(background, self._size, self._rng) * ((1 - cover) * shadow)[..., None]
        grain = self._rng.standard_normal((*size, 1), np.float32)
        return np.asarray(np.rint((cloth + scene + 1.4 * grain).clip(0, 255)), np.uint8)

    def _lit_cloth(self) -> Plane:
        """Return the cloth in its light, times its cover, (side, side, 3) float32."""
        folds = cv2.resize(
            self._folds.astype(np.float32), self._light.shape, interpolation=cv2.INTER_CUBIC
        )
        left, top, width, height = cv2.boundingRect((self._cover > 0).view(np.uint8))
        window = np.s_[top : top + height, left : left + width]
        light = (self._light[window] * (1 + folds[window])).clip(0.25, 1.6)
        cloth = self._colour[window] * light[..., None]
        # Dark cloth shows its folds by a sheen rather than by shadows.
        cloth += (34 * np.maximum(light - 1, 0))[..., None]
        picture = np.zeros_like(self._colour)
        np.multiply(cloth, self._cover[window][..., None], out=picture[window])
        return picture

    def _fold_grid(self) -> tuple[Outline, Outline]:
        """Return the local x and y of every coarse pixel."""
        grid = (np.arange(len(self._folds)) + 0.5) * (self._side / len(self._folds))
        back = np.linalg.inv(self._linear)
        right, down = grid - self._offset[0], grid - self._offset[1]
        x = back[0, 0] * right[None, :] + back[0, 1] * down[:, None]
        y = back[1, 0] * right[None, :] + back[1, 1] * down[:, None]
        return x, y

    def _to_pixels(self, points: Outline) -> Outline:
        moved: Outline = points @ self._linear.T + self._offset
        return moved

    def _window(self, pixels: Outline, margin: int) -> tuple[_Corner, _Corner]:
        """Return the corners of the part of the picture around some points, never empty."""
        low = np.clip(np.floor(pixels.min(axis=0)).astype(np.int64) - margin, 0, self._side - 1)
        high = np.clip(np.ceil(pixels.max(axis=0)).astype(np.int64) + margin, low + 1, self._side)
        return low, high

    def _paint(self, mask: NDArray[np.uint8], low: _Corner, colour: Rgb, opacity: float) -> None:
        """Put a colour on what is there; ``mask`` is (h, w), its corner at ``low``."""
        amount = mask.astype(np.float32) * (opacity / 255)
        window = np.s_[low[1] : low[1] + mask.shape[0], low[0] : low[0] + mask.shape[1]]
        self._colour[window] += amount[..., None] * (
            np.array(colour, np.float32) - self._colour[window]
        )
        self._cover[window] = np.maximum(self._cover[window], amount)

    def _cloth(self, fabric: Fabric, low: _Corner, shape: tuple[int, ...], turn: float) -> Plane:
        """Return the cloth's colour under a window of the picture, (h, w, 3) float32."""
        if fabric.tile.shape[0] < 16:
            return np.broadcast_to(np.array(fabric.colour, np.float32), (*shape, 3))
        angle = math.radians(turn)
        back = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        to_tile = back @ np.linalg.inv(self._linear) * (fabric.tile.shape[0] / TILE_SPAN)
        columns = np.arange(shape[1]) + low[0] - self._offset[0]
        rows = np.arange(shape[0]) + low[1] - self._offset[1]
        map_x = to_tile[0, 0] * columns[None, :] + to_tile[0, 1] * rows[:, None]
        map_y = to_tile[1, 0] * columns[None, :] + to_tile[1, 1] * rows[:, None]
        cloth = cv2.remap(
            fabric.tile,
            map_x.astype(np.float32),
            map_y.astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_WRAP,
        )
        return cloth.astype(np.float32)


def _fixed(pixels: Outline) -> NDArray[np.int32]:
    """Return points as OpenCV wants them: whole numbers of 1/16 pixel."""
    return np.asarray(np.rint(pixels * 2**_SUBPIXEL), np.int32)


def _filled(pixels: Outline, shape: tuple[int, int]) -> Plane:
    """Return an anti-aliased (h, w) mask of a polygon, in [0, 1]."""
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [_fixed(pixels)], 255, cv2.LINE_AA, _SUBPIXEL)
    return np.asarray(mask / 255, np.float32)


def _stitches(pixels: Outline, length: float) -> list[Outline]:
    """Cut a line into dashes of ``length`` pixels with gaps two thirds as long."""
    place = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(pixels, axis=0).T))])
    starts = np.arange(0, place[-1], length * 1.67)
    ends = np.stack([starts, np.minimum(starts + length, place[-1])], axis=1)
    return list(np.stack([np.interp(ends, place, pixels[:, i]) for i in range(2)], axis=-1))
