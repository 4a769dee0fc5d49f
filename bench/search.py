"""``bench search``: how fast and how well a large gallery is searched, beside other libraries.

Each engine is built in a process of its own and kept in the work folder, so that a run that was
interrupted goes on. Then one process searches with all of them, one thread each, taking turns in
short blocks so that whatever else the machine does meets all alike. Engines are compared at the
narrowest search whose recall@10 against an exact search reaches the target.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boost_edge.bench.results import make_result
from boost_edge.bench.search_data import Matrix, draw_queries, load_vectors, make_vectors
from boost_edge.bench.search_engines import LINKS, VIEW, Engine
from boost_edge.bench.search_filters import measure_filters
from boost_edge.bench.search_ours import Ours
from boost_edge.bench.search_plan import ENGINES, SearchPlan, engine_of, keep_plan
from boost_edge.bench.search_process import built, opened
from boost_edge.bench.search_truth import exact_bars, recall_of
from boost_edge.runtime.errors import UsageError
from boost_edge.runtime.progress import Progress, silent
from boost_edge.runtime.search import EXPANSION

__all__ = ["WIDTHS", "measure_search", "percentiles"]

WIDTHS = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)

_K = 10
_BLOCK = 25
_ROUNDS = 4


def measure_search(
    plan: SearchPlan,
    work: Path,
    *,
    engines: Sequence[str] = ENGINES,
    queries: int = 500,
    target: float = 0.99,
    widths: Sequence[int] = WIDTHS,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Build what is not built yet, search, and return the result.

    Parameters
    ----------
    plan
        The vectors and how they are indexed.
    work
        The folder for vectors and indexes, which stay there.
    engines
        Which of `ENGINES` take part.
    queries
        How many searches are compared.
    target
        The recall@10 at which engines are compared.
    widths
        How many candidates in view are tried, ascending.
    progress
        Called as work gets on.

    Raises
    ------
    UsageError
        When the work folder is of another plan, or an engine is unknown.
    MissingExtraError
        When an engine's package is not installed.
    BoostEdgeError
        When an engine cannot be built.
    """
    for name in engines:
        if name not in ENGINES:
            raise UsageError(f"{name!r} is not one of {', '.join(ENGINES)}")
    players = [engine_of(name, plan) for name in engines]
    keep_plan(plan, work)
    make_vectors(plan.data, work, progress)
    rows: dict[str, dict[str, Any]] = {}
    for number, name in enumerate(engines):
        progress("building", number, len(engines))
        rows[name] = {"engine": name, "build": built(name, plan, work)}
    progress("building", len(engines), len(engines))
    for name in engines:
        rows[name]["open"] = opened(name, work)
    vectors = load_vectors(plan.data, work)
    asked = draw_queries(plan.data, queries)
    bars = exact_bars(vectors, asked, min(_K, len(vectors)), progress=progress)
    for player in players:
        player.open(work)
    contest = _Contest(players, vectors, asked, bars)
    curves = contest.curves(widths, progress)
    for name, curve in curves.items():
        rows[name]["curve"] = curve
        rows[name]["reaches_target"] = any(point["recall"] >= target for point in curve)
        rows[name]["width"] = _narrowest(curve, target)
    for name, timed in contest.final(
        {name: row["width"] for name, row in rows.items()}, progress
    ).items():
        rows[name]["search"] = timed
    result: dict[str, Any] = {
        "data": {
            "kind": plan.data.kind,
            "rows": plan.data.rows,
            "dimensions": plan.data.dimensions,
            "seed": plan.data.seed,
        },
        "queries": queries,
        "k": _K,
        "target_recall": target,
        "links": LINKS,
        "view_while_building": VIEW,
        "load_average": list(os.getloadavg()),
        "engines": list(rows.values()),
    }
    for player in players:
        if isinstance(player, Ours):
            player.set_width(EXPANSION)
            rows["ours"]["default_width"] = EXPANSION
            result["filters"] = measure_filters(player, plan.data, vectors, asked, progress)
            player.close()
    return make_result("search", result)


class _Contest:
    """Engines that search for the same queries, taking turns."""

    def __init__(
        self, players: Sequence[Engine], vectors: Matrix, queries: Matrix, bars: Matrix
    ) -> None:
        self._players = players
        self._vectors = vectors
        self._queries = queries
        self._bars = bars

    def curves(
        self, widths: Sequence[int], progress: Progress
    ) -> dict[str, list[dict[str, float]]]:
        """Return for each engine recall and time at each width."""
        points: dict[str, list[dict[str, float]]] = {player.name: [] for player in self._players}
        for number, width in enumerate(widths):
            self._warm(dict.fromkeys(points, width))
            for name, (recall, seconds) in self._turns(1).items():
                point = {"width": width, "recall": recall, **percentiles(seconds)}
                points[name].append(point)
            progress("widths", number + 1, len(widths))
        return points

    def final(self, widths: dict[str, int], progress: Progress) -> dict[str, dict[str, float]]:
        """Return for each engine recall and time at its own width, over several rounds."""
        self._warm(widths)
        timed = self._turns(_ROUNDS, progress)
        return {
            name: {"width": widths[name], "recall": recall, **percentiles(seconds)}
            for name, (recall, seconds) in timed.items()
        }

    def _warm(self, widths: dict[str, int]) -> None:
        for player in self._players:
            player.set_width(widths[player.name])
            for query in self._queries[:_BLOCK]:
                player.search(query, _K)

    def _turns(
        self, rounds: int, progress: Progress = silent
    ) -> dict[str, tuple[float, list[float]]]:
        recalls: dict[str, list[float]] = {player.name: [] for player in self._players}
        seconds: dict[str, list[float]] = {player.name: [] for player in self._players}
        wanted = min(_K, len(self._vectors))
        for turn in range(rounds):
            for start in range(0, len(self._queries), _BLOCK):
                block = range(start, min(start + _BLOCK, len(self._queries)))
                # Whoever comes first finds the processor's caches full of something else.
                shift = (turn + start // _BLOCK) % len(self._players)
                for player in [*self._players[shift:], *self._players[:shift]]:
                    found: list[NDArray[np.int64]] = []
                    for number in block:
                        began = time.perf_counter()
                        found.append(player.search(self._queries[number], _K))
                        seconds[player.name].append(time.perf_counter() - began)
                    recalls[player.name] += [
                        recall_of(ids, self._vectors, self._queries[number], bar, wanted)
                        for ids, number, bar in zip(found, block, self._bars[block], strict=True)
                    ]
            progress("searching", turn + 1, rounds)
        return {name: (float(np.mean(recalls[name])), seconds[name]) for name in recalls}


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Return the percentiles of some times, in milliseconds."""
    half, most, nearly_all = np.percentile(np.array(seconds) * 1e3, (50, 90, 99)).tolist()
    return {"p50_ms": half, "p90_ms": most, "p99_ms": nearly_all}


def _narrowest(curve: Sequence[dict[str, float]], target: float) -> int:
    """Return the narrowest width that reaches the target, or the one that comes nearest."""
    reaching = [point["width"] for point in curve if point["recall"] >= target]
    if reaching:
        return int(min(reaching))
    return int(max(curve, key=_recall)["width"])


def _recall(point: dict[str, float]) -> float:
    return point["recall"]
