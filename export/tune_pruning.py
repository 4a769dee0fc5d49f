"""Which candidates need no measurement: those too slow, or beaten, beyond the model's doubt.

A prediction is trusted up to a factor (`DOUBT`): only what is too slow by more is left out. Where
one candidate has no more to compute and no more to move than another, no prediction is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from boost_edge.export.budget import Budget
from boost_edge.export.pareto import pareto_front
from boost_edge.export.tune_report import Row

__all__ = ["DOUBT", "INT8_GAIN", "drop_dominated", "drop_too_slow", "mark_front"]

DOUBT = 1.5
"""The factor by which a prediction may be wrong before a candidate is dropped for it."""
INT8_GAIN = 2.0
"""How many times as fast as float32 8 bits may be."""


def drop_too_slow(rows: Sequence[Row], budget: Budget, *, int8: bool) -> tuple[Row, ...]:
    """Mark what is predicted to break the limit of time, even in 8 bits where they are asked."""
    if budget.max_ms is None:
        return tuple(rows)
    limit = budget.max_ms * DOUBT * (INT8_GAIN if int8 else 1.0)
    return tuple(
        replace(
            row,
            status="over_budget",
            reason=f"predicted to take {_fastest(row):.2f} ms",
        )
        if row.status == "planned" and _fastest(row) > limit
        else row
        for row in rows
    )


def drop_dominated(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Mark what another one beats: it finds as much, in as few bytes, and is surely no slower.

    Of two that are equal in all of this the first is kept. Rows without mAP stay as they are.
    """
    return tuple(
        replace(row, status="dominated", reason=f"beaten by {by.candidate.name}") if by else row
        for row in rows
        for by in (_beaten_by(row, rows),)
    )


def mark_front(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Mark the measured rows that no other one beats in milliseconds, mAP@10 and bytes."""
    measured = [place for place, row in enumerate(rows) if row.status == "measured"]
    if not measured:
        return tuple(rows)
    front = pareto_front(_objectives([rows[place] for place in measured]))
    on_it = {place for place, kept in zip(measured, front.tolist(), strict=True) if kept}
    return tuple(replace(row, front=place in on_it) for place, row in enumerate(rows))


def _objectives(rows: Sequence[Row]) -> NDArray[np.float64]:
    figures = [row.figures for row in rows]
    return np.array([(each.ms, -each.map10, each.bytes) for each in figures], np.float64)


def _beaten_by(row: Row, rows: Sequence[Row]) -> Row | None:
    if row.status != "planned" or row.map10 is None:
        return None
    place = rows.index(row)
    for index, other in enumerate(rows):
        if index == place or other.status != "planned" or other.map10 is None:
            continue
        pair = (other.map10, -other.bytes_per_image)
        mine = (row.map10, -row.bytes_per_image)
        as_good = pair[0] >= mine[0] and pair[1] >= mine[1]
        if as_good and _surely_no_slower(other, row):
            same = pair == mine and _surely_no_slower(row, other)
            if not same or index < place:
                return other
    return None


def _surely_no_slower(row: Row, than: Row) -> bool:
    if row.cost is None or than.cost is None:
        return False
    if row.cost.macs <= than.cost.macs and row.cost.bytes <= than.cost.bytes:
        return True
    return _fastest(row) * DOUBT <= _fastest(than)


def _fastest(row: Row) -> float:
    return min(row.predicted_ms.values()) if row.predicted_ms else 0.0
