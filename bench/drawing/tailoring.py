"""What garments for the upper body share: measures, the front, the back, sleeves, wrinkles."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from boost_edge.bench.drawing.fabrics import Fabric, plain_fabric, shifted
from boost_edge.bench.drawing.outlines import Point, flipped, path, symmetric
from boost_edge.bench.drawing.studio import Outline, Studio

__all__ = [
    "Cut",
    "armhole",
    "front",
    "lay_back",
    "lay_sleeves",
    "measure",
    "neck_to_shoulder",
    "neckline",
    "side_seam",
    "wrinkle",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The measures of a top, in local units; widths are from the middle line."""

    shoulder: Point
    neck: float
    depth: float
    chest: Point
    waist: float
    hem: Point


def measure(studio: Studio, *, bare: bool, neck: float, hem: float) -> Cut:
    """Draw one set of measures for a top of normal length."""
    chest = studio.vary(0.42, 0.48)
    return Cut(
        shoulder=(studio.vary(0.31, 0.35) if bare else chest + 0.03, -0.66),
        neck=float(neck),
        depth=studio.vary(0.13, 0.21),
        chest=(chest, -0.22 if bare else -0.28),
        waist=chest - studio.vary(0.0, 0.05),
        hem=(chest + studio.vary(-0.02, 0.04), hem + studio.vary(-0.06, 0.05)),
    )


def neck_to_shoulder(cut: Cut, *, pointed: bool) -> tuple[Point, tuple[Point, ...], tuple[Point]]:
    """Return a path's start and first pieces: up the neckline, and out along the shoulder."""
    top = cut.shoulder[1] - 0.10
    low = (0.0, top + cut.depth * (1.4 if pointed else 1.0))
    end = (cut.neck, top)
    if pointed:
        return low, ((cut.neck * 0.55, low[1] - 0.06), end), (cut.shoulder,)
    return low, ((cut.neck * 0.75, low[1]), (cut.neck * 0.97, top + 0.08), end), (cut.shoulder,)


def side_seam(cut: Cut, *, bare: bool) -> tuple[tuple[Point, ...], tuple[Point, ...]]:
    """Return the pieces of a path from the shoulder through the armpit to the waist."""
    inward = 0.05 if bare else 0.02
    pull = (min(cut.shoulder[0], cut.chest[0]) - inward, cut.chest[1] - 0.10)
    return (pull, cut.chest), (
        (cut.chest[0] - 0.01, cut.chest[1] + 0.15),
        (cut.waist, 0.1 if cut.hem[1] > 0 else -0.32),
    )


def front(cut: Cut, *, pointed: bool, bare: bool, tail: float = 0.0) -> Outline:
    """Return the outline of a top's front; ``tail`` is how far its hem dips at the front."""
    return symmetric(
        path(
            *neck_to_shoulder(cut, pointed=pointed),
            *side_seam(cut, bare=bare),
            ((cut.waist, 0.4), (cut.hem[0], cut.hem[1] - tail)),
            ((cut.hem[0] * 0.55, cut.hem[1] + 0.02 + tail), (0.0, cut.hem[1] + 0.02 + tail / 2)),
        )
    )


def neckline(cut: Cut, *, pointed: bool) -> Outline:
    """Return the line of the front neck, from the left shoulder to the right."""
    start, curve, _ = neck_to_shoulder(cut, pointed=pointed)
    half = path(start, curve)
    return np.concatenate([flipped(half)[:0:-1], half])


def armhole(cut: Cut) -> Outline:
    """Return the line of the right armhole of a top without sleeves."""
    return path(cut.shoulder, side_seam(cut, bare=True)[0])


def lay_back(studio: Studio, cut: Cut, fabric: Fabric, depth: float | None = None) -> None:
    """Draw what shows of the back inside the neck, ``depth`` deep, with a label."""
    top = cut.shoulder[1] - 0.10
    inside = symmetric(
        path(
            (0.0, top - 0.02),
            ((cut.neck * 0.6, top - 0.02), (cut.neck - 0.005, top + 0.005)),
            ((cut.neck - 0.02, top + 0.12),),
            ((0.0, top + (depth or cut.depth * 1.4) + 0.06),),
        )
    )
    studio.lay(inside, fabric, cast=0.0, brightness=0.66)
    label = np.array([[-0.04, top], [0.04, top], [0.04, top + 0.05], [-0.04, top + 0.05]])
    studio.lay(label, plain_fabric((236, 232, 224)), cast=0.1, relief=0.2, brightness=0.9)


def lay_sleeves(
    studio: Studio,
    cut: Cut,
    fabric: Fabric,
    sleeve: str,
    *,
    cuff: float | None,
    rib: Fabric | None = None,
) -> None:
    """Lay both sleeves; ``cuff`` is the cuff's length, None for a plain stitched edge."""
    if sleeve == "sleeveless":
        return
    short = sleeve == "short"
    angle = studio.vary(44, 56) if short else studio.vary(70, 77)
    length = studio.vary(0.34, 0.44) if short else studio.vary(1.08, 1.2)
    length *= cut.chest[1] - cut.shoulder[1] + 0.62
    for side in (-1.0, 1.0):
        lean = angle + studio.vary(-3, 3)
        piece, wrist = _sleeve(cut, lean, length, wide=0.155 if short else 0.095)
        flip = np.array([side, 1.0])
        studio.lay(piece * flip, fabric, turn=side * (lean - 90), cast=0.2, relief=1.2)
        along = np.array([math.cos(math.radians(lean)), math.sin(math.radians(lean))])
        if cuff is not None:
            strip = np.concatenate([wrist - along * cuff, wrist[::-1]]) * flip
            studio.lay(strip, rib or fabric, turn=side * (lean - 90), cast=0.3, relief=0.9)
        else:
            edge = (wrist - along * 0.04) * flip
            studio.line(edge, shifted(fabric.colour, -0.35), width=0.007, dash=0.022, opacity=0.7)
        if not short:
            elbow = (cut.shoulder[0] + 0.1 + along[0] * length * 0.5) * side
            height = cut.shoulder[1] + along[1] * length * 0.5
            for step in (-0.12, 0.0, 0.13):
                tilt = side * studio.vary(10, 50)
                studio.crease(elbow, height + step, tilt, length=0.1, width=0.035, depth=0.13)


def _sleeve(cut: Cut, angle: float, length: float, *, wide: float) -> tuple[Outline, Outline]:
    """Return the right sleeve's outline and the two ends of its wrist."""
    along = np.array([math.cos(math.radians(angle)), math.sin(math.radians(angle))])
    across = np.array([along[1], -along[0]])
    shoulder, armpit = np.array(cut.shoulder), np.array(cut.chest)
    wrist = shoulder * 0.6 + armpit * 0.4 + along * length
    outer, inner = wrist + across * wide, wrist - across * wide
    bulge = shoulder + along * length * 0.35 + across * 0.06
    piece = path(
        (float(shoulder[0]) - 0.06, float(shoulder[1]) - 0.01),
        (_point(shoulder),),
        (_point(bulge), _point(outer)),
        (_point(inner),),
        (_point(armpit + along * length * 0.3 - across * 0.01), _point(armpit)),
        ((float(armpit[0]) - 0.1, float(armpit[1])),),
    )
    return piece, np.stack([outer, inner])


def wrinkle(studio: Studio, cut: Cut) -> None:
    """Add folds from the armpits, some across the belly, and a gentle drape at the hem."""
    for side in (-1.0, 1.0):
        for _ in range(2):
            studio.crease(
                side * (cut.chest[0] - studio.vary(0.06, 0.16)),
                cut.chest[1] + studio.vary(-0.02, 0.16),
                side * -studio.vary(25, 60),
                length=studio.vary(0.14, 0.26),
                width=studio.vary(0.025, 0.05),
                depth=studio.vary(0.05, 0.11),
            )
    for _ in range(4):
        studio.crease(
            studio.vary(-0.3, 0.3),
            studio.vary(-0.1, cut.hem[1]),
            studio.vary(50, 130),
            length=studio.vary(0.16, 0.38),
            width=studio.vary(0.035, 0.075),
            depth=studio.vary(-0.09, 0.09),
        )
    studio.drape(0.0, cut.hem[1], count=2.2, fan=0.1, depth=0.045)


def _point(place: Outline) -> Point:
    return float(place[0]), float(place[1])
