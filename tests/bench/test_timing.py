"""Timing side by side: fair turns, honest percentiles, ratios that drift does not move."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boost_edge.bench.timing import (
    Case,
    Timing,
    block_orders,
    compare_blocks,
    percentile,
    time_cases,
)
from boost_edge.runtime.errors import UsageError

TIMES = st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=30)


class Clock:
    """A clock that only work moves; every case takes its milliseconds times the drift."""

    def __init__(self) -> None:
        self.now = 0
        self.drift = 1.0
        self.log: list[str] = []

    def __call__(self) -> int:
        """Return the nanoseconds so far."""
        return self.now

    def case(self, name: str, ms: float, images: int = 1) -> Case:
        """Return a case that takes so many milliseconds and notes what is called."""

        def work() -> None:
            self.log.append(name)
            self.now += round(1e6 * ms * self.drift)
            self.drift *= 1.01

        return Case(call=work, prepare=lambda: self.log.append(f"prepare {name}"), images=images)


@given(TIMES, st.floats(0.01, 1.0))
def test_percentile_is_the_nearest_rank(values: list[float], share: float) -> None:
    """A percentile is the first of the sorted values that enough of them do not exceed."""
    found = percentile(np.array(values), share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    below = [value for value in values if value < found]
    assert len(below) < share * len(values) + 1e-9


def test_percentile_of_a_hundred() -> None:
    """Of 1 to 100 the shares are the numbers themselves, and of few values p99 is the largest."""
    hundred = np.arange(1.0, 101.0)
    assert [percentile(hundred, share) for share in (0.5, 0.9, 0.99)] == [50.0, 90.0, 99.0]
    assert percentile(np.array([3.0, 1.0, 2.0]), 0.99) == 3.0


@given(st.integers(1, 12), st.integers(1, 6), st.integers(0, 99))
def test_every_case_has_one_turn_in_a_block(cases: int, blocks: int, seed: int) -> None:
    """Each block is a permutation, and the seed decides which."""
    orders = block_orders(cases, blocks, seed)
    assert [sorted(order) for order in orders] == [list(range(cases))] * blocks
    assert orders == block_orders(cases, blocks, seed)


def test_orders_differ() -> None:
    """The order changes from block to block and from seed to seed."""
    orders = block_orders(8, 4, 0)
    assert len({tuple(order) for order in orders}) == 4
    assert orders != block_orders(8, 4, 1)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 5), st.integers(1, 23), st.integers(0, 9))
def test_calls_come_out_even(blocks: int, most: int, seed: int) -> None:
    """With time to spare a case is called as often as asked, evenly, and once a block at least."""
    clock = Clock()
    cases = [clock.case("a", 1.0), clock.case("b", 2.0)]
    found = time_cases(cases, blocks=blocks, seconds=1e6, most=most, seed=seed, clock=clock)
    for timing in found:
        counts = [len(block) for block in timing.blocks]
        assert len(counts) == blocks
        assert sum(counts) == max(most, blocks)
        assert max(counts) - min(counts) <= 1


def test_warm_up_is_not_counted() -> None:
    """A case runs once before all blocks and, for single images, once at the start of each."""
    clock = Clock()
    cases = [clock.case("one", 1.0), clock.case("many", 1.0, images=8)]
    found = time_cases(cases, blocks=2, seconds=9.0, most=4, clock=clock)
    assert clock.log[:4] == ["prepare one", "one", "prepare many", "many"]
    assert clock.log.count("one") == 1 + 2 + 4
    assert clock.log.count("many") == 1 + 4
    assert clock.log.count("prepare one") == 3
    assert [timing.summary()["calls"] for timing in found] == [4, 4]


def test_time_ends_a_block() -> None:
    """A case that is slow is called once a block, a quick one until its share is used up."""
    clock = Clock()
    cases = [clock.case("slow", 5000.0), clock.case("quick", 100.0)]
    slow, quick = time_cases(cases, blocks=2, seconds=2.0, most=100, clock=clock)
    assert [len(block) for block in slow.blocks] == [1, 1]
    assert all(5 <= len(block) <= 10 for block in quick.blocks)


def test_ratio_survives_drift() -> None:
    """On a machine that gets ever slower, three times as long stays about three times as long."""
    clock = Clock()
    cases = [clock.case("one", 1.0), clock.case("three", 3.0)]
    one, three = time_cases(cases, blocks=20, seconds=9.0, most=40, clock=clock)
    assert max(one.milliseconds()) > 2 * min(one.milliseconds())
    ratio = compare_blocks(three, one)
    assert ratio.estimate == pytest.approx(3.0, rel=0.05)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(TIMES, TIMES), min_size=1, max_size=6))
def test_ratio_is_the_geometric_mean(pairs: list[tuple[list[float], list[float]]]) -> None:
    """The estimate is what a loop over blocks computes; turned round it is the reciprocal."""
    ours = Timing(blocks=tuple(tuple(a) for a, _ in pairs), images=1, joules=None)
    theirs = Timing(blocks=tuple(tuple(b) for _, b in pairs), images=1, joules=None)
    logs = [math.log(float(np.median(a)) / float(np.median(b))) for a, b in pairs]
    found = compare_blocks(ours, theirs)
    assert found.estimate == pytest.approx(math.exp(sum(logs) / len(logs)))
    assert found.low <= found.estimate * (1 + 1e-9)
    assert found.high >= found.estimate * (1 - 1e-9)
    assert compare_blocks(theirs, ours).estimate == pytest.approx(1 / found.estimate)
    if len(logs) == 3:
        half = 4.302653 * statistics.stdev(logs) / math.sqrt(3)
        middle = statistics.mean(logs)
        assert found.low == pytest.approx(math.exp(middle - half), rel=1e-5)
        assert found.high == pytest.approx(math.exp(middle + half), rel=1e-5)
    same = compare_blocks(ours, ours)
    assert (same.estimate, same.low, same.high) == (1.0, 1.0, 1.0)


def test_one_block_has_no_interval() -> None:
    """Of one ratio nothing is known of its spread: the ends are the estimate."""
    one, two = (Timing(blocks=((each,),), images=1, joules=None) for each in (1.0, 2.0))
    found = compare_blocks(two, one)
    assert found.low == found.estimate == found.high == pytest.approx(2.0)


def test_the_interval_of_few_blocks_holds_the_ratio_as_often_as_it_says() -> None:
    """Of runs of three noisy blocks, 95% of the intervals hold the true ratio."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(1000):
        ours, theirs = (
            Timing(blocks=tuple((each,) for each in times), images=1, joules=None)
            for times in np.exp(rng.normal([[math.log(3.0)], [0.0]], 0.2, (2, 3))).tolist()
        )
        ratio = compare_blocks(ours, theirs)
        held += ratio.low <= 3.0 <= ratio.high
    assert held == pytest.approx(950, abs=25)


def test_summary_counts_images_and_energy() -> None:
    """Throughput and energy are per image, over all calls."""
    timing = Timing(blocks=((10.0, 30.0), (20.0, 20.0)), images=8, joules=64.0)
    assert timing.summary() == {
        "calls": 4,
        "p50_ms": 20.0,
        "p90_ms": 30.0,
        "p99_ms": 30.0,
        "mean_ms": 20.0,
        "images_per_second": 400.0,
        "joules_per_image": 2.0,
    }


def test_energy_is_read_around_each_block() -> None:
    """A case is charged for its own blocks, not for others', nor for the warm-up."""
    clock = Clock()
    cases = [clock.case("a", 1.0, images=2), clock.case("b", 9.0, images=2)]

    def energy() -> float:
        return float(clock.log.count("a") + 10 * clock.log.count("b"))

    a, b = time_cases(cases, blocks=2, seconds=9.0, most=6, clock=clock, energy=energy)
    assert (a.joules, b.joules) == (6.0, 60.0)


def test_nonsense_is_refused() -> None:
    """No block, no call, no time, and cases of different runs are refused."""
    case = Clock().case("a", 1.0)
    for blocks, seconds, most in ((0, 1.0, 1), (1, 0.0, 1), (1, 1.0, 0), (1, math.nan, 1)):
        with pytest.raises(UsageError):
            time_cases([case], blocks=blocks, seconds=seconds, most=most)
    one, two = (Timing(blocks=((1.0,),) * count, images=1, joules=None) for count in (1, 2))
    with pytest.raises(UsageError, match="same run"):
        compare_blocks(one, two)
