"""How fast and how well a gallery is searched through filters that few or many images pass."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boost_edge.bench.search_data import (
    DataPlan,
    Matrix,
    buckets_of,
    label_names,
)
from boost_edge.bench.search_ours import Ours
from boost_edge.bench.search_truth import exact_bars, recall_of
from boost_edge.runtime.progress import Progress
from boost_edge.runtime.synthetic_gallery import unit

__all__ = ["measure_filters"]

_K = 10
_VALUES = 2
_QUERIES = 40
# How far from an image that passes a query is, as a share of its norm.
_NEAR = 0.3


def measure_filters(
    gallery: Ours, plan: DataPlan, vectors: Matrix, queries: Matrix, progress: Progress
) -> list[dict[str, Any]]:
    """Return for each label recall and time of searches among the images with one of its values.

    Half of the queries are near an image that passes, half are anywhere. ``first_ms`` is the time
    of the first search with a filter, which finds out who passes; the others find that remembered.
    """
    buckets = buckets_of(plan)
    random = np.random.default_rng([plan.seed, len(vectors)])
    results: list[dict[str, Any]] = []
    for number, label in enumerate(label_names()):
        first: list[float] = []
        seconds: list[float] = []
        recalls: list[float] = []
        passing: list[int] = []
        for _ in range(_VALUES):
            value = int(buckets[label][random.integers(len(vectors))])
            rows = np.flatnonzero(buckets[label] == value)
            asked = _queries(vectors, rows, queries, random)
            wanted = min(_K, len(rows))
            bars = exact_bars(vectors, asked, wanted, rows=rows)
            where = f"label.{label} = '{value}'"
            times: list[float] = []
            for query, bar in zip(asked, bars.tolist(), strict=True):
                began = time.perf_counter()
                found = gallery.search(query, _K, where=where)
                times.append((time.perf_counter() - began) * 1e3)
                recalls.append(recall_of(found, vectors, query, bar, wanted))
            passing.append(len(rows))
            first.append(times[0])
            seconds += times[1:]
        half, nearly_all = np.percentile(seconds, (50, 99)).tolist()
        results.append(
            {
                "label": label,
                "one_in": int(label.removeprefix("any").removeprefix("near")),
                "follows_clusters": label.startswith("near"),
                "passing": passing,
                "searches": len(recalls),
                "recall": float(np.mean(recalls)),
                "lowest_recall": float(np.min(recalls)),
                "p50_ms": half,
                "p99_ms": nearly_all,
                "first_ms": float(np.mean(first)),
            }
        )
        progress("filters", number + 1, len(label_names()))
    return results


def _queries(
    vectors: Matrix, rows: NDArray[np.int64], queries: Matrix, random: np.random.Generator
) -> Matrix:
    anywhere = queries[: _QUERIES // 2]
    chosen = vectors[random.choice(rows, _QUERIES - len(anywhere))]
    noise = random.standard_normal(chosen.shape, np.float32)
    near = unit(chosen + _NEAR * unit(noise))
    return np.concatenate([near, anywhere])
