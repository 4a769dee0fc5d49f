"""Garments for the lower body: trousers, shorts, skirt."""

from __future__ import annotations

import numpy as np

from boost_edge.bench.drawing.fabrics import BRASS, STEEL, Fabric, Rgb, plain_fabric, shifted
from boost_edge.bench.drawing.outlines import arc, band, flipped, opening, path, symmetric
from boost_edge.bench.drawing.studio import Studio

__all__ = ["draw_shorts", "draw_skirt", "draw_trousers"]


def draw_trousers(studio: Studio, fabric: Fabric, sleeve: str) -> None:
    """Draw long trousers, straight or tapered; ``sleeve`` is not used."""
    del sleeve
    _legs(studio, fabric, bottom=0.98, ankle=studio.vary(0.13, 0.19), spread=0.27, top=-0.92)
    for side in (-1.0, 1.0):
        if studio.chance(0.8):
            for y in (0.28, 0.36, 0.8, 0.88):
                studio.crease(
                    side * 0.27, y + studio.vary(-0.03, 0.03),
                    studio.vary(-25, 25), length=0.12, width=0.035, depth=0.08,
                )  # fmt: skip


def draw_shorts(studio: Studio, fabric: Fabric, sleeve: str) -> None:
    """Draw shorts; ``sleeve`` is not used."""
    del sleeve
    wide = studio.vary(0.235, 0.275)
    _legs(studio, fabric, bottom=studio.vary(0.22, 0.46), ankle=wide, spread=0.30, top=-0.58)


def _legs(
    studio: Studio,
    fabric: Fabric,
    *,
    bottom: float,
    ankle: float,
    spread: float,
    top: float,
) -> None:
    """Draw two legs from ``top`` down to ``bottom``.

    ``spread`` is how far a leg's end is from the middle line, ``ankle`` half that end's width.
    """
    waist, hip, fork = studio.vary(0.34, 0.39), studio.vary(0.45, 0.5), top + 0.52
    seam = shifted(fabric.colour, -0.38)
    thread: Rgb = (214, 160, 84) if studio.chance(0.25) else seam
    leg = path(
        (-0.02, top + 0.05),
        ((waist, top + 0.05),),
        ((hip, top + 0.22), (hip + 0.01, fork - 0.02)),
        ((hip + 0.012, fork + (bottom - fork) * 0.3), (spread + ankle, bottom)),
        ((spread, bottom + 0.025), (spread - ankle, bottom + 0.005)),
        ((0.035, fork + (bottom - fork) * 0.25), (0.0, fork)),
        ((-0.02, top + 0.05),),
    )
    studio.lay(opening(waist - 0.01, top), fabric, cast=0.0, brightness=0.62)
    studio.lay(flipped(leg), fabric, turn=-2, cast=0.25)
    studio.lay(leg, fabric, turn=2, cast=0.25)
    waistband = symmetric(
        path(
            (0.0, top + 0.015),
            ((waist * 0.6, top + 0.01), (waist, top - 0.03)),
            ((waist + 0.012, top + 0.075),),
            ((waist * 0.6, top + 0.115), (0.0, top + 0.12)),
        )
    )
    studio.lay(waistband, fabric, cast=0.22, relief=0.7)
    _fly(studio, fabric, top, fork, thread)
    for side in (-1.0, 1.0):
        pocket = path(
            (waist - 0.12, top + 0.115), ((waist - 0.05, top + 0.24), (hip - 0.02, top + 0.27))
        )
        inner = pocket + np.array([-0.02, 0.012])
        studio.line(pocket * (side, 1.0), seam, width=0.014, opacity=0.7)
        studio.line(inner * (side, 1.0), thread, width=0.006, dash=0.02, opacity=0.7)
        low = bottom - 0.05
        edge = arc((spread - ankle + 0.005, low), (spread + ankle - 0.02, low), 0.012)
        studio.line(edge * (side, 1.0), thread, width=0.007, dash=0.02, opacity=0.7)
        _leg_folds(studio, side, spread, fork, bottom)


def _leg_folds(studio: Studio, side: float, spread: float, fork: float, bottom: float) -> None:
    """Press a leg's long crease, and pull three folds from the fork."""
    x, y = side * (spread - 0.01), (fork + bottom) / 2
    studio.crease(x, y, 90 + side * 2, length=0.5, width=0.06, depth=side * 0.07)
    for _ in range(3):
        x, y = side * studio.vary(0.08, 0.2), fork + studio.vary(-0.1, 0.08)
        tilt, depth = side * studio.vary(-40, -10), studio.vary(0.05, 0.1)
        studio.crease(x, y, tilt, length=0.16, width=0.03, depth=depth)


def _fly(studio: Studio, fabric: Fabric, top: float, fork: float, thread: Rgb) -> None:
    """Draw the fly with its button and belt loops, or a drawstring."""
    seam = shifted(fabric.colour, -0.4)
    studio.line(np.array([[0.0, top + 0.12], [0.0, fork]]), seam, width=0.01, opacity=0.7)
    if studio.chance(0.7):
        curve = path(
            (0.075, top + 0.12), ((0.075, fork - 0.16),), ((0.06, fork - 0.1), (0.0, fork - 0.08))
        )
        studio.line(curve, thread, width=0.006, dash=0.02, opacity=0.8)
        studio.dot(
            0.0, top + 0.068, 0.024, BRASS if thread != seam else shifted(fabric.colour, -0.55)
        )
        for x in (-0.22, 0.22):
            loop = np.array(
                [
                    [x - 0.016, top],
                    [x + 0.016, top],
                    [x + 0.016, top + 0.12],
                    [x - 0.016, top + 0.12],
                ]
            )
            studio.lay(loop, fabric, cast=0.3, relief=0.5)
    else:
        cord = plain_fabric((240, 236, 226))
        for x, sway in ((-0.02, -0.07), (0.02, 0.06)):
            studio.lay(
                band(
                    path((x, top + 0.07), ((x + sway, top + 0.16), (x + sway * 0.6, top + 0.3))),
                    0.022,
                ),
                cord,
            )
        studio.dot(-0.03, top + 0.068, 0.014, STEEL)
        studio.dot(0.03, top + 0.068, 0.014, STEEL)


def draw_skirt(studio: Studio, fabric: Fabric, sleeve: str) -> None:
    """Draw a pleated or a softly falling skirt; ``sleeve`` is not used."""
    del sleeve
    waist, flare = studio.vary(0.28, 0.34), studio.vary(0.56, 0.8)
    top, bottom = -0.66, studio.vary(0.32, 0.74)
    hem = bottom + 0.06
    studio.lay(opening(waist - 0.01, top), fabric, cast=0.0, brightness=0.62)
    skirt = symmetric(
        path(
            (0.0, top + 0.02),
            ((waist, top),),
            ((waist + 0.16, top + 0.25), (flare - 0.03, bottom * 0.3), (flare, bottom - 0.04)),
            ((flare * 0.6, hem + 0.03), (0.0, hem)),
        )
    )
    studio.lay(skirt, fabric)
    seam = shifted(fabric.colour, -0.4)
    if studio.chance(0.45):
        for place in np.linspace(-0.86, 0.86, 9):
            pleat = np.array(
                [[place * waist, top + 0.1], [place * flare, hem - 0.02 - 0.07 * place**2]]
            )
            studio.line(pleat, seam, width=0.012, opacity=0.5)
            tilt = float(
                np.degrees(np.arctan2(pleat[1, 1] - pleat[0, 1], pleat[1, 0] - pleat[0, 0]))
            )
            centre = pleat.mean(axis=0)
            studio.crease(
                float(centre[0]), float(centre[1]), tilt, length=0.75, width=0.045, depth=0.16
            )
    else:
        studio.drape(top, bottom, count=studio.vary(3.2, 4.8), fan=flare / waist - 0.9, depth=0.16)
    line = arc((-flare + 0.015, bottom - 0.09), (flare - 0.015, bottom - 0.09), 0.04)
    studio.line(line, seam, width=0.007, dash=0.022, opacity=0.5)
    waistband = band(arc((-waist - 0.01, top + 0.02), (waist + 0.01, top + 0.02), 0.025), 0.1)
    cloth = fabric if studio.chance(0.5) else plain_fabric(shifted(fabric.colour, -0.25))
    studio.lay(waistband, cloth, cast=0.25, relief=0.8)
    if studio.chance(0.5):
        studio.dot(0.0, top + 0.045, 0.026, shifted(fabric.colour, -0.5))
