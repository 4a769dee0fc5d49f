"""The search for the highest rate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boost_edge.bench.bisection import highest_passing
from boost_edge.runtime.errors import UsageError


@given(st.floats(0.0, 200.0), st.floats(1e-3, 100.0), st.integers(1, 12))
def test_finds_the_threshold(threshold: float, high: float, trials: int) -> None:
    """The answer passes, and what is one step higher does not; a grid search agrees."""
    tried: list[float] = []

    def passes(rate: float) -> bool:
        tried.append(rate)
        return rate <= threshold

    found = highest_passing(passes, high=high, trials=trials)
    assert found <= threshold
    assert found == 0.0 or found in tried
    assert len(tried) <= trials
    step = high / 2 ** (trials - 1)
    grid = [step * number for number in range(2 ** (trials - 1) + 1)]
    assert found == pytest.approx(max(rate for rate in grid if rate <= threshold))


def test_nothing_passes() -> None:
    """A system that never keeps up has rate 0, and no trial is wasted on 0 itself."""
    tried: list[float] = []

    def fails(rate: float) -> bool:
        tried.append(rate)
        return False

    assert highest_passing(fails, high=8.0, trials=4) == 0.0
    assert tried == [8.0, 4.0, 2.0, 1.0]


@pytest.mark.parametrize(("high", "trials"), [(0.0, 1), (-1.0, 1), (1.0, 0), (float("nan"), 2)])
def test_nonsense_is_refused(high: float, trials: int) -> None:
    """No range and no trial are refused."""
    with pytest.raises(UsageError):
        highest_passing(lambda _: True, high=high, trials=trials)
