"""What an exact search finds, and how much of it another one found."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from boost_edge.bench.search_data import Matrix
from boost_edge.runtime.progress import Progress, silent

__all__ = ["exact_bars", "recall_of"]

_BLOCK = 20_000
# Two ways of adding up the same products differ by less.
_SAME = 1e-6


def exact_bars(
    vectors: Matrix,
    queries: Matrix,
    k: int,
    *,
    rows: NDArray[np.int64] | None = None,
    progress: Progress = silent,
) -> Matrix:
    """Return the score of each query's ``k``-th best row, ``(Q,) float32``, read in blocks.

    ``rows`` are the rows that count, all by default; where they are fewer than ``k``, the last.
    """
    count = len(vectors) if rows is None else len(rows)
    best = np.empty((len(queries), 0), np.float32)
    for start in range(0, count, _BLOCK):
        stop = min(start + _BLOCK, count)
        block = vectors[start:stop] if rows is None else vectors[rows[start:stop]]
        every = np.concatenate([best, queries @ block.T], axis=1)
        keep = min(k, every.shape[1])
        best = np.partition(every, every.shape[1] - keep, axis=1)[:, every.shape[1] - keep :]
        progress("exact search", stop, count)
    bars: Matrix = best.min(axis=1)
    return bars


def recall_of(
    found: NDArray[np.int64], vectors: Matrix, query: Matrix, bar: float, wanted: int
) -> float:
    """Return the share of the ``wanted`` best rows among those that were found.

    A row counts where its score reaches the ``bar``: of equal ones any will do.
    """
    distinct = np.unique(found)
    scores = vectors[distinct] @ query
    return min(wanted, int(np.count_nonzero(scores >= bar - _SAME))) / wanted
