"""At what part of its size a JPEG is decoded: whole, half or a quarter.

A JPEG holds blocks of 8 x 8 pixels as frequencies, and libjpeg can turn just the lowest 4 x 4 or
2 x 2 of them into pixels. That is the picture at half or a quarter of its size, in a part of the
time, and what is left out is what shrinking to the network's input would average away.
"""

from __future__ import annotations

from boost_edge.runtime.manifest import ImageSpec

__all__ = ["FACTORS", "MARGIN", "reduction"]

FACTORS: tuple[int, ...] = (4, 2)
"""By what a picture may be divided, the largest first; 8 saves little more and changes more."""

MARGIN = 1.75
"""So many times the network's input are left, at least: docs/decisions/0012-reduced-decode.md."""


def reduction(width: int, height: int, spec: ImageSpec) -> int:
    """Return by what to divide a JPEG's edges (1, 2 or 4) when it is decoded for a network.

    Parameters
    ----------
    width, height
        In pixels, as stored or upright: it makes no difference.
    spec
        With ``decode`` None nothing is ever divided.
    """
    if spec.decode is None:
        return 1
    # The edge that limits: letterbox scales both as the long one, crop and squash may need both.
    edge = max(width, height) if spec.resize == "letterbox" else min(width, height)
    return next((each for each in FACTORS if edge >= MARGIN * each * spec.size), 1)
