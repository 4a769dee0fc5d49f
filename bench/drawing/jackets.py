"""Jackets: the blazer, the bomber, and the gilet, which is a quilted bomber without sleeves."""

from __future__ import annotations

import numpy as np

from boost_edge.bench.drawing.fabrics import BRASS, STEEL, Fabric, Rgb, plain_fabric, shifted
from boost_edge.bench.drawing.outlines import arc, band, flipped, path, symmetric
from boost_edge.bench.drawing.studio import Studio
from boost_edge.bench.drawing.tailoring import (
    Cut,
    front,
    lay_back,
    lay_sleeves,
    measure,
    neckline,
    side_seam,
    wrinkle,
)

__all__ = ["draw_jacket"]


def draw_jacket(studio: Studio, fabric: Fabric, sleeve: str) -> None:
    """Draw a jacket: a blazer, or a zipped bomber, which without sleeves is a gilet."""
    if sleeve == "long" and studio.chance(0.5):
        _blazer(studio, fabric)
    else:
        _bomber(studio, fabric, sleeve)


def _blazer(studio: Studio, fabric: Fabric) -> None:
    cut = measure(studio, bare=False, neck=0.17, hem=0.84)
    lining = plain_fabric(shifted(fabric.ink, -0.25))
    lay_back(studio, cut, lining, 0.8)
    lay_sleeves(studio, cut, fabric, "long", cuff=None)
    deep = cut.shoulder[1] + 0.72
    top = cut.shoulder[1] - 0.06
    panel = path(
        (0.0, deep),
        ((cut.neck, top),),
        (cut.shoulder,),
        *side_seam(cut, bare=False),
        ((cut.waist - 0.02, 0.2), cut.hem),
        ((0.3, cut.hem[1] + 0.03), (0.16, cut.hem[1] + 0.02)),
        ((0.0, cut.hem[1]), (-0.03, cut.hem[1] - 0.2)),
        ((-0.04, deep + 0.1),),
    )
    seam = shifted(fabric.colour, -0.4)
    studio.lay(flipped(panel), fabric, cast=0.3)
    studio.lay(panel, fabric, cast=0.35)
    lapel = path(
        (0.0, deep + 0.02),
        ((cut.neck - 0.03, top + 0.02),),
        ((cut.neck + 0.07, top + 0.02),),
        ((cut.neck + 0.06, top + 0.24),),
        ((cut.neck + 0.13, top + 0.22),),
        ((cut.neck + 0.09, deep - 0.3), (0.0, deep + 0.02)),
    )
    for side, turn in ((flipped(lapel), 18.0), (lapel, -18.0)):
        studio.lay(side, fabric, turn=turn, cast=0.4, relief=0.8)
        studio.line(side[1:4], seam, width=0.01, opacity=0.5)
    for y in (deep + 0.08, deep + 0.28):
        studio.dot(-0.005, y, 0.026, shifted(fabric.colour, -0.55))
    for sign in (-1.0, 1.0):
        flap = np.array([[0.16, 0.30], [0.36, 0.29], [0.36, 0.36], [0.165, 0.37]])
        studio.lay(flap * np.array([sign, 1.0]), fabric, cast=0.35, relief=0.5)
    if studio.chance(0.5):
        cloth = np.array([[0.2, -0.26], [0.3, -0.30], [0.32, -0.25], [0.21, -0.21]])
        studio.lay(cloth, plain_fabric((244, 242, 238)), cast=0.2, relief=0.4)
    wrinkle(studio, cut)


def _bomber(studio: Studio, fabric: Fabric, sleeve: str) -> None:
    cut = measure(studio, bare=False, neck=0.19, hem=0.70)
    rib = plain_fabric(shifted(fabric.colour, -0.38))
    lay_back(studio, cut, plain_fabric(shifted(fabric.colour, -0.5)))
    lay_sleeves(studio, cut, fabric, sleeve, cuff=0.1, rib=rib)
    body = front(cut, pointed=False, bare=False)
    studio.lay(body, fabric, cast=0.3, relief=1.3)
    top = cut.shoulder[1] - 0.06
    bottom = cut.hem[1]
    waistband = symmetric(
        path(
            (0.0, bottom - 0.04),
            ((cut.hem[0] - 0.005, bottom - 0.05),),
            ((cut.hem[0] - 0.035, bottom + 0.09),),
            ((0.0, bottom + 0.11),),
        )
    )
    studio.lay(waistband, rib, cast=0.2)
    _ribbing(studio, cut.hem[0] - 0.04, bottom - 0.03, bottom + 0.09, rib.colour)
    collar = band(neckline(cut, pointed=False), 0.11)
    studio.lay(collar, rib, cast=0.35)
    seam = shifted(fabric.colour, -0.45)
    throat = top + cut.depth + 0.03
    zip_colour = STEEL if studio.chance(0.6) else BRASS
    studio.line(np.array([[0.0, throat], [0.0, bottom + 0.1]]), seam, width=0.05, opacity=0.55)
    studio.line(np.array([[0.0, throat], [0.0, bottom + 0.1]]), zip_colour, width=0.018, dash=0.012)
    studio.dot(0.0, throat + 0.03, 0.024, zip_colour)
    if sleeve == "sleeveless" or studio.chance(0.4):
        for y in np.arange(cut.chest[1] - 0.1, bottom - 0.06, 0.17):
            _quilt(studio, cut, float(y), seam)
    else:
        for side in (-1.0, 1.0):
            slit = np.array([[0.22, 0.24], [0.33, 0.44]]) * np.array([side, 1.0])
            studio.line(slit, seam, width=0.026, opacity=0.8)
            studio.line(slit + 0.012, shifted(fabric.colour, 0.25), width=0.008, opacity=0.6)
    wrinkle(studio, cut)


def _ribbing(studio: Studio, reach: float, top: float, bottom: float, colour: Rgb) -> None:
    """Score a knitted band with fine upright lines."""
    for x in np.arange(-reach, reach + 0.01, 0.045):
        line = np.array([[x, top], [x, bottom]])
        studio.line(line, shifted(colour, -0.35), width=0.008, opacity=0.5)


def _quilt(studio: Studio, cut: Cut, y: float, seam: Rgb) -> None:
    """Sew one line of quilting, with the puff of down on both sides."""
    width = cut.waist - 0.01
    studio.line(arc((-width, y), (-0.03, y), 0.012), seam, width=0.01, opacity=0.8)
    studio.line(arc((0.03, y), (width, y), 0.012), seam, width=0.01, opacity=0.8)
    studio.crease(0.0, y, 0.0, length=0.7, width=0.05, depth=0.12)
