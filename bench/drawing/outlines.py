"""Curves for drawing garments: paths of lines and Bezier pieces, mirrored halves, bands."""

from __future__ import annotations

import math

import numpy as np

from boost_edge.bench.drawing.studio import Outline

__all__ = ["arc", "band", "flipped", "opening", "path", "symmetric"]

Point = tuple[float, float]
_STEPS = 10


def path(start: Point, *pieces: tuple[Point, ...]) -> Outline:
    """Return the points of a path, (P, 2).

    Each piece goes on from the end of the last: one point is a line to it, two a quadratic and
    three a cubic Bezier curve, whose last point is its end.
    """
    points = [np.array([start], np.float64)]
    for piece in pieces:
        control = np.array([tuple(points[-1][-1]), *piece], np.float64)
        degree = len(control) - 1
        t = np.linspace(0, 1, _STEPS + 1)[1:] if degree > 1 else np.array([1.0])
        weights = np.stack(
            [math.comb(degree, i) * t**i * (1 - t) ** (degree - i) for i in range(degree + 1)],
            axis=1,
        )
        points.append(weights @ control)
    return np.concatenate(points)


def flipped(points: Outline) -> Outline:
    """Return the points on the other side of the middle line."""
    return np.asarray(points * np.array([-1.0, 1.0]), np.float64)


def symmetric(half: Outline) -> Outline:
    """Close a right half, drawn from top to bottom, with its mirror image."""
    return np.concatenate([half, flipped(half)[::-1]])


def arc(left: Point, right: Point, sag: float) -> Outline:
    """Return a curve between two points that hangs ``sag`` below the straight line."""
    middle = ((left[0] + right[0]) / 2, (left[1] + right[1]) / 2 + 2 * sag)
    return path(left, (middle, right))


def band(line: Outline, width: float) -> Outline:
    """Return the outline of a strip of ``width`` along a line, (2P, 2)."""
    along = np.gradient(line, axis=0)
    across = np.column_stack([-along[:, 1], along[:, 0]])
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
    return np.concatenate([line + across * (width / 2), (line - across * (width / 2))[::-1]])


def opening(half: float, top: float) -> Outline:
    """Return what shows of the inner back above a waistband or a bag's edge at ``top``."""
    right = path((0.0, top - 0.035), ((half, top - 0.025),), ((half + 0.01, top + 0.06),))
    return symmetric(np.concatenate([right, [[0.0, top + 0.08]]]))
