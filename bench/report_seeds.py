"""What a report says of the spread between seeds, beside an interval over queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from boost_edge.bench.between_seeds import Verdict, gain_by_seed, seed_interval, verdict
from boost_edge.bench.report_words import NONE, interval, signed

__all__ = [
    "OVER_QUERIES",
    "OVER_SEEDS",
    "around",
    "interval_with_seeds",
    "least_to_most",
    "over_seeds",
    "row_seeds",
    "row_verdict",
    "side_seeds",
]

OVER_QUERIES = "95% over queries"
OVER_SEEDS = "95% over seeds (least to most)"
"""Headers of tables."""

_Row = Mapping[str, Any]


def row_seeds(result: _Row, row: _Row) -> list[float]:
    """Return the gain of a row by seed, as the result says it or as the means by seed give it."""
    if "gain" not in row:
        return []
    metric = str(row.get("metric", "map10"))
    return gain_by_seed(row["gain"], _means(_base(result, row), metric), _means(row, metric))


def side_seeds(versus: _Row) -> list[float]:
    """Return the gain of a comparison of two rows by seed."""
    before, after = (_means(versus[side], versus["metric"]) for side in ("first", "second"))
    return gain_by_seed(versus["gain"], before, after)


def row_verdict(result: _Row, row: _Row) -> Verdict:
    """Return whether a row gains or hurts."""
    return verdict(row["gain"], row_seeds(result, row))


def over_seeds(by_seed: Sequence[float], digits: int = 2) -> str:
    """Return the 95% interval over seeds, and the least and greatest of them, for a table."""
    if len(by_seed) < 2:
        return NONE
    across = seed_interval(by_seed)
    ends = NONE if across is None else _between(*across, digits)
    return f"{ends} ({least_to_most(by_seed, digits)})"


def least_to_most(by_seed: Sequence[float], digits: int = 2) -> str:
    """Return the least and the greatest gain of a seed."""
    return _between(min(by_seed), max(by_seed), digits) if len(by_seed) > 1 else NONE


def interval_with_seeds(gain: _Row, by_seed: Sequence[float], digits: int = 2) -> str:
    """Return a gain with both intervals, for a sentence."""
    if len(by_seed) < 2:
        return interval(gain, digits)
    across = seed_interval(by_seed)
    seeds = (
        f"by seed: {', '.join(signed(each, digits) for each in by_seed)}"
        if across is None
        else f"over {len(by_seed)} seeds: {_between(*across, digits)}"
    )
    queries = (
        f"{gain['confidence']:.0%} over queries: {_between(gain['low'], gain['high'], digits)}"
    )
    return f"{signed(float(gain['mean']), digits)} ({queries}; {seeds})"


def around(value: float, by_seed: Sequence[float]) -> tuple[float, float] | None:
    """Return the interval over seeds of what is a gain above a value, for a picture."""
    across = seed_interval(by_seed)
    return None if across is None else (value + across[0], value + across[1])


def _between(low: float, high: float, digits: int) -> str:
    return f"{signed(low, digits)} to {signed(high, digits)}"


def _base(result: _Row, row: _Row) -> _Row:
    """Return the row that a row's gain is over."""
    rows: Sequence[_Row] = result["rows"]
    match result["kind"]:
        case "curve":
            return {"map10": result["raw"]}
        case "models":
            return rows[0]
        case "ablation":
            same: _Row = {"factor": "recipe", "readout": row["readout"]}
        case "honesty":
            same = {"readout": "raw", "test": row["test"]}
        case _:
            same = {"readout": "raw", "resize": row["resize"]}
    nothing: _Row = {}
    return next((each for each in rows if same.items() <= each.items()), nothing)


def _means(row: _Row, metric: str) -> Sequence[float | None]:
    """Return a row's means by seed, none where it does not have them."""
    if f"{metric}_by_seed" in row:
        found: Sequence[float | None] = row[f"{metric}_by_seed"]
        return found
    mean = row.get(metric)
    if not isinstance(mean, Mapping):
        return ()
    means: Sequence[float | None] = cast("_Row", mean).get("by_seed", ())
    return means
