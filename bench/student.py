"""The t interval of a mean of few values, such as those of seeds or of blocks.

A percentile bootstrap of three or five values is far too narrow: it knows no more of their spread
than they show.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

__all__ = ["t_interval"]

_CONFIDENCE = 0.95
# One degree of freedom has the largest quantile, 12.71; that of the normal distribution is 1.96.
_LEAST, _MOST = 1.9, 13.0
_HALVINGS = 60


def t_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95% interval of the mean of independent values; None of fewer than two.

    Source: Student, "The probable error of a mean" (Biometrika, 1908).
    """
    if len(values) < 2:
        return None
    count = len(values)
    mean = math.fsum(values) / count
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    half = _quantile(count - 1) * math.sqrt(variance / count)
    return mean - half, mean + half


@functools.cache
def _quantile(freedom: int) -> float:
    """Return the t that lies outside of -t to t in 5% of all cases."""
    low, high = _LEAST, _MOST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _inside(middle, freedom) < _CONFIDENCE:
            low = middle
        else:
            high = middle
    return high


def _inside(t: float, freedom: int) -> float:
    """Return the probability of -t to t with so many degrees of freedom, at least 1.

    Source: Abramowitz and Stegun, "Handbook of Mathematical Functions" (1964), 26.7.3 and 26.7.4.
    """
    angle = math.atan2(t, math.sqrt(freedom))
    cosine, odd = math.cos(angle), freedom % 2
    total, term = 0.0, cosine if odd else 1.0
    for step in range(1, freedom // 2 + 1):
        total += term
        term *= cosine**2 * (2 * step - 1 + odd) / (2 * step + odd)
    share = math.sin(angle) * total
    return 2 / math.pi * (angle + share) if odd else share
