"""T-shirt, shirt, and the dress, which hangs from a top."""

from __future__ import annotations

import numpy as np

from boost_edge.bench.drawing.fabrics import Fabric, Rgb, plain_fabric, shifted
from boost_edge.bench.drawing.outlines import arc, band, flipped, path, symmetric
from boost_edge.bench.drawing.studio import Studio
from boost_edge.bench.drawing.tailoring import (
    Cut,
    armhole,
    front,
    lay_back,
    lay_sleeves,
    measure,
    neck_to_shoulder,
    neckline,
    side_seam,
    wrinkle,
)

__all__ = ["draw_dress", "draw_shirt", "draw_tshirt"]


def draw_tshirt(studio: Studio, fabric: Fabric, sleeve: str) -> None:
    """Draw a T-shirt with a ribbed round or V neck; ``sleeve`` is short, long or sleeveless."""
    cut = measure(studio, bare=sleeve == "sleeveless", neck=studio.vary(0.19, 0.24), hem=0.80)
    rib = plain_fabric(shifted(fabric.colour, -0.10 if studio.chance(0.7) else -0.4))
    pointed = studio.chance(0.3)
    lay_back(studio, cut, fabric)
    lay_sleeves(studio, cut, fabric, sleeve, cuff=None)
    body = front(cut, pointed=pointed, bare=sleeve == "sleeveless")
    studio.lay(body, fabric, cast=0.3)
    throat_line = neckline(cut, pointed=pointed)
    studio.lay(band(throat_line, 0.055), rib, cast=0.25, relief=0.4)
    seam = shifted(fabric.colour, -0.35)
    _hem_stitch(studio, cut, seam, 0.045)
    if sleeve == "sleeveless":
        hole = armhole(cut)
        for side in (hole, flipped(hole)):
            studio.lay(band(side, 0.032), rib, cast=0.1, relief=0.3)
    wrinkle(studio, cut)


def draw_shirt(studio: Studio, fabric: Fabric, sleeve: str) -> None:
    """Draw a button-up shirt with a collar; ``sleeve`` is short or long."""
    cut = measure(studio, bare=False, neck=0.19, hem=0.84)
    lay_back(studio, cut, fabric)
    cuff = 0.12 if sleeve == "long" else 0.05
    lay_sleeves(studio, cut, fabric, sleeve, cuff=cuff)
    studio.lay(front(cut, pointed=True, bare=False, tail=0.07), fabric, cast=0.3)
    seam = shifted(fabric.colour, -0.35)
    throat = cut.shoulder[1] - 0.06 + cut.depth
    bottom = cut.hem[1] + 0.03
    placket = np.array([[-0.04, throat], [0.04, throat - 0.02], [0.04, bottom], [-0.04, bottom]])
    studio.lay(placket, fabric, cast=0.18, relief=0.35)
    for x in (-0.03, 0.03):
        studio.line(np.array([[x, throat], [x, bottom]]), seam, width=0.006, dash=0.02, opacity=0.7)
    button: Rgb = (238, 234, 224) if studio.chance(0.7) else shifted(fabric.colour, -0.6)
    for y in np.linspace(throat + 0.07, bottom - 0.14, 6):
        studio.dot(0.0, float(y), 0.017, button)
    if studio.chance(0.7):
        _pocket(studio, fabric, 0.24, cut.chest[1] - 0.12, 0.105, seam)
    _collar(studio, cut, fabric, seam)
    wrinkle(studio, cut)


def draw_dress(studio: Studio, fabric: Fabric, sleeve: str) -> None:
    """Draw a dress with a fitted top and a wide skirt; any ``sleeve``."""
    bare = sleeve == "sleeveless"
    cut = Cut(
        shoulder=(studio.vary(0.21, 0.25) if bare else 0.33, -0.93),
        neck=studio.vary(0.14, 0.18) if bare else 0.18,
        depth=studio.vary(0.14, 0.24),
        chest=(0.31, -0.56),
        waist=studio.vary(0.21, 0.24),
        hem=(0.25, -0.22),
    )
    flare, length = studio.vary(0.48, 0.68), studio.vary(0.72, 0.96)
    pointed = studio.chance(0.4)
    lay_back(studio, cut, fabric)
    lay_sleeves(studio, cut, fabric, sleeve, cuff=0.04)
    waist = cut.waist + 0.012
    skirt = symmetric(
        path(
            (0.0, -0.22),
            ((waist, -0.24),),
            ((waist + 0.10, 0.1), (flare - 0.02, 0.35), (flare, length - 0.04)),
            ((flare * 0.6, length + 0.05), (0.0, length + 0.03)),
        )
    )
    studio.lay(skirt, fabric, cast=0.2)
    body = symmetric(
        path(
            *neck_to_shoulder(cut, pointed=pointed),
            *side_seam(cut, bare=bare),
            ((cut.waist, -0.3), (cut.waist, -0.22)),
            ((0.1, -0.2), (0.0, -0.2)),
        )
    )
    studio.lay(body, fabric, cast=0.15)
    studio.drape(-0.24, length, count=studio.vary(3.6, 5.2), fan=1.9, depth=0.15)
    seam = shifted(fabric.colour, -0.35)
    studio.line(neckline(cut, pointed=pointed)[2:-2], seam, width=0.014, opacity=0.6)
    waistline = arc((-cut.waist - 0.005, -0.225), (cut.waist + 0.005, -0.225), 0.02)
    if studio.chance(0.6):
        belt = plain_fabric(shifted(fabric.colour, -0.45) if studio.chance(0.6) else fabric.ink)
        studio.lay(band(waistline, 0.06), belt, cast=0.25, relief=0.6)
    else:
        studio.line(waistline, seam, width=0.012, opacity=0.6)
    hem = arc((-flare + 0.01, length - 0.09), (flare - 0.01, length - 0.09), 0.03)
    studio.line(hem, seam, width=0.007, dash=0.022, opacity=0.5)
    studio.crease(0.0, -0.5, studio.vary(-30, 30), length=0.2, width=0.05, depth=0.05)


def _collar(studio: Studio, cut: Cut, fabric: Fabric, seam: Rgb) -> None:
    """Fold a shirt's collar: a stand behind the neck, and a pointed flap on each side."""
    top = cut.shoulder[1] - 0.10
    throat = top + cut.depth * 1.4 + 0.03
    stand = band(arc((-cut.neck, top - 0.005), (cut.neck, top - 0.005), -0.02), 0.07)
    studio.lay(stand, fabric, cast=0.3, brightness=0.85)
    point = (0.155 + 0.3 * (cut.neck - 0.19), throat + 0.13)
    flap = path(
        (0.004, throat),
        ((cut.neck * 0.6, throat - 0.07), (cut.neck - 0.02, top - 0.03)),
        ((cut.neck + 0.03, top - 0.045), (cut.neck + 0.055, top + 0.01)),
        ((cut.neck + 0.05, throat - 0.02), point),
    )
    for side, turn in ((flipped(flap), 35.0), (flap, -35.0)):
        studio.lay(side, fabric, turn=turn, cast=0.55, relief=0.8)
        edge = np.concatenate([side[-11:], side[:1]])
        studio.line(edge, shifted(seam, -0.2), width=0.008, opacity=0.5)


def _pocket(studio: Studio, fabric: Fabric, x: float, y: float, half: float, seam: Rgb) -> None:
    piece = np.array(
        [[x - half, y], [x + half, y], [x + half, y + 0.2], [x, y + 0.25], [x - half, y + 0.2]]
    )
    studio.lay(piece, fabric, cast=0.25, relief=0.4)
    studio.line(piece[[0, 1]] + (0, 0.03), seam, width=0.006, dash=0.02, opacity=0.6)
    studio.line(piece[[1, 2, 3, 4, 0]], seam, width=0.006, opacity=0.5)


def _hem_stitch(studio: Studio, cut: Cut, seam: Rgb, above: float) -> None:
    x, y = cut.hem[0] - 0.005, cut.hem[1] - above
    studio.line(arc((-x, y), (x, y), 0.012), seam, width=0.007, dash=0.022, opacity=0.7)
