"""Budgets: what is read, what is allowed, and which model is chosen by them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boost_edge.export.budget import Budget, Figures, choose, nearest, parse_min_map
from boost_edge.runtime.errors import UsageError

FAST = Figures(ms=2.0, map10=40.0, bytes=400)
MIDDLE = Figures(ms=5.0, map10=55.0, bytes=400)
BEST = Figures(ms=9.0, map10=60.0, bytes=2000)
ALL = (FAST, MIDDLE, BEST)

some = st.lists(
    st.builds(
        Figures,
        ms=st.integers(1, 5).map(float),
        map10=st.integers(1, 5).map(float),
        bytes=st.integers(1, 3),
    ),
    min_size=1,
    max_size=8,
)
limits = st.none() | st.integers(1, 5).map(float)


def itself(figures: Figures) -> Figures:
    """Return the figures of an option that is nothing else."""
    return figures


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (Budget(), BEST),
        (Budget(max_ms=8.0), MIDDLE),
        (Budget(max_ms=9.0), BEST),
        (Budget(min_map=50.0), MIDDLE),
        (Budget(min_map_share=0.9), MIDDLE),
        (Budget(min_map_share=1.0), BEST),
        (Budget(min_map_share=0.5), FAST),
        (Budget(max_ms=9.0, min_map=30.0), BEST),
        (Budget(max_ms=1.0), None),
        (Budget(max_ms=4.0, min_map=50.0), None),
    ],
)
def test_what_is_chosen(budget: Budget, expected: Figures | None) -> None:
    """A limit of time gives the best within it, one of quality the fastest that reaches it."""
    assert choose(ALL, itself, budget, BEST.map10) == expected


def test_equals_are_told_apart() -> None:
    """Of two that find as much the faster is taken, of two equally fast the one of fewer bytes."""
    small = Figures(ms=5.0, map10=55.0, bytes=100)
    slow = Figures(ms=6.0, map10=55.0, bytes=50)
    assert choose((MIDDLE, slow, small), itself, Budget(max_ms=8.0), 55.0) == small
    assert choose((MIDDLE, slow, small), itself, Budget(min_map=55.0), 55.0) == small


@given(some, limits, limits)
def test_the_choice_keeps_to_the_limits_and_is_not_beaten(
    options: list[Figures], max_ms: float | None, min_map: float | None
) -> None:
    """What is chosen is allowed and nothing allowed is better in all; none only if none is."""
    budget = Budget(max_ms=max_ms, min_map=min_map)
    best = max(each.map10 for each in options)
    allowed = [each for each in options if budget.allows(each, best)]
    chosen = choose(options, itself, budget, best)
    assert (chosen is None) == (not allowed)
    for each in allowed if chosen is not None else ():
        assert chosen is not None
        no_worse = each.ms <= chosen.ms and each.map10 >= chosen.map10
        assert not (no_worse and each.bytes <= chosen.bytes and each != chosen)


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (Budget(max_ms=1.0), FAST),
        (Budget(min_map=70.0), BEST),
        # 1.25 times too slow, against 1.25 times too poor: the one that finds more.
        (Budget(max_ms=4.0, min_map=50.0), MIDDLE),
    ],
)
def test_what_is_nearest(budget: Budget, expected: Figures) -> None:
    """Where none keeps to the limits, the one named misses them by the least."""
    assert nearest(ALL, itself, budget, BEST.map10) == expected


def test_what_is_read() -> None:
    """Points and shares are told apart."""
    assert parse_min_map("61.5") == Budget(min_map=61.5)
    assert parse_min_map(" 95% ") == Budget(min_map_share=0.95)


@pytest.mark.parametrize("text", ["", "%", "good", "0", "-3", "101", "120%", "nan", "inf", "9 5%"])
def test_what_is_not_read(text: str) -> None:
    """What is no number above 0 and up to 100 is refused in a line that names it."""
    with pytest.raises(UsageError, match="--min-map"):
        parse_min_map(text)
