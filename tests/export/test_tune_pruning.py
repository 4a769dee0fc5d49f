"""What is left out of a search unmeasured: never what could have been chosen."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boost_edge.export.budget import Budget
from boost_edge.export.candidates import Candidate, Network
from boost_edge.export.cost_model import Cost, CostModel
from boost_edge.export.tune_pruning import (
    DOUBT,
    INT8_GAIN,
    drop_dominated,
    drop_too_slow,
    mark_front,
)
from boost_edge.export.tune_report import Row

NETWORK = Network(image_size=64, taps=("layer3",), width=32)
# One millisecond for each gigabyte, and a tenth for each megabyte.
MODEL = CostModel(fixed_ms=0.0, ms_per_gmac=1.0, ms_per_megabyte=0.1)

rows_of = st.lists(
    st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3)),
    min_size=1,
    max_size=7,
)


def row(macs: int, moved: int, map10: float | None, dimensions: int, number: int = 0) -> Row:
    """Return a planned candidate: ``macs`` in thousands of millions, ``moved`` in megabytes."""
    cost = Cost(macs=macs * 10**9, bytes=moved * 10**6)
    return Row(
        candidate=Candidate(network=replace(NETWORK, image_size=64 + number), readout="match"),
        status="planned",
        dimensions=dimensions,
        cost=cost,
        predicted_ms={1: MODEL.predict(cost)},
        map10=map10,
    )


def rows_from(numbers: list[tuple[int, int, int, int]]) -> tuple[Row, ...]:
    """Return candidates that differ in name."""
    return tuple(row(*each, number=number) for number, each in enumerate(numbers))


@pytest.mark.parametrize(
    ("max_ms", "int8", "kept"),
    [
        (None, False, 4),
        (4.0, False, 4),
        # Dropped are those predicted above 1.5 times the limit ...
        (2.0, False, 3),
        (1.0, False, 1),
        # ... or above three times, where 8 bits may halve the time.
        (1.0, True, 3),
        (0.1, True, 0),
    ],
)
def test_what_is_too_slow(max_ms: float | None, int8: bool, kept: int) -> None:
    """What is predicted to break the limit beyond the doubt is dropped, and says how long."""
    rows = rows_from([(ms, 0, 50, 1) for ms in (1, 2, 3, 4)])
    left = drop_too_slow(rows, Budget(max_ms=max_ms), int8=int8)
    assert [each.status == "planned" for each in left] == [True] * kept + [False] * (4 - kept)
    for each in left[kept:]:
        assert each.status == "over_budget"
        assert each.reason is not None
        assert each.reason.startswith("predicted to take ")


@given(rows_of, st.integers(1, 4))
def test_nothing_that_could_be_chosen_is_too_slow(
    numbers: list[tuple[int, int, int, int]], limit: int
) -> None:
    """If every prediction is right within the doubt, what is dropped takes longer than allowed."""
    left = drop_too_slow(rows_from(numbers), Budget(max_ms=limit), int8=True)
    for each in left:
        if each.status == "over_budget":
            assert each.predicted_ms is not None
            assert each.predicted_ms[1] / DOUBT / INT8_GAIN > limit


@given(rows_of)
def test_what_is_dropped_is_beaten_by_what_is_kept(
    numbers: list[tuple[int, int, int, int]],
) -> None:
    """For each dropped candidate a kept one finds as much, in no more bytes, and is no slower."""
    rows = drop_dominated(rows_from(numbers))
    kept = [each for each in rows if each.status == "planned"]
    assert kept
    for each in rows:
        if each.status == "dominated":
            assert any(_beats(other, each) for other in kept)


def _beats(one: Row, other: Row) -> bool:
    assert one.cost is not None
    assert other.cost is not None
    assert one.map10 is not None
    assert other.map10 is not None
    less = one.cost.macs <= other.cost.macs and one.cost.bytes <= other.cost.bytes
    sure = less or MODEL.predict(one.cost) * DOUBT <= MODEL.predict(other.cost)
    return sure and one.map10 >= other.map10 and one.bytes_per_image <= other.bytes_per_image


def test_a_doubtful_prediction_drops_nothing() -> None:
    """One with less to compute and more to move is kept beside a better one, if they are close."""
    better, other = row(3, 10, 60, 8), row(4, 5, 50, 8, number=1)
    assert [each.status for each in drop_dominated((better, other))] == ["planned", "planned"]
    far = row(9, 5, 50, 8, number=1)
    beaten = drop_dominated((better, far))[1]
    assert (beaten.status, beaten.reason) == ("dominated", f"beaten by {better.candidate.name}")


def test_of_equals_one_is_kept() -> None:
    """Of candidates that are equal in everything exactly one is measured."""
    rows = rows_from([(1, 1, 50, 4)] * 3)
    assert [each.status for each in drop_dominated(rows)] == ["planned", "dominated", "dominated"]


def test_what_was_not_tried_beats_nothing() -> None:
    """A row without mAP is neither dropped nor a reason to drop another."""
    unknown = replace(row(1, 1, None, 1), status="not_tried")
    other = row(2, 2, 40, 2, number=1)
    assert drop_dominated((unknown, other)) == (unknown, other)
    assert mark_front((unknown, other)) == (unknown, other)
