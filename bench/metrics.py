"""How good rankings are: the paper's mAP@10, precision, agreement, and what chance would give.

All values are shares in [0, 1]; the paper prints its mAP@10 times 100. Where several things score
the same, the one at the lower position comes first, so that every value is reproducible.

Source of ``average_precision_at_k`` and of how its lists are made: the code of Mersha, "Boosting
image retrieval with accurately labelled small data" (leobitz/boosting_image_retrieval,
``proc_lib.py``: ``evaluate`` and ``get_acc``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.errors import UsageError

__all__ = [
    "agreement_at_k",
    "average_precision_at_k",
    "chance_agreement",
    "chance_map_at_k",
    "chance_precision",
    "map_at_k",
    "nearest_others",
    "precision_at_k",
    "rank_others",
]

_ROWS_AT_ONCE = 256


def rank_others(scores: NDArray[np.floating[Any]], k: int = 10) -> NDArray[np.int64]:
    """Return the k best others of every row; a row is never among its own.

    This makes the paper's "actual" lists out of a relevance matrix. A list is always filled: where
    fewer than k others have a relevance above 0, the first ones with 0 follow, and a hit on one
    of them counts like any other. That is what the paper's code does, except that it leaves ties
    to an unstable sort; with about ten test images a group, many lists end so, and absolute values
    depend on it.

    Parameters
    ----------
    scores
        (N, N) higher is better; the diagonal is not looked at.
    k
        How many, at least 1.

    Returns
    -------
    (N, min(k, N - 1)) int64 positions, best first; equal scores in ascending order of position.

    Raises
    ------
    UsageError
        When ``scores`` is not square, has a NaN beside its diagonal, or ``k`` is below 1.
    """
    if scores.ndim != 2 or scores.shape[0] != scores.shape[1]:
        raise UsageError(f"scores of shape {scores.shape} given: a square matrix needed")
    count = _list_length(len(scores), k)
    ranked = np.empty((len(scores), count), np.int64)
    for start in range(0, len(scores), _ROWS_AT_ONCE):
        stop = start + _ROWS_AT_ONCE
        ranked[start:stop] = _best_others(scores[start:stop], start, count)
    return ranked


def nearest_others(embeddings: NDArray[np.floating[Any]], k: int = 10) -> NDArray[np.int64]:
    """Return the k nearest others of every row by cosine: the paper's prediction.

    Cosines are computed in float64 and compared in float32, so that rows that are equal tie
    whatever the order in which a machine adds up. A row of zeros has the cosine 0 to all.

    Parameters
    ----------
    embeddings
        (N, D) of any length.
    k
        How many, at least 1.

    Returns
    -------
    (N, min(k, N - 1)) int64 positions, nearest first; ties in ascending order of position.

    Raises
    ------
    UsageError
        When ``embeddings`` is not two-dimensional or not finite, or ``k`` is below 1.
    """
    if embeddings.ndim != 2 or not np.isfinite(embeddings).all():
        raise UsageError(f"embeddings of shape {embeddings.shape} given: (N, D), finite, needed")
    count = _list_length(len(embeddings), k)
    units = np.asarray(embeddings, np.float64)
    # Scaled first, so that squaring neither overflows nor vanishes.
    units = units / np.maximum(np.abs(units).max(axis=1, initial=0, keepdims=True), 1e-300)
    units /= np.maximum(np.linalg.norm(units, axis=1, keepdims=True), 1e-300)
    ranked = np.empty((len(units), count), np.int64)
    for start in range(0, len(units), _ROWS_AT_ONCE):
        stop = start + _ROWS_AT_ONCE
        cosines = (units[start:stop] @ units.T).astype(np.float32)
        ranked[start:stop] = _best_others(cosines, start, count)
    return ranked


def average_precision_at_k(
    actual: NDArray[np.int64], predicted: NDArray[np.int64], k: int = 10
) -> NDArray[np.float64]:
    """Return the average precision of every query's first k predictions, as the paper defines it.

    The sum, over the predictions that are in the actual list, of the precision up to there;
    divided by k, or by the length of the actual list where that is shorter. The order of the
    actual list does not matter; a position predicted twice counts once. (Others divide by all
    that is relevant, or by the hits: name the definition with the number.)

    Parameters
    ----------
    actual
        (Q, M) positions, from ``rank_others``.
    predicted
        (Q, P) positions, best first, from ``nearest_others``.
    k
        How many predictions count, at least 1.

    Returns
    -------
    (Q,) float64 in [0, 1].

    Raises
    ------
    UsageError
        When the two do not have the same queries, or ``k`` is below 1.
    """
    _check_lists(actual, predicted, k)
    first = predicted[:, :k]
    hits = (first[:, :, None] == actual[:, None, :]).any(axis=2)
    for place in range(1, first.shape[1]):
        hits[:, place] &= (first[:, :place] != first[:, place : place + 1]).all(axis=1)
    found = hits.cumsum(axis=1, dtype=np.float64)
    precision = found * hits / np.arange(1.0, first.shape[1] + 1)
    return np.asarray(precision.sum(axis=1) / max(1, min(actual.shape[1], k)), np.float64)


def map_at_k(actual: NDArray[np.int64], predicted: NDArray[np.int64], k: int = 10) -> float:
    """Return the mean of ``average_precision_at_k`` over the queries, in [0, 1].

    Raises
    ------
    UsageError
        As there, and when there is no query.
    """
    if not len(actual):
        raise UsageError("no query given: a mean needs at least one")
    return float(average_precision_at_k(actual, predicted, k).mean())


def precision_at_k(
    relevance: NDArray[np.floating[Any]], predicted: NDArray[np.int64], k: int = 10
) -> NDArray[np.float64]:
    """Return the share of every query's first k predictions whose relevance is above 0.

    Divided by k even where fewer were predicted, as trec_eval's P@k is.

    Parameters
    ----------
    relevance
        (Q, N) of each of N items to each query.
    predicted
        (Q, P) positions in 0 to N - 1, best first.
    k
        How many predictions count, at least 1.

    Returns
    -------
    (Q,) float64 in [0, 1].

    Raises
    ------
    UsageError
        When the two do not have the same queries, or ``k`` is below 1.
    """
    _check_lists(relevance, predicted, k)
    found = np.take_along_axis(relevance, predicted[:, :k], axis=1) > 0
    return np.asarray(found.sum(axis=1) / k, np.float64)


def agreement_at_k(
    query_codes: NDArray[np.int64], hit_codes: NDArray[np.int64], k: int = 10
) -> NDArray[np.float64]:
    """Return the share of every query's first k hits that agree with it in one attribute.

    Hits whose value is unknown are left out of the share.

    Parameters
    ----------
    query_codes
        (Q,) the queries' values as numbers, below 0 where unknown.
    hit_codes
        (Q, P) the hits' values, best first: ``codes[predicted]``.
    k
        How many hits count, at least 1.

    Returns
    -------
    (Q,) float64 in [0, 1]; NaN where the query's value or those of all its hits are unknown
    (``numpy.nanmean`` leaves these out).

    Raises
    ------
    UsageError
        When the two do not have the same queries, or ``k`` is below 1.
    """
    _check_lists(query_codes[:, None], hit_codes, k)
    first = hit_codes[:, :k]
    agreeing = (first == query_codes[:, None]).sum(axis=1)
    return _share(agreeing, (first >= 0).sum(axis=1), query_codes >= 0)


def chance_agreement(codes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return what ``agreement_at_k`` is on average when all others are ranked at random.

    ``codes`` are (N,) one attribute's values, below 0 where unknown; returned is (N,) float64,
    each image as the query among all others, NaN where its value or all others' are unknown.
    """
    known = codes >= 0
    agreeing = np.zeros(len(codes), np.int64)
    _, inverse, counts = np.unique(codes[known], return_inverse=True, return_counts=True)
    agreeing[known] = counts[inverse] - 1
    return _share(agreeing, np.full(len(codes), known.sum()) - known, known)


def chance_precision(relevance: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return what ``precision_at_k`` is on average when all others are ranked at random.

    ``relevance`` is (N, N) with N at least k + 1 and a diagonal of 0; returned is (N,) float64.
    """
    return np.asarray((relevance > 0).sum(axis=1) / max(1, len(relevance) - 1), np.float64)


def chance_map_at_k(count: int, k: int = 10) -> float:
    """Return the expected ``map_at_k`` of a random ranking of ``count`` images' others.

    With m = count - 1 others and n = min(k, m) in each list: place i is a hit with the probability
    n / m, and each of the i - 1 places before it then with (n - 1) / (m - 1).

    Raises
    ------
    UsageError
        When ``count`` is below 2, or ``k`` below 1.
    """
    listed = _list_length(count, k)
    if not listed:
        raise UsageError(f"{count} images have no others to rank: at least 2 needed")
    others = count - 1
    before = (listed - 1) / max(1, others - 1)
    return sum((1 + (i - 1) * before) / i for i in range(1, listed + 1)) / others


def _best_others(scores: NDArray[np.floating[Any]], start: int, count: int) -> NDArray[np.int64]:
    """Rank a block of rows, the first of which is row ``start`` of the whole matrix."""
    selves = np.arange(start, start + len(scores))[:, None]
    block = np.array(scores, np.result_type(scores, np.float32))
    np.put_along_axis(block, selves, 0, axis=1)
    if np.isnan(block).any():
        raise UsageError("a score is NaN: nothing can be ranked by it")
    # One more than wanted: either the row itself is among them and goes, or the last one does.
    ranked = np.argsort(-block, axis=1, kind="stable")[:, : count + 1]
    keep = ranked != selves
    keep[keep.all(axis=1), -1] = False
    return np.asarray(ranked[keep].reshape(len(scores), count), np.int64)


def _list_length(rows: int, k: int) -> int:
    if k < 1:
        raise UsageError(f"the {k} best asked for: at least 1 needed")
    return min(k, max(0, rows - 1))


def _check_lists(first: NDArray[Any], second: NDArray[Any], k: int) -> None:
    if first.ndim != 2 or second.ndim != 2 or len(first) != len(second):
        raise UsageError(
            f"lists of shapes {first.shape} and {second.shape} given: one row for each query needed"
        )
    if k < 1:
        raise UsageError(f"the {k} best asked for: at least 1 needed")


def _share(
    part: NDArray[np.int64], whole: NDArray[np.int64], defined: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return part / whole, NaN where it is not defined."""
    share = np.full(len(part), np.nan)
    np.divide(part, whole, out=share, where=defined & (whole > 0))
    return share
