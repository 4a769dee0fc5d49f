"""From which size of a gallery on is the graph faster than a scan? `EXACT_LIMIT` says so."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from boost_edge.bench.search_data import Matrix
from boost_edge.bench.search_ours import fill
from boost_edge.bench.search_plan import SearchPlan
from boost_edge.runtime.progress import Progress
from boost_edge.runtime.search import EXACT_LIMIT, GRAPH_NAME, Searcher
from boost_edge.runtime.store import STORE_NAME, Store

__all__ = ["measure_crossover"]

_SIZES = (2_500, 5_000, 10_000, 20_000, 40_000, 80_000)
_K = 10
_BLOCK = 25


def measure_crossover(
    vectors: Matrix, queries: Matrix, plan: SearchPlan, work: Path, progress: Progress
) -> dict[str, Any]:
    """Return the median time of a scan and of a search through the graph, at several sizes.

    Both read the same store; the images of the hits, which cost both the same, are not read.
    """
    sizes = [size for size in _SIZES if size <= len(vectors)] or [len(vectors)]
    points: list[dict[str, float]] = []
    for number, size in enumerate(sizes):
        folder = work / f"crossover-{size}"
        with closing(_store(folder, vectors[:size], plan)) as store:
            scan = Searcher(folder / GRAPH_NAME, exact_limit=size)
            graph = Searcher(folder / GRAPH_NAME, exact_limit=size - 1)
            times: dict[str, list[float]] = {"scan": [], "graph": []}
            scan.find(store, queries[0], _K)
            graph.find(store, queries[0], _K)
            for start in range(0, len(queries), _BLOCK):
                for name, searcher in (("scan", scan), ("graph", graph)):
                    for query in queries[start : start + _BLOCK]:
                        began = time.perf_counter()
                        searcher.find(store, query, _K)
                        times[name].append((time.perf_counter() - began) * 1e3)
        points.append(
            {
                "rows": size,
                "scan_p50_ms": float(np.median(times["scan"])),
                "graph_p50_ms": float(np.median(times["graph"])),
            }
        )
        progress("scan or graph", number + 1, len(sizes))
    faster = [each["rows"] for each in points if each["graph_p50_ms"] < each["scan_p50_ms"]]
    return {
        "exact_limit": EXACT_LIMIT,
        "graph_faster_from": min(faster) if faster else None,
        "points": points,
    }


def _store(folder: Path, vectors: Matrix, plan: SearchPlan) -> Store:
    folder.mkdir(exist_ok=True)
    if not (folder / STORE_NAME).exists():
        width = plan.data.dimensions
        Store.create(folder, model_sha256="0", model_path=plan.model, dimensions=width)
    store = Store.open(folder)
    fill(store, vectors, {}, first=store.count())
    return store
