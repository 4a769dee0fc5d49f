"""The usual metrics of information retrieval, computed by the library ranx, query by query.

A ranking that is given is taken as it stands: ranx never sees a score that could tie, so ties fall
as `boost_edge.bench.metrics.nearest_others` breaks them. Queries without anything relevant have
no value (NaN), as trec_eval leaves them out; the paper's own mAP@10 has one for every query.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.errors import MissingExtraError, UsageError

__all__ = ["RANKING_METRICS", "score_rankings"]

RANKING_METRICS = ("trec_map", "p10", "ndcg10")
_RANX_NAMES = ("map", "precision@10", "ndcg@10")
# ranx takes whole-number grades from 1; nDCG with linear gain does not depend on their scale.
_SCALE = 1e6


def score_rankings(
    relevance: NDArray[np.floating[Any]], ranked: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Return ``trec_map``, ``p10`` and ``ndcg10`` of every query, each (Q,) in [0, 1] or NaN.

    ``trec_map`` is the average precision over the whole ranking divided by all that is relevant
    (above 0); ``p10`` the share of relevant ones among the first ten, divided by ten; ``ndcg10``
    has linear gain, the relevance itself (Järvelin and Kekäläinen, 2002).

    Parameters
    ----------
    relevance
        (Q, N) in [0, 1], of each of N items to each query; the query itself, if it is one of them,
        has 0.
    ranked
        (Q, P) positions of items, best first, each at most once.

    Raises
    ------
    UsageError
        When the two do not have the same queries, or a relevance is out of range.
    MissingExtraError
        When ranx is not installed.
    """
    if relevance.ndim != 2 or ranked.ndim != 2 or len(relevance) != len(ranked):
        raise UsageError(f"{relevance.shape} relevances and {ranked.shape} rankings do not match")
    if relevance.size and not (np.min(relevance) >= 0 and np.max(relevance) <= 1):
        raise UsageError("a relevance is not in [0, 1]")
    try:
        ranx: Any = importlib.import_module("ranx")  # which is typed in part, and wrongly
    except ModuleNotFoundError as error:
        raise MissingExtraError("measuring with trec's metrics", "bench", "ranx") from error
    judged = (relevance > 0).any(axis=1)
    scores = {name: np.full(len(relevance), np.nan) for name in RANKING_METRICS}
    if not judged.any() or not ranked.shape[1]:
        return scores
    wanted, found = _by_grade(relevance[judged]), _by_place(ranked[judged])
    values = ranx.evaluate(wanted, found, list(_RANX_NAMES), return_mean=False, threads=1)
    for name, theirs in zip(RANKING_METRICS, _RANX_NAMES, strict=True):
        scores[name][judged] = values[theirs]
    return scores


def _by_grade(relevance: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return (Q, M, 2): items and grades, best first, as many as any query has relevant ones.

    Grades below 1, of items that are not relevant, ranx leaves out.
    """
    most = int((relevance > 0).sum(axis=1).max())
    order = np.argsort(-relevance, axis=1, kind="stable")[:, :most]
    grades = np.take_along_axis(relevance, order, axis=1).astype(np.float64) * _SCALE
    return np.stack([order.astype(np.float64), grades], axis=2)


def _by_place(ranked: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (Q, P, 2): items and scores that fall strictly."""
    scores = np.broadcast_to(np.arange(ranked.shape[1], 0.0, -1.0), ranked.shape)
    return np.stack([ranked.astype(np.float64), scores], axis=2)
