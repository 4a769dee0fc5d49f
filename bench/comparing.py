"""From scores by seed and query to a row of a result: means, spread, and paired gains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boost_edge.bench.between_seeds import gain_by_seed, verdict
from boost_edge.bench.trials import Trials
from boost_edge.runtime.bootstrap import Interval, paired_bootstrap
from boost_edge.runtime.errors import UsageError

__all__ = ["common_seeds", "gain_between", "gain_of", "hurts", "paired_gain", "pooled", "spread"]


def spread(trials: Trials, row: str, metric: str) -> dict[str, Any]:
    """Return ``mean``, ``std`` (between seeds, ``None`` for one) and ``by_seed`` of a metric.

    Queries without a value are left out; a seed without any has None.
    """
    values = [_mean(each) for each in trials.values(row, metric)]
    known = [value for value in values if value is not None]
    return {
        "mean": float(np.mean(known)) if known else None,
        "std": float(np.std(known, ddof=1)) if len(known) > 1 else None,
        "by_seed": values,
    }


def gain_of(
    trials: Trials,
    base: str,
    row: str,
    metric: str = "map10",
    *,
    images: NDArray[np.int64] | None = None,
) -> dict[str, Any]:
    """Return the gain of a row over another of the same trials, as `gain_between` does."""
    return gain_between(trials, base, trials, row, metric, images=images)


def gain_between(
    first: Trials,
    base: str,
    second: Trials,
    row: str,
    metric: str = "map10",
    *,
    images: NDArray[np.int64] | None = None,
) -> dict[str, Any]:
    """Return the gain of a row of other trials as JSON holds it.

    That is the interval of `paired_gain`, and ``by_seed``: the mean gain of each seed, None where
    no query has a value.
    """
    gain = paired_gain(first, base, second, row, metric, images=images)
    pairs = zip(_checked(first, base, metric), _checked(second, row, metric), strict=False)
    return {**asdict(gain), "by_seed": [_mean(after - before) for before, after in pairs]}


def paired_gain(
    first: Trials,
    base: str,
    second: Trials,
    row: str,
    metric: str = "map10",
    *,
    images: NDArray[np.int64] | None = None,
) -> Interval:
    """Return the mean gain of ``second``'s row over ``first``'s, on the same queries.

    The interval is a paired bootstrap over queries. Where each seed draws its own queries those of
    all seeds are pooled; where all seeds have the same ones, seeds are averaged first. Queries
    without a value on either side are left out. ``images`` says which image each of the queries
    is, so that one which several seeds draw counts as one: the interval is of other images.

    The interval takes these seeds for given: their heads, and the images that they drew. Another
    head or draw may lie well outside of it (`boost_edge.bench.between_seeds`).

    Raises
    ------
    UsageError
        When a row or metric is not there, or the two were not measured on the same queries.
    """
    seeds = common_seeds(first, second)
    ours, theirs = (
        pooled(trials, name, metric, seeds) for trials, name in ((first, base), (second, row))
    )
    known = np.isfinite(ours) & np.isfinite(theirs)
    clusters = None if images is None else images[known]
    return paired_bootstrap(ours[known], theirs[known], clusters=clusters)


def common_seeds(first: Trials, second: Trials) -> int:
    """Return how many seeds two measurements have in common.

    Raises
    ------
    UsageError
        When a seed has other queries in the two.
    """
    seeds = min(len(first.seeds), len(second.seeds))
    for seed in range(seeds):
        if first.seeds[seed].sample != second.seeds[seed].sample:
            raise UsageError(
                f"seed {seed} has other queries in the two results: measure both with the same "
                "labels, attributes and protocol"
            )
    return seeds


def pooled(trials: Trials, row: str, metric: str, seeds: int) -> NDArray[np.float64]:
    """Return a row's values of the first seeds' queries, those of all seeds after each other.

    Where all seeds have the same queries, they are averaged query by query instead.

    Raises
    ------
    UsageError
        When the row or the metric is not there.
    """
    values = _checked(trials, row, metric)[:seeds]
    if trials.paired:
        return np.asarray(np.mean(values, axis=0))
    return np.concatenate(values)


def hurts(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows that hurt (`verdict`): their plain values and the gain."""
    return [
        {name: value for name, value in row.items() if isinstance(value, str | int | float)}
        | {"gain": row["gain"]}
        for row in rows
        if "gain" in row and verdict(row["gain"], gain_by_seed(row["gain"])) == "hurts"
    ]


def _mean(values: NDArray[np.float64]) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else None


def _checked(trials: Trials, row: str, metric: str) -> list[NDArray[np.float64]]:
    if row not in trials.rows:
        raise UsageError(f"there is no row {row}: the rows are {', '.join(trials.rows)}")
    if metric not in trials.seeds[0].rows[row]:
        kept = ", ".join(trials.seeds[0].rows[row])
        raise UsageError(f"{row}: has no scores of {metric}: it has those of {kept}")
    return trials.values(row, metric)
