"""What a model may take and must find, and which one is chosen by that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from boost_edge.runtime.errors import UsageError

__all__ = ["Budget", "Figures", "choose", "nearest", "parse_min_map"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What counts of a model: milliseconds an image, mAP@10 in points, bytes an embedding."""

    ms: float
    map10: float
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Limits, each ``None`` where there is none.

    ``max_ms`` is the most milliseconds for one image, ``min_map`` the least mAP@10 in points,
    ``min_map_share`` the same as a share of the best that was found, in (0, 1].
    """

    max_ms: float | None = None
    min_map: float | None = None
    min_map_share: float | None = None

    def least_map(self, best: float) -> float | None:
        """Return the least mAP@10 in points, where ``best`` is the best that was found."""
        if self.min_map_share is not None:
            return self.min_map_share * best
        return self.min_map

    def allows(self, figures: Figures, best: float) -> bool:
        """Tell whether a model keeps to all limits."""
        least = self.least_map(best)
        fast = self.max_ms is None or figures.ms <= self.max_ms
        return fast and (least is None or figures.map10 >= least)


def parse_min_map(text: str) -> Budget:
    """Read ``61.5``, points of mAP@10, or ``95%``, a share of the best.

    Raises
    ------
    UsageError
        When it is neither, or not in (0, 100].
    """
    try:
        number = float(text.strip().removesuffix("%"))
    except ValueError as error:
        raise UsageError(
            f"--min-map {text!r} is neither points of mAP@10, such as 61.5, nor a share of the "
            "best found, such as 95%"
        ) from error
    if not 0 < number <= 100:
        raise UsageError(f"--min-map {text!r}: it must be above 0 and at most 100")
    if text.strip().endswith("%"):
        return Budget(min_map_share=number / 100)
    return Budget(min_map=number)


def choose(
    options: Sequence[T], figures: Callable[[T], Figures], budget: Budget, best: float
) -> T | None:
    """Return the option to take; ``None`` where none keeps to the limits.

    With a limit to the quality alone it is the fastest that keeps to it, otherwise the one that
    finds most. The other of the two decides between equals, then the bytes, then the order given.
    """
    allowed = [each for each in options if budget.allows(figures(each), best)]
    by_speed = budget.max_ms is None and budget.least_map(best) is not None

    def order(option: T) -> tuple[float, float, int]:
        has = figures(option)
        pair = (has.ms, -has.map10) if by_speed else (-has.map10, has.ms)
        return (*pair, has.bytes)

    return min(allowed, key=order, default=None)


def nearest(
    options: Sequence[T], figures: Callable[[T], Figures], budget: Budget, best: float
) -> T:
    """Return the option, of at least one, that misses the limits by the least factor."""
    least = budget.least_map(best)

    def miss(option: T) -> tuple[float, float]:
        has = figures(option)
        slow = 1.0 if budget.max_ms is None else has.ms / budget.max_ms
        poor = 1.0 if least is None else least / max(has.map10, 1e-9)
        return max(slow, 1.0) * max(poor, 1.0), -has.map10

    return min(options, key=miss)
