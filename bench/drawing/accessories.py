"""What one carries: a cap, a tote, a handbag."""

from __future__ import annotations

import numpy as np

from boost_edge.bench.drawing.fabrics import BRASS, STEEL, Fabric, plain_fabric, shifted
from boost_edge.bench.drawing.outlines import arc, band, flipped, opening, path, symmetric
from boost_edge.bench.drawing.studio import Outline, Studio

__all__ = ["draw_bag", "draw_cap"]


def draw_cap(studio: Studio, fabric: Fabric, sleeve: str) -> None:
    """Draw a peaked cap from the side front; ``sleeve`` is not used."""
    del sleeve
    height, peak = studio.vary(0.60, 0.7), studio.vary(0.36, 0.46)
    flip = np.array([1.0 if studio.chance(0.5) else -1.0, 1.0])
    studio.aim(0.2 * float(flip[0]))
    seam = shifted(fabric.colour, -0.38)
    under = path((0.22, 0.28), ((0.5, 0.24), (0.5 + peak, 0.37)), ((0.6, 0.44), (0.15, 0.36)))
    studio.lay(under * flip, fabric, brightness=0.55, cast=0.0)
    crown = path(
        (-0.62, 0.3),
        ((-0.68, 0.05), (-0.56, 0.3 - height), (-0.06, 0.28 - height)),
        ((0.38, 0.3 - height), (0.56, 0.02), (0.56, 0.26)),
        ((0.2, 0.36), (-0.2, 0.4), (-0.62, 0.3)),
    )
    studio.lay(crown * flip, fabric, relief=1.8)
    top = (-0.05, 0.28 - height)
    for line in (
        path(top, ((0.16, 0.0), (0.2, 0.34))),
        path(top, ((-0.34, 0.0), (-0.34, 0.345))),
        path(top, ((0.46, -0.2), (0.5, 0.28))),
    ):
        studio.line(line * flip, seam, width=0.012, opacity=0.75)
        studio.line(
            (line + np.array([0.022, 0.0])) * flip, seam, width=0.006, dash=0.02, opacity=0.5
        )
    brim_fabric = fabric if studio.chance(0.6) else plain_fabric(shifted(fabric.colour, -0.35))
    brim = path(
        (0.0, 0.33),
        ((0.3, 0.2), (0.56, 0.2)),
        ((0.75 + peak * 0.4, 0.2), (0.6 + peak, 0.42)),
        ((0.5 + peak * 0.5, 0.36), (0.34, 0.46), (0.0, 0.335)),
    )
    studio.lay(brim * flip, brim_fabric, turn=8, cast=0.3, relief=1.5)
    for inset in (0.03, 0.06, 0.09):
        curve = path(
            (0.16, 0.36 - inset * 0.4),
            ((0.5, 0.42 - inset), (0.58 + peak - inset, 0.39 - inset * 0.4)),
        )
        studio.line(curve * flip, seam, width=0.006, dash=0.022, opacity=0.5)
    studio.dot(float(top[0] * flip[0]), top[1], 0.042, shifted(brim_fabric.colour, -0.1))
    for x, y in ((-0.2, -0.08), (0.32, -0.06)):
        studio.dot(float(x * flip[0]), y, 0.018, shifted(fabric.colour, -0.6))
    for x in (-0.4, 0.0, 0.3):
        tilt = studio.vary(60, 120)
        studio.crease(float(x * flip[0]), 0.1, tilt, length=0.2, width=0.06, depth=0.06)


def draw_bag(studio: Studio, fabric: Fabric, sleeve: str) -> None:
    """Draw a tote, or a handbag with a flap; ``sleeve`` is not used."""
    del sleeve
    if studio.chance(0.5):
        _tote(studio, fabric)
    else:
        _handbag(studio, fabric)


def _tote(studio: Studio, fabric: Fabric) -> None:
    top, bottom = -0.22, studio.vary(0.72, 0.86)
    width, base = studio.vary(0.56, 0.66), studio.vary(0.5, 0.62)
    strap = fabric if studio.chance(0.4) else plain_fabric(shifted(fabric.colour, -0.4))
    reach = studio.vary(0.46, 0.62)
    studio.lay(
        band(_handle(0.27, top + 0.02, reach - 0.05), 0.07), strap, brightness=0.7, relief=0.8
    )
    studio.lay(opening(width - 0.05, top), fabric, cast=0.0, brightness=0.5)
    body = symmetric(
        path(
            (0.0, top + 0.03),
            ((width * 0.6, top + 0.025), (width, top)),
            ((width - 0.01, 0.3), (base, bottom - 0.06)),
            ((base - 0.005, bottom), (base - 0.07, bottom)),
            ((0.0, bottom + 0.012),),
        )
    )
    studio.lay(body, fabric, relief=1.3)
    front = _handle(0.27, top + 0.2, reach + 0.16)
    studio.lay(band(front, 0.075), strap, cast=0.35)
    seam = shifted(fabric.colour, -0.38)
    edge = arc((-width + 0.005, top + 0.085), (width - 0.005, top + 0.085), 0.012)
    studio.line(edge, seam, width=0.008, dash=0.024, opacity=0.7)
    for side in (-1.0, 1.0):
        for y in (top + 0.12, top + 0.19):
            studio.dot(side * 0.27, y, 0.014, BRASS)
    for _ in range(5):
        studio.crease(
            studio.vary(-0.4, 0.4), studio.vary(0.1, 0.7), studio.vary(60, 120),
            length=studio.vary(0.2, 0.4), width=0.07, depth=studio.vary(-0.08, 0.08),
        )  # fmt: skip


def _handbag(studio: Studio, fabric: Fabric) -> None:
    top, bottom = -0.12, studio.vary(0.56, 0.68)
    width, base = studio.vary(0.58, 0.66), studio.vary(0.66, 0.76)
    metal = BRASS if studio.chance(0.6) else STEEL
    trim = plain_fabric(shifted(fabric.colour, -0.32))
    studio.lay(band(_handle(0.3, top + 0.02, studio.vary(0.44, 0.6)), 0.065), trim, relief=1.3)
    body = symmetric(
        path(
            (0.0, top),
            ((width - 0.06, top),),
            ((width, top), (width + 0.01, top + 0.08)),
            ((base, bottom - 0.1),),
            ((base + 0.005, bottom), (base - 0.1, bottom)),
            ((0.0, bottom + 0.012),),
        )
    )
    studio.lay(body, fabric, relief=1.7)
    low = studio.vary(0.26, 0.36)
    flap = symmetric(
        path(
            (0.0, top - 0.015),
            ((width - 0.05, top - 0.015),),
            ((width + 0.012, top - 0.01), (width + 0.012, top + 0.07)),
            ((width - 0.0, low - 0.12),),
            ((width - 0.08, low), (0.14, low + 0.02)),
            ((0.0, low + 0.02),),
        )
    )
    studio.lay(flap, fabric, cast=0.45, relief=1.3)
    seam = shifted(fabric.colour, -0.4)
    studio.line(flap * (0.94, 0.9), seam, width=0.007, dash=0.024, opacity=0.55)
    clasp = np.array(
        [[-0.07, low - 0.07], [0.07, low - 0.07], [0.07, low + 0.06], [-0.07, low + 0.06]]
    )
    studio.lay(clasp, plain_fabric(metal), cast=0.45, relief=1.6)
    studio.line(np.array([[-0.035, low - 0.005], [0.035, low - 0.005]]), (120, 100, 70), width=0.02)
    for side in (-1.0, 1.0):
        studio.dot(side * 0.3, top + 0.03, 0.034, metal)
    studio.crease(0.0, bottom - 0.1, 0.0, length=0.8, width=0.08, depth=-0.1)


def _handle(half: float, foot: float, reach: float) -> Outline:
    """Return the line of a strap that rises from both feet and closes in an arch."""
    right = path(
        (half, foot),
        ((half, foot - reach * 0.55),),
        ((half - 0.02, foot - reach), (0.0, foot - reach)),
    )
    return np.concatenate([flipped(right), right[-2::-1]])
