"""How good rankings are: the paper's mAP@10, agreement, and what chance would give.

All values are shares in [0, 1]; the paper prints its mAP@10 times 100.

Ties fall the same way on every machine, and differently on the two sides: what is equally relevant
comes in the order of position, what a prediction cannot tell apart in a shuffled order. Were both
in the order of position, guessing would be rewarded: the same embedding for every image would
reach an mAP@10 of 0.13 on the paper's protocol, where chance is 0.003.

Source of the lists and of ``average_precision_at_k``: ``get_acc`` and ``evaluate`` in
``proc_lib.py`` of the code of Mersha, "Boosting image retrieval with accurately labelled small
data" (leobitz/boosting_image_retrieval).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boost_edge.runtime.errors import UsageError

__all__ = [
    "agreement_at_k",
    "average_precision_at_k",
    "chance_agreement",
    "chance_map_at_k",
    "map_at_k",
    "nearest_others",
    "original_ranks",
    "rank_others",
]

_ROWS_AT_ONCE = 256
_TINY = 1e-300


def rank_others(relevance: NDArray[np.floating[Any]], k: int = 10) -> NDArray[np.int64]:
    """Return the k most relevant others of every query: the paper's "actual" lists.

    A list is always filled: where fewer than k others have a relevance above 0, the first ones
    with 0 follow, and a hit on one of them counts like any other. So does the paper's code, which
    leaves ties to an unstable sort. On its protocol about half of the lists end so.

    Parameters
    ----------
    relevance
        (N, N) from ``relevance_matrix``, the query's row by the other's column; the diagonal is
        not looked at.
    k
        How many, at least 1.

    Returns
    -------
    (N, min(k, N - 1)) int64 positions, best first; ties in ascending order of position.

    Raises
    ------
    UsageError
        When ``relevance`` is not square, has a NaN beside its diagonal, or ``k`` is below 1.
    """
    if relevance.ndim != 2 or relevance.shape[0] != relevance.shape[1]:
        raise UsageError(f"a matrix of shape {relevance.shape} given: a square one needed")
    count = _list_length(len(relevance), k)
    ranked = np.empty((len(relevance), count), np.int64)
    for rows in _blocks(len(relevance)):
        others = np.arange(len(relevance) - 1)[None, :]
        ranked[rows] = _best(relevance[rows], others + (others >= rows[:, None]), count)
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
    (N, min(k, N - 1)) int64 positions, nearest first; ties in a fixed order, another for each row.

    Raises
    ------
    UsageError
        When ``embeddings`` is not two-dimensional or not finite, or ``k`` is below 1.
    """
    units = _units(embeddings)
    count = _list_length(len(units), k)
    order = np.random.default_rng(0).permutation(len(units))
    places = np.argsort(order)
    ranked = np.empty((len(units), count), np.int64)
    for rows in _blocks(len(units)):
        cosines = (units[rows] @ units.T).astype(np.float32)
        # Each row goes round the shuffled order from its own place: so no image is favoured.
        others = order[(places[rows, None] + np.arange(1, len(units))) % len(units)]
        ranked[rows] = _best(cosines, others, count)
    return ranked


def original_ranks(
    originals: NDArray[np.floating[Any]], copies: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Return at which place each copy finds its original by cosine, from 1.

    Both are (N, D), the copy of row i being row i. Ties, to seven decimals, count half: what
    cannot be told apart has the middle of the places it shares, so guessing gains nothing.

    Raises UsageError when the two are not finite matrices of one shape.
    """
    if originals.shape != copies.shape:
        raise UsageError(f"{originals.shape} originals and {copies.shape} copies do not match")
    gallery, queries = _units(originals), _units(copies)
    ranks = np.empty(len(gallery))
    for rows in _blocks(len(gallery)):
        cosines = np.round(queries[rows] @ gallery.T, 7)
        own = cosines[np.arange(len(rows)), rows][:, None]
        ties = (cosines == own).sum(axis=1) - 1
        ranks[rows] = 1 + (cosines > own).sum(axis=1) + ties / 2
    return ranks


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

    Raises UsageError as that does, and when there is no query.
    """
    if not len(actual):
        raise UsageError("no query given: a mean needs at least one")
    return float(average_precision_at_k(actual, predicted, k).mean())


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


def chance_agreement(
    query_codes: NDArray[np.int64], codes: NDArray[np.int64], inside: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return what ``agreement_at_k`` is on average when a gallery is ranked at random.

    Parameters
    ----------
    query_codes
        (Q,) the queries' values as numbers, below 0 where unknown.
    codes
        (N,) those of the gallery's images.
    inside
        (Q,) whether a query is one of these images, and so not among its own hits.

    Returns
    -------
    (Q,) float64 in [0, 1]; NaN where the query's value or those of all others are unknown.
    """
    known = query_codes >= 0
    values, counts = np.unique(codes[codes >= 0], return_counts=True)
    held = dict(zip(values.tolist(), counts.tolist(), strict=True))
    agreeing = np.array([held.get(code, 0) for code in query_codes.tolist()], np.int64)
    own = (inside & known).astype(np.int64)
    return _share(agreeing - own, counts.sum() - own, known)


def chance_map_at_k(count: int, k: int = 10) -> float:
    """Return the expected ``map_at_k`` of a random ranking of ``count`` images' others.

    With m = count - 1 others and n = min(k, m) in each list: place i is a hit with the probability
    n / m, and each of the i - 1 places before it then with (n - 1) / (m - 1).

    Raises
    ------
    UsageError
        When ``count`` is below 2, or ``k`` below 1.
    """
    listed, others = _list_length(count, k), count - 1
    if not listed:
        raise UsageError(f"{count} images have no others to rank: at least 2 needed")
    before = (listed - 1) / max(1, others - 1)
    return sum((1 + (i - 1) * before) / i for i in range(1, listed + 1)) / others


def _units(embeddings: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the rows divided by their lengths; rows of zeros stay."""
    if embeddings.ndim != 2 or not np.isfinite(embeddings).all():
        raise UsageError(f"embeddings of shape {embeddings.shape} given: (N, D), finite, needed")
    units = np.asarray(embeddings, np.float64)
    # Scaled first, so that squaring neither overflows nor vanishes.
    units = units / np.maximum(np.abs(units).max(axis=1, initial=0, keepdims=True), _TINY)
    return np.asarray(units / np.maximum(np.linalg.norm(units, axis=1, keepdims=True), _TINY))


def _best(
    scores: NDArray[np.floating[Any]], columns: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """Return the ``count`` best columns of each row; of equal ones, those that come first.

    ``scores`` are (rows, N), ``columns`` (rows, N - 1) each row's others in the order of ties.
    """
    candidates = np.take_along_axis(scores, columns, axis=1)
    if np.isnan(candidates).any():
        raise UsageError("a score is NaN: nothing can be ranked by it")
    candidates = candidates.astype(np.result_type(scores, np.float32))
    best = np.argsort(-candidates, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(columns, best, axis=1)


def _blocks(rows: int) -> Iterator[NDArray[np.int64]]:
    """Cut the rows into blocks small enough that what is computed for one needs little memory."""
    for start in range(0, rows, _ROWS_AT_ONCE):
        yield np.arange(start, min(start + _ROWS_AT_ONCE, rows))


def _list_length(rows: int, k: int) -> int:
    _check_k(k)
    return min(k, max(0, rows - 1))


def _check_k(k: int) -> None:
    if k < 1:
        raise UsageError(f"the {k} best asked for: at least 1 needed")


def _check_lists(first: NDArray[Any], second: NDArray[Any], k: int) -> None:
    if first.ndim != 2 or second.ndim != 2 or len(first) != len(second):
        raise UsageError(
            f"lists of shapes {first.shape} and {second.shape} given: one row for each query needed"
        )
    _check_k(k)


def _share(
    part: NDArray[np.int64], whole: NDArray[np.int64], defined: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return part / whole, NaN where it is not defined."""
    share = np.full(len(part), np.nan)
    np.divide(part, whole, out=share, where=defined & (whole > 0))
    return share
