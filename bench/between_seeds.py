"""How far the seeds of a gain are apart, and what can be said of it then.

Queries of one seed share one head and one draw of images. An interval over queries, which takes
each for a draw of its own, says how certain the gain of these heads on these draws is, and not
where the gain of another head or another draw would lie.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from boost_edge.bench.student import t_interval

__all__ = ["Verdict", "gain_by_seed", "seed_interval", "verdict"]

Verdict: TypeAlias = Literal["gains", "hurts", "open"]
"""``open``: it cannot be told which."""

# Two seeds have an interval as wide as six times their distance on each side: it tells nothing.
_FEWEST = 3


def gain_by_seed(
    gain: Mapping[str, Any],
    before: Sequence[float | None] = (),
    after: Sequence[float | None] = (),
) -> list[float]:
    """Return the gain of each seed, of those that have one.

    A ``gain`` of an earlier version does not say; then it is the difference of the means by seed,
    ``before`` and ``after``, of the seeds that both have.
    """
    said: Sequence[float | None] | None = gain.get("by_seed")
    if said is not None:
        return [each for each in said if each is not None]
    return [
        new - old
        for old, new in zip(before, after, strict=False)
        if old is not None and new is not None
    ]


def seed_interval(by_seed: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95% t interval of the mean over seeds; None of fewer than three."""
    return t_interval(by_seed) if len(by_seed) >= _FEWEST else None


def verdict(gain: Mapping[str, Any], by_seed: Sequence[float] = ()) -> Verdict:
    """Return whether something gains or hurts.

    It does where the interval over queries lies on one side of 0, the gains of all seeds on the
    same, and of three seeds or more their t interval, too.
    """
    across = seed_interval(by_seed) or ()
    if gain["low"] > 0 and all(each > 0 for each in (*by_seed, *across)):
        return "gains"
    if gain["high"] < 0 and all(each < 0 for each in (*by_seed, *across)):
        return "hurts"
    return "open"
