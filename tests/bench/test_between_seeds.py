"""Intervals of few values, and what may be said of a gain when seeds disagree."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boost_edge.bench.between_seeds import gain_by_seed, seed_interval, verdict
from boost_edge.bench.student import t_interval

# Of two-sided 5%, by degrees of freedom, as textbooks print it.
PRINTED = {
    1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 9: 2.262, 10: 2.228, 30: 2.042, 120: 1.980,
}  # fmt: skip
FEW = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=8)


@pytest.mark.parametrize(("freedom", "t"), PRINTED.items())
def test_the_interval_is_that_of_the_printed_tables(freedom: int, t: float) -> None:
    """The half width is t times the standard error."""
    values = np.random.default_rng(freedom).normal(3.0, 2.0, freedom + 1)
    found = t_interval(values.tolist())
    assert found is not None
    error = values.std(ddof=1) / math.sqrt(len(values))
    assert (found[1] - found[0]) / 2 == pytest.approx(t * error, rel=3e-4)
    assert sum(found) / 2 == pytest.approx(values.mean())


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Of samples of three, 95% of the intervals hold the mean that they were drawn around."""
    samples = np.random.default_rng(0).normal(1.0, 5.0, (4000, 3)).tolist()
    intervals = [t_interval(sample) for sample in samples]
    held = [each is not None and each[0] <= 1.0 <= each[1] for each in intervals]
    assert sum(held) / len(held) == pytest.approx(0.95, abs=0.012)


@given(FEW, st.floats(-1e3, 1e3), st.floats(0.01, 100))
def test_the_interval_moves_and_scales_with_its_values(
    values: list[float], shift: float, scale: float
) -> None:
    """It is of the values' unit; turned round it is turned round."""
    found, moved, turned = (
        t_interval(each)
        for each in (
            values,
            [scale * value + shift for value in values],
            [-value for value in values],
        )
    )
    assert found is not None
    assert moved == pytest.approx([scale * end + shift for end in found], rel=1e-6, abs=1e-6)
    assert turned == pytest.approx([-found[1], -found[0]])


def test_too_few_have_no_interval() -> None:
    """One value has no spread, and two seeds tell too little of theirs."""
    assert t_interval([]) is None
    assert t_interval([1.0]) is None
    assert t_interval([1.0, 2.0]) is not None
    assert seed_interval([1.0, 2.0]) is None
    assert seed_interval([1.0, 2.0, 3.0]) == t_interval([1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("low", "high", "by_seed", "expected"),
    [
        (1.0, 2.0, [], "gains"),
        (1.0, 2.0, [1.5], "gains"),
        (-2.0, -1.0, [-1.5], "hurts"),
        (-0.1, 2.0, [0.9, 1.0, 1.1], "open"),
        (0.6, 2.2, [-0.19, 3.04], "open"),
        (-2.2, -0.6, [0.19, -3.04], "open"),
        (0.6, 2.2, [0.19, 3.04], "gains"),
        (1.5, 2.5, [1.2, 2.0, 2.8], "gains"),
        # The t interval reaches from -0.24 to 4.24.
        (1.5, 2.5, [1.1, 2.0, 2.9], "open"),
        (-2.5, -1.5, [-1.1, -2.0, -2.9], "open"),
        (-2.5, -1.5, [-1.2, -2.0, -2.8], "hurts"),
        (0.1, 0.2, [0.0, 0.3], "open"),
    ],
)
def test_a_verdict_needs_queries_and_seeds_to_agree(
    low: float, high: float, by_seed: list[float], expected: str
) -> None:
    """Neither direction is claimed where a seed goes the other way, or few seeds scatter."""
    assert verdict({"low": low, "high": high}, by_seed) == expected


@given(st.floats(-5, 5), st.floats(0, 3), st.lists(st.floats(-9, 9), max_size=6))
def test_a_verdict_is_turned_round_with_its_gain(
    middle: float, half: float, by_seed: list[float]
) -> None:
    """What gains one way hurts the other way."""
    turned = {"gains": "hurts", "hurts": "gains", "open": "open"}
    there = verdict({"low": middle - half, "high": middle + half}, by_seed)
    back = verdict({"low": -middle - half, "high": half - middle}, [-each for each in by_seed])
    assert back == turned[there]


def test_gains_by_seed_of_old_and_new_results() -> None:
    """A gain says it; of an older one it is the difference of the means by seed."""
    gain: dict[str, Any] = {"by_seed": [1.0, None, 3.0]}
    assert gain_by_seed(gain, [9.0], [9.0]) == [1.0, 3.0]
    assert gain_by_seed({}, [1.0, 2.0, None], [4.0, 1.0, 5.0, 6.0]) == [3.0, -1.0]
    assert gain_by_seed({}) == []
