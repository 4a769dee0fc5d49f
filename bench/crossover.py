"""``bench crossover``: from which size of a gallery on the graph is faster than a scan.

Both search the same store in turns: without a filter, with one that every fourth image passes, and
in a new process, which has to open everything first. `runtime/exact_limit.py` is chosen by it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boost_edge.bench.own_process import run_python
from boost_edge.bench.peak import peak_bytes
from boost_edge.bench.results import make_result
from boost_edge.bench.search_data import DataPlan, Matrix, draw_queries, draw_vectors
from boost_edge.bench.search_ours import fill
from boost_edge.bench.search_process import milliseconds
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.exact_limit import EXACT_BYTES, EXACT_IMAGES, exact_limit_for
from boost_edge.runtime.progress import Progress, silent
from boost_edge.runtime.search import GRAPH_NAME, Searcher
from boost_edge.runtime.store import Store

__all__ = ["CrossoverPlan", "measure_crossover"]

_K = 10
_BLOCK = 25
_MEGA = 1_000_000
_QUERY = "query.npy"
_FEWEST = 100
_MOST_MEGABYTES = 4_000
# One image in so many passes the filter.
_PASSES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossoverPlan:
    """Widths of vectors; how many megabytes of them; searches and new processes for each."""

    dimensions: tuple[int, ...] = (256, 512, 1096)
    megabytes: tuple[int, ...] = (5, 10, 20, 40, 80)
    queries: int = 300
    starts: int = 5
    seed: int = 0

    def galleries(self) -> Iterator[DataPlan]:
        """Yield what each gallery is to hold."""
        for width in self.dimensions:
            for size in self.megabytes:
                rows = size * _MEGA // (np.float32().itemsize * width)
                if rows < _FEWEST or size > _MOST_MEGABYTES:
                    raise UsageError(
                        f"{size} MB of {width} numbers each are {rows} vectors: at least {_FEWEST} "
                        f"of them, and at most {_MOST_MEGABYTES:,} MB, can be measured"
                    )
                yield DataPlan(rows=rows, dimensions=width, seed=self.seed, kind="clustered")


def measure_crossover(plan: CrossoverPlan, progress: Progress = silent) -> dict[str, Any]:
    """Return the median times of a scan and of a search through the graph, at several sizes.

    The images of the hits, which cost both the same, are not read.

    Raises
    ------
    UsageError
        When a gallery would hold too few vectors to search among, or more than fit.
    BoostEdgeError
        When a new process fails.
    """
    galleries = list(plan.galleries())
    load = list(os.getloadavg())
    points: list[dict[str, Any]] = []
    for number, data in enumerate(galleries):
        progress("scan or graph", number, len(galleries))
        with TemporaryDirectory() as folder:
            points.append(_measure(data, plan, Path(folder)))
    progress("scan or graph", len(galleries), len(galleries))
    content = {
        "plan": asdict(plan),
        "k": _K,
        "one_in": _PASSES,
        "exact_bytes": EXACT_BYTES,
        "exact_images": EXACT_IMAGES,
        "load_average_before": load,
        "points": points,
    }
    return make_result("crossover", content)


def _measure(data: DataPlan, plan: CrossoverPlan, folder: Path) -> dict[str, Any]:
    queries = draw_queries(data, plan.queries)
    np.save(folder / _QUERY, queries[0])
    Store.create(folder, model_sha256="0", model_path="none", dimensions=data.dimensions)
    limits = {"scan": data.rows, "graph": data.rows - 1}
    with ExitStack() as stack:
        store = stack.enter_context(closing(Store.open(folder)))
        fill(store, np.concatenate(list(draw_vectors(data))), {})
        searchers = {
            name: stack.enter_context(closing(Searcher(folder / GRAPH_NAME, exact_limit=limit)))
            for name, limit in limits.items()
        }
        started = time.perf_counter()
        searchers["graph"].prepare(store)
        built = time.perf_counter() - started
        among = np.arange(1, data.rows + 1, _PASSES, dtype=np.int64)
        warm = _turns(store, searchers, queries, None)
        filtered = _turns(store, searchers, queries, among)
    cold = _cold(folder, limits, plan.starts)
    return {
        "dimensions": data.dimensions,
        "rows": data.rows,
        "bytes": data.rows * data.dimensions * np.float32().itemsize,
        "exact": data.rows <= exact_limit_for(data.dimensions),
        "graph_build_seconds": built,
        **{
            name: {
                "p50_ms": warm[name],
                "filtered_p50_ms": filtered[name],
                "first_ms": float(np.median([each["first_ms"] for each in cold[name]])),
                "peak_bytes": int(np.median([each["peak_bytes"] for each in cold[name]])),
            }
            for name in limits
        },
    }


def _turns(
    store: Store,
    searchers: Mapping[str, Searcher],
    queries: Matrix,
    among: NDArray[np.int64] | None,
) -> dict[str, float]:
    """Return for each the median time of a search in milliseconds, taking turns in blocks."""
    times: dict[str, list[float]] = {name: [] for name in searchers}
    for searcher in searchers.values():
        searcher.find(store, queries[0], _K, among=among)
    for start in range(0, len(queries), _BLOCK):
        for name, searcher in searchers.items():
            for query in queries[start : start + _BLOCK]:
                search = partial(searcher.find, store, query, _K, among=among)
                times[name].append(milliseconds(search))
    return {name: float(np.median(each)) for name, each in times.items()}


def _cold(
    folder: Path, limits: Mapping[str, int], starts: int
) -> dict[str, list[dict[str, float]]]:
    """Return for each what its new processes said, which take turns."""
    said: dict[str, list[dict[str, float]]] = {name: [] for name in limits}
    for _ in range(starts):
        for name, limit in limits.items():
            said[name].append(_new_process(folder, limit))
    return said


def _new_process(folder: Path, limit: int) -> dict[str, float]:
    arguments = ("-m", "boost_edge.bench.crossover", os.fspath(folder), str(limit))
    said = run_python(arguments, what="a first search in a new process")
    content: dict[str, float] = json.loads(said)
    return content


def _first_search(folder: Path, limit: int) -> None:
    with closing(Store.open(folder)) as store:
        searcher = Searcher(folder / GRAPH_NAME, exact_limit=limit)
        searcher.find(store, np.load(folder / _QUERY), _K)


def main(arguments: Sequence[str]) -> None:
    """Open the gallery in the folder that is named, search it once, and say what that took."""
    # What every query loads, whichever way it searches.
    import onnxruntime  # noqa: F401 # pyright: ignore[reportUnusedImport] - loaded only

    folder, limit = Path(arguments[0]), int(arguments[1])
    took = milliseconds(lambda: _first_search(folder, limit))
    sys.stdout.write(json.dumps({"first_ms": took, "peak_bytes": peak_bytes()}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
