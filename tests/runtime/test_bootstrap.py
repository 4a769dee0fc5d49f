"""Bootstrap intervals: reproducible, and as wide as they must be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boost_edge.runtime.bootstrap import bootstrap_mean, paired_bootstrap
from boost_edge.runtime.errors import UsageError

VALUES = st.lists(st.floats(-1, 1), min_size=1, max_size=12)


@settings(max_examples=30, deadline=None)
@given(VALUES, st.integers(0, 9), st.integers(1, 300))
def test_matches_naive_loop(values: list[float], seed: int, resamples: int) -> None:
    """Drawing many resamples at once gives what drawing them one by one gives."""
    found = bootstrap_mean(np.array(values), seed=seed, resamples=resamples, confidence=0.9)
    rng = np.random.default_rng(seed)
    means = [
        sum(values[int(place)] for place in rng.integers(0, len(values), len(values))) / len(values)
        for _ in range(resamples)
    ]
    assert found.low == pytest.approx(np.quantile(means, 0.05), abs=1e-12)
    assert found.high == pytest.approx(np.quantile(means, 0.95), abs=1e-12)
    assert found.mean == pytest.approx(sum(values) / len(values))
    assert (found.queries, found.resamples, found.confidence) == (len(values), resamples, 0.9)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(-1, 1), st.integers(0, 4)), min_size=1, max_size=12))
def test_clusters_match_naive_loop(rows: list[tuple[float, int]]) -> None:
    """Clusters are drawn as wholes, and a resample's mean is that of all values in it."""
    values, clusters = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    found = bootstrap_mean(values, seed=1, resamples=50, confidence=0.9, clusters=clusters)
    numbers = sorted({row[1] for row in rows})
    members = [[row[0] for row in rows if row[1] == each] for each in numbers]
    rng = np.random.default_rng(1)
    means: list[float] = []
    for _ in range(50):
        places: list[int] = rng.integers(0, len(members), len(members)).tolist()
        means.append(float(np.mean([value for place in places for value in members[place]])))
    assert found.low == pytest.approx(np.quantile(means, 0.05), abs=1e-12)
    assert found.high == pytest.approx(np.quantile(means, 0.95), abs=1e-12)
    assert found.mean == pytest.approx(values.mean())


def test_values_said_again_make_nothing_surer() -> None:
    """The interval of values that stand five times each is that of the values once."""
    values = np.random.default_rng(4).random(60)
    once = bootstrap_mean(values)
    again = bootstrap_mean(np.tile(values, 5), clusters=np.tile(np.arange(60), 5))
    assert (again.low, again.high) == pytest.approx((once.low, once.high))
    assert bootstrap_mean(np.tile(values, 5)).low > once.low
    with pytest.raises(UsageError, match="one for each"):
        bootstrap_mean(values, clusters=np.arange(3))


def test_width_is_that_of_the_normal_approximation() -> None:
    """With many values the interval is the mean plus and minus 1.96 standard errors."""
    values = np.random.default_rng(1).random(2000)
    found = bootstrap_mean(values, resamples=4000)
    error = values.std() / np.sqrt(len(values))
    assert found.high - found.mean == pytest.approx(1.96 * error, rel=0.08)
    assert found.mean - found.low == pytest.approx(1.96 * error, rel=0.08)


def test_interval_covers_as_often_as_it_says() -> None:
    """Over many samples the true mean is inside about nine times in ten at confidence 0.9."""
    rng = np.random.default_rng(2)
    inside = 0
    for seed in range(200):
        found = bootstrap_mean(rng.random(80), seed=seed, resamples=300, confidence=0.9)
        inside += found.low <= 0.5 <= found.high
    assert 165 <= inside <= 195


def test_pairing_removes_what_queries_share() -> None:
    """A small gain on every query is certain, though the queries differ far more than that."""
    baseline = np.random.default_rng(3).random(300)
    found = paired_bootstrap(baseline, baseline + 0.01)
    assert found.mean == pytest.approx(0.01)
    assert found.low == pytest.approx(0.01)
    assert found.high == pytest.approx(0.01)


@given(VALUES, st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_pair_is_the_mean_of_differences(values: list[float], seed: int) -> None:
    """The gain of a system over another is the interval of its differences; the same twice."""
    first = np.array(values)
    second = first[::-1].copy()
    expected = bootstrap_mean(second - first, seed=seed, resamples=50)
    assert paired_bootstrap(first, second, seed=seed, resamples=50) == expected


def test_bad_values_are_refused() -> None:
    """Nothing, a value that is not finite, unpaired values and odd settings are refused."""
    good = np.array([0.1, 0.2])
    for values in (np.array([]), np.array([0.1, np.nan]), np.array([[0.1]])):
        with pytest.raises(UsageError):
            bootstrap_mean(values)
    with pytest.raises(UsageError, match="pair"):
        paired_bootstrap(good, good[:1])
    for resamples, confidence in ((0, 0.95), (10, 0.0), (10, 1.0)):
        with pytest.raises(UsageError):
            bootstrap_mean(good, resamples=resamples, confidence=confidence)
