"""Find the highest rate that is kept up with."""

from __future__ import annotations

from collections.abc import Callable

from boost_edge.runtime.errors import UsageError

__all__ = ["highest_passing"]


def highest_passing(passes: Callable[[float], bool], *, high: float, trials: int) -> float:
    """Return the highest rate that was tried and passed, by bisection of (0, ``high``].

    Where ``passes`` holds up to some rate and not above it, the answer is at most that rate and
    less than ``high / 2 ** (trials - 1)`` below it; ``high`` itself is tried first. It is 0 when
    nothing that was tried passed.

    Raises
    ------
    UsageError
        When ``high`` or ``trials`` is not positive.
    """
    if not high > 0 or trials < 1:
        raise UsageError(f"a bisection up to {high} in {trials} trials makes no sense")
    if passes(high):
        return high
    low = 0.0
    for _ in range(trials - 1):
        middle = (low + high) / 2
        if passes(middle):
            low = middle
        else:
            high = middle
    return low
