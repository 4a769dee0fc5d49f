"""The cloth of the procedural catalogue: named colours, and patterns woven into small tiles."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BRASS",
    "COLOURS",
    "PATTERNS",
    "STEEL",
    "TILE_SPAN",
    "Fabric",
    "plain_fabric",
    "shifted",
    "weave",
]

Rgb: TypeAlias = tuple[float, float, float]

# sRGB, chosen so that two neighbours stay apart after shading and the jitter of `weave`.
COLOURS: Mapping[str, Rgb] = MappingProxyType(
    {
        "black": (45, 45, 50),
        "blue": (54, 104, 168),
        "brown": (122, 80, 52),
        "green": (84, 138, 92),
        "pink": (232, 152, 172),
        "purple": (116, 84, 156),
        "red": (190, 50, 52),
        "white": (242, 240, 235),
        "yellow": (233, 190, 70),
    }
)

BRASS: Rgb = (205, 170, 95)
STEEL: Rgb = (190, 192, 198)

_CREAM: Rgb = (246, 241, 230)
_NAVY: Rgb = (40, 52, 92)
_INKS: tuple[Rgb, ...] = (_NAVY, (60, 60, 66), (150, 60, 58), (70, 110, 110))

_TILE = 192
TILE_SPAN = 1.0
"""Width of one pattern tile in the local units of a garment, which is about 2 units high."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fabric:
    """A piece of cloth.

    ``tile`` is (T, T, 3) uint8 RGB and repeats every ``TILE_SPAN`` local units; ``colour`` is the
    colour of its ground, ``ink`` of what is printed on it, both RGB in 0 to 255.
    """

    tile: NDArray[np.uint8]
    colour: Rgb
    ink: Rgb


def shifted(colour: Rgb, lightness: float) -> Rgb:
    """Return a colour made lighter (``lightness`` above 0, towards white) or darker (below 0).

    ``lightness`` is in [-1, 1].
    """
    goal = 255.0 if lightness > 0 else 0.0
    red, green, blue = (value + (goal - value) * abs(lightness) for value in colour)
    return red, green, blue


def plain_fabric(colour: Rgb) -> Fabric:
    """Return cloth of one colour."""
    tile = np.empty((4, 4, 3), np.uint8)
    tile[:] = np.rint(np.array(colour))
    return Fabric(tile=tile, colour=colour, ink=colour)


def weave(colour: str, pattern: str, rng: np.random.Generator, *, upright: float = 0.0) -> Fabric:
    """Return cloth of a named colour and pattern, each with its natural variation.

    Parameters
    ----------
    colour
        A key of ``COLOURS``.
    pattern
        A key of ``PATTERNS``.
    rng
        Decides the shade, the second colour and the pattern's scale.
    upright
        How often the pattern is turned a quarter, so that stripes run up and down, in [0, 1].
    """
    ground = _jittered(COLOURS[colour], rng)
    if _luminance(ground) > 150:
        inks = (*_INKS, shifted(ground, -0.45)) if colour != "white" else _INKS
        ink = inks[int(rng.integers(len(inks)))]
    else:
        ink = _CREAM if rng.random() < 0.75 else shifted(ground, 0.55)
    amount = PATTERNS[pattern](rng)
    if amount is None:
        return plain_fabric(ground)
    if rng.random() < upright:
        amount = np.ascontiguousarray(amount.T)
    base, print_ = np.array(ground, np.float32), np.array(ink, np.float32)
    tile = np.rint(base + amount[..., None] * (print_ - base)).clip(0, 255).astype(np.uint8)
    return Fabric(tile=tile, colour=ground, ink=ink)


def _luminance(colour: Rgb) -> float:
    return 0.30 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2]


def _jittered(colour: Rgb, rng: np.random.Generator) -> Rgb:
    """Vary a colour as dye lots and exposures do: a little in hue, more in lightness."""
    lab = cv2.cvtColor(np.array([[colour]], np.float32) / 255, cv2.COLOR_RGB2Lab)
    # A neutral must stay one: its hue varies little.
    hue = min(2.4, 0.5 + 0.1 * float(np.hypot(lab[0, 0, 1], lab[0, 0, 2])))
    lab += np.clip(rng.normal(0, (3.0, hue, hue)), -6, 6).astype(np.float32)
    rgb = cv2.cvtColor(lab, cv2.COLOR_Lab2RGB)[0, 0].clip(0, 1) * 255
    return float(rgb[0]), float(rgb[1]), float(rgb[2])


Amount: TypeAlias = NDArray[np.float32]


def _bands(count: int, duty: float, phase: float = 0.0) -> Amount:
    """Return (T,) soft-edged bands: 1 inside a band, ``duty`` of the period wide, else 0."""
    place = (np.arange(_TILE) / _TILE * count + phase) % 1.0
    distance = duty / 2 - np.abs(place - 0.5)
    return np.clip(distance * _TILE / count / 1.5 + 0.5, 0, 1).astype(np.float32)


def _no_print(_: np.random.Generator) -> Amount | None:
    return None


def _stripes(rng: np.random.Generator) -> Amount | None:
    """Rows of even stripes, or of a broad one beside a narrow one."""
    count = int(rng.integers(4, 10))
    rows = _bands(count, float(rng.uniform(0.3, 0.42)))
    if rng.random() < 0.3:
        rows = np.maximum(_bands(count, 0.3, 0.0), _bands(count, 0.09, 0.36))
    return np.repeat(rows[:, None], _TILE, axis=1)


def _checks(rng: np.random.Generator) -> Amount | None:
    """Gingham, or a tartan of dark bands crossed by a thin line."""
    count = int(rng.integers(4, 7))
    if rng.random() < 0.6:
        band = _bands(count, 0.42)
        return np.asarray((band[:, None] + band[None, :]) / 2, np.float32)
    band = 0.42 * _bands(count - 1, 0.36)
    line = 0.9 * _bands(count - 1, 0.07, 0.5)
    cloth = np.maximum(band[:, None] + band[None, :], np.maximum(line[:, None], line[None, :]))
    return np.asarray(cloth, np.float32)


def _dots(rng: np.random.Generator) -> Amount | None:
    """Dots in offset rows, as on foulard."""
    count = int(rng.integers(4, 7))
    step = _TILE / count
    radius = step * float(rng.uniform(0.16, 0.23))
    canvas = np.zeros((_TILE, _TILE), np.uint8)
    for row in range(count * 2 + 1):
        for column in range(-1, count + 1):
            centre = ((column + 0.5 * (row % 2)) * step, row * step / 2)
            _disc(canvas, centre, radius, 255)
    return np.asarray(canvas / 255, np.float32)


def _flowers(rng: np.random.Generator) -> Amount | None:
    """Five-petalled flowers and small leaves strewn over a jittered grid."""
    canvas = np.zeros((3 * _TILE, 3 * _TILE), np.uint8)
    count = int(rng.integers(3, 6))
    step = _TILE / count
    for row in range(count):
        for column in range(count):
            offset = rng.uniform(-0.16, 0.16, 2) + 0.5
            x = (column + 0.5 * (row % 2) + float(offset[0])) * step
            y = (row + float(offset[1])) * step
            turn, size = float(rng.uniform(0, 2 * math.pi)), step * float(rng.uniform(0.17, 0.23))
            # Drawn nine times, so that the tile closes on itself where a flower crosses its edge.
            for shift_x in (0, _TILE, 2 * _TILE):
                for shift_y in (0, _TILE, 2 * _TILE):
                    _flower(canvas, (x + shift_x, y + shift_y), size, turn)
    middle = canvas[_TILE : 2 * _TILE, _TILE : 2 * _TILE]
    return np.asarray(middle / 255, np.float32)


def _flower(
    canvas: NDArray[np.uint8], centre: tuple[float, float], size: float, turn: float
) -> None:
    for petal in range(5):
        angle = turn + petal * 2 * math.pi / 5
        place = (centre[0] + size * math.cos(angle), centre[1] + size * math.sin(angle))
        _disc(canvas, place, size * 0.62, 235)
    _disc(canvas, centre, size * 0.42, 40)
    for leaf in (2.0, 2.5):
        angle = turn + leaf
        place = (centre[0] + 2.1 * size * math.cos(angle), centre[1] + 2.1 * size * math.sin(angle))
        _disc(canvas, place, size * 0.3, 150)


def _disc(
    canvas: NDArray[np.uint8], centre: tuple[float, float], radius: float, value: int
) -> None:
    """Fill a disc at a fractional place; OpenCV takes sixteenths of a pixel with ``shift=4``."""
    place = (round(centre[0] * 16), round(centre[1] * 16))
    cv2.circle(canvas, place, round(radius * 16), value, cv2.FILLED, cv2.LINE_AA, 4)


PATTERNS: Mapping[str, Callable[[np.random.Generator], Amount | None]] = MappingProxyType(
    {
        "checked": _checks,
        "dotted": _dots,
        "floral": _flowers,
        "plain": _no_print,
        "striped": _stripes,
    }
)
"""How to print each pattern: the share of ink at each point of a (T, T) float32 tile, or None."""
